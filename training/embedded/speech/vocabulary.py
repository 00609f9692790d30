"""The part of Whisper's 51,864 tokens that the sentences use: half of the work of a step were the others.

While training, all others are one more token, with the weight of their number; in the finished model each of
them has its vector. That is the full model exactly, with the vectors of unused tokens held equal.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import Tokenizer

_TIMES = 1501  # time marks, 0.02 s apart
_VECTORS = "decoder.token_embedding.weight"


class Vocabulary:
    """Of Whisper's tokens those in `texts`, the special ones and the time marks, and one for all others."""

    def __init__(self, texts: Iterable[str], tokenizer: Tokenizer, size: int):
        used = {token for text in texts for token in tokenizer.encode(f" {text}")}
        special = (tokenizer.sot, tokenizer.eot, tokenizer.no_speech, tokenizer.no_timestamps)
        marks = range(tokenizer.timestamp_begin, tokenizer.timestamp_begin + _TIMES)
        self._kept = torch.tensor(sorted(used.union(special, marks)))
        self._place = torch.full((size,), len(self._kept))
        self._place[self._kept] = torch.arange(len(self._kept))
        self._size = size

    def __len__(self) -> int:
        return len(self._kept) + 1

    def places(self, tokens: torch.Tensor) -> torch.Tensor:
        """Whisper's token ids -> ids here; negative ones, which a loss leaves out, stay."""
        return torch.where(tokens < 0, tokens, self._place[tokens.clamp(min=0)])

    def weighed(self, logits: torch.Tensor) -> torch.Tensor:
        """[..., len(self)], the last for as many tokens as it stands for."""
        others = self._size - len(self._kept)
        weights = torch.zeros(len(self))
        weights[-1] = math.log(max(1, others))
        return logits + weights

    def complete(self, model: Whisper) -> Whisper:
        """A copy of `model` with all of Whisper's tokens."""
        weights = dict(model.state_dict())
        weights[_VECTORS] = weights[_VECTORS][self._place]
        whole = Whisper(ModelDimensions(**vars(replace(model.dims, n_vocab=self._size))))
        whole.load_state_dict(weights)
        return whole
