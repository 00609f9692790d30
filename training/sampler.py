"""The order of training rows: batches of like lengths, drawn from the seed and the epoch alone."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class LengthGrouped(Sampler[int]):
    """transformers' own sampler draws from the global generator, which a continued run finds elsewhere."""

    def __init__(self, lengths: list[int], batch: int, seed: int):
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch, generator=generator))

    def set_epoch(self, epoch: int) -> None:
        """The trainer says which epoch begins, or goes on."""
        self._epoch = epoch
