"""Sampler: the next token of one request, out of its logits, by transformers' own processors."""

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from models.request import Sampling

# Logits divided by less than this overflow, and every choice would be the likeliest token anyway.
_COLDEST = 1e-5


class Sampler:
    """Seeded per request, so that whoever else is being served changes nothing."""

    def __init__(self, sampling: Sampling, seed: int | None):
        self._greedy = sampling.temperature < _COLDEST
        self._processors = _processors(sampling, self._greedy)
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def next_token(self, ids: list[int], logits: torch.Tensor) -> int:
        """The token to follow `ids`; `logits` has shape (vocabulary,)."""
        scores = self._processors(torch.tensor([ids]), logits.float().cpu().unsqueeze(0))
        if self._greedy:
            return int(scores.argmax())
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self._generator))


def _processors(sampling: Sampling, greedy: bool) -> LogitsProcessorList:
    chosen = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if greedy:
        return chosen
    chosen.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chosen.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        chosen.append(MinPLogitsWarper(sampling.min_p))
    return chosen
