"""Generation: one request on the model, a token a step, with its own cache, sampler and text."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from models.base import LoadedBase
from models.request import ChatRequest, Chunk, FinishReason, Usage
from models.sampler import Sampler
from models.text import TextStream


@dataclass
class Clock:
    """Moments of one request, in seconds of the monotonic clock."""

    asked: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    first: float = 0.0
    last: float = 0.0


class Generation:
    """The state of one running request. `step()` costs one forward pass."""

    def __init__(
        self,
        base: LoadedBase,
        request: ChatRequest,
        prompt: list[int],
        dropped: int,
        limit: int,
        clock: Clock,
    ):
        self._base = base
        self._prompt = prompt
        self._dropped = dropped
        self._limit = limit
        self._clock = clock
        self._ids = list(prompt)
        self._seen = 0
        self._cache = DynamicCache(config=base.model.config)
        self._ends = end_tokens(base)
        self._sampler = Sampler(request.sampling, request.seed)
        continued = request.messages[-1].role == "assistant"
        self._text = TextStream(base.tokenizer, prompt[-8:] if continued else [], request.stop)
        clock.started = time.perf_counter()

    def step(self, model: torch.nn.Module) -> Iterator[Chunk]:
        """One more token: the chunks that it sets free; the last of an answer carries `finish`."""
        ids = torch.tensor([self._ids[self._seen :]], device=self._base.device)
        output = model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        # an architecture with a memory of its own kind (RWKV) reads the whole text again: slow, but right
        self._seen = len(self._ids) if getattr(output, "past_key_values", None) is not None else 0
        token = self._sampler.next_token(self._ids, output.logits[0, -1])
        self._ids.append(token)
        self._clock.last = time.perf_counter()
        self._clock.first = self._clock.first or self._clock.last
        if token in self._ends:
            yield from self._finish("stop")
            return
        if text := self._text.push(token):
            yield Chunk(text)
        if self._text.stopped:
            yield self.end("stop")
        elif len(self._ids) - len(self._prompt) >= self._limit:
            yield from self._finish("length")

    def end(self, reason: FinishReason) -> Chunk:
        """The last chunk, at whatever point the answer stands."""
        return Chunk("", reason, self._usage())

    def _finish(self, reason: FinishReason) -> Iterator[Chunk]:
        if text := self._text.rest():
            yield Chunk(text)
        yield self.end(reason)

    def _usage(self) -> Usage:
        made = len(self._ids) - len(self._prompt)
        decoding = self._clock.last - self._clock.first
        return Usage(
            prompt_tokens=len(self._prompt),
            completion_tokens=made,
            context=self._base.context,
            dropped_messages=self._dropped,
            queue_seconds=self._clock.started - self._clock.asked,
            first_token_seconds=max(0.0, self._clock.first - self._clock.asked),
            tokens_per_second=(made - 1) / decoding if made > 1 and decoding > 0 else 0.0,
        )


def end_tokens(base: LoadedBase) -> set[int]:
    """The tokens that end an answer, as the model's generation config and its tokenizer name them."""
    named = base.model.generation_config.eos_token_id
    ends = set(named if isinstance(named, list) else [named])
    return {token for token in ends | {base.tokenizer.eos_token_id} if token is not None}
