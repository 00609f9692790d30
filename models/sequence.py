"""Sequence: the tokens of one request with their keys and values, layer by layer.

Prompts are read in pages of 16 tokens that begin at multiples of 16, whoever else is served and whatever is
already known of them: so a page's keys and values have the same bits however they came about, and may be
taken from an earlier request (of the same mix) without changing an answer.
"""

from collections.abc import Sequence as Items

import torch
from transformers import Cache

from models.mix import NOTHING, Mix

PAGE = 16


class Sequence:
    """`ids` are all tokens so far; of the first `length` the keys and values are known, and of the first
    `settled` they are those of whole pages."""

    def __init__(self, ids: Items[int], mix: Mix = NOTHING):
        self.ids = list(ids)
        self.mix = mix
        self.length = 0
        self.settled = 0
        self._stores: list[torch.Tensor] = []  # for each layer [2, heads, capacity, head size]
        self.cache: Cache | None = None  # in place of the stores on the plain path, which shares nothing
        self.rereads = False

    def write(self, layer: int, start: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keep keys and values [heads, n, head size] of the tokens from `start` on."""
        stop = start + keys.shape[1]
        if layer == len(self._stores):
            self._stores.append(keys.new_empty(2, keys.shape[0], _capacity(stop), keys.shape[2]))
        elif stop > self._stores[layer].shape[2]:
            old = self._stores[layer]
            self._stores[layer] = old.new_empty(2, old.shape[1], _capacity(stop), old.shape[3])
            self._stores[layer][:, :, : old.shape[2]] = old
        self._stores[layer][0, :, start:stop] = keys
        self._stores[layer][1, :, start:stop] = values

    def read(self, layer: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [heads, stop, head size] of the first `stop` tokens."""
        keys, values = self._stores[layer]
        return keys[:, :stop], values[:, :stop]

    def done(self, stop: int) -> None:
        """A forward pass has written up to `stop`."""
        if self.length == self.settled and (stop % PAGE == 0):
            self.settled = stop
        self.length = stop

    def back_to_settled(self) -> None:
        """Forget what was decoded token by token, so that it can be read again in whole pages."""
        self.length = self.settled

    def shared(self, ids: Items[int]) -> int:
        """Tokens at the beginning that `ids` has too, in whole settled pages."""
        most = min(self.settled, len(ids))
        same = next((i for i in range(most) if self.ids[i] != ids[i]), most)
        return same // PAGE * PAGE

    def begin_with(self, other: "Sequence", count: int) -> None:
        """Take over the first `count` tokens' keys and values as a copy."""
        self._stores = [
            torch.cat([store[:, :, :count], store.new_empty(*store.shape[:2], PAGE, store.shape[3])], dim=2)
            for store in other._stores
        ]
        self.length = self.settled = count

    @property
    def unsettled(self) -> bool:
        """Whether a whole page could be read that is not known as a page."""
        return len(self.ids) - self.settled >= PAGE

    @property
    def bytes(self) -> int:
        return sum(store.nbytes for store in self._stores)


def _capacity(tokens: int) -> int:
    """Room to grow: doubling, so that a long answer is copied a few times only."""
    capacity = 4 * PAGE
    while capacity < tokens:
        capacity *= 2
    return capacity
