"""Engine: requests in, streams of text out. One thread owns the model; any number of callers may ask.

Continuous batching: every step is one forward pass for all active requests, whatever adapters they have; new
ones join between two steps, and long prompts are read in pages between the others' tokens. Nobody's answer
depends on who else is served: see sequence.py and packed.py.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models import packed, plain
from models.base import LoadedBase
from models.counters import Counters, Snapshot
from models.errors import AdapterError, Busy, EngineError, PromptError
from models.generation import Rereading
from models.golden import GOLDEN_TOLERANCE, golden_answers
from models.job import AnswerJob, Job, ScoreJob, Stream
from models.lora import NOTHING, AdapterBank, AdapterStatus, Mix
from models.packed import Piece
from models.prefixes import Prefixes
from models.prompt import encode_example, encode_prompt, fit_prompt
from models.registry import Adapter, Registry
from models.request import ChatRequest, Message, Score
from models.sequence import Sequence as KeptSequence

log = logging.getLogger(__name__)

# Tokens of prompts read in one step: few while others wait for their next token, many when nobody does.
_READ_BESIDE = 64
_READ_ALONE = 512
# What every adapter must answer at least a little otherwise than the bare base.
_PROBE, _REPLY = (Message(role="user", content="Hello! What can you do?"),), "I can answer questions."


class Engine:
    """One base, its adapters, and the thread that runs them; if not `threaded`, reading a stream does."""

    def __init__(self, base: LoadedBase, registry: Registry, threaded: bool = True):
        self.base = base
        self._limits = registry.limits
        self._bank = AdapterBank(base, registry)
        with torch.inference_mode():
            can_pack = packed.can_pack(base.model, self._bank)
        self._forward = packed.forward if can_pack else plain.forward
        self._prefixes = Prefixes(registry.limits.cache_megabytes * 1_000_000)
        self._counters = Counters()
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()  # guards _waiting, _closed and _drain
        self._active: list[Job] = []
        self._closed = False
        self._drain = False
        self._seconds_per_answer = 2.0
        self._turn = threading.Lock()  # one thread at a time moves the model
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name=f"engine-{base.name}", daemon=True)
            self._thread.start()
        self.adapters: dict[str, AdapterStatus] = {}
        for name, spec in base.spec.adapters.items():
            try:
                self.add_adapter(name, spec)
            except AdapterError as error:
                log.warning("adapter %s is unavailable: %s", name, error)

    def stream(self, request: ChatRequest) -> Stream:
        """Start an answer. AdapterError, PromptError, Busy, EngineError come at once or from the stream."""
        if request.seed is not None and not -(2**63) <= request.seed < 2**63:
            raise PromptError(f"The seed {request.seed} is not valid: it must be a whole number of 64 bits.")
        mix = self._mix(request.adapters)
        messages = self._messages(request.messages, request.adapters)
        longest = min(request.sampling.max_tokens, self._limits.max_tokens)
        # room for an answer is kept, but never more than a quarter of the context
        room = self.base.context - min(longest, self.base.context // 4)
        ids, dropped = fit_prompt(self.base.tokenizer, messages, room)
        limit = min(longest, self.base.context - len(ids))
        job = AnswerJob(replace(request, messages=messages), ids, mix, dropped, limit, self.base.context)
        self._submit(job)
        return Stream(job, None if self._thread else self.pump)

    def score(
        self, messages: Sequence[Message], continuation: str, adapters: Mapping[str, float] | None = None
    ) -> Score:
        """How likely the model answers `messages` with `continuation` and ends its turn. Errors as above."""
        adapters = adapters or {}
        return self._score(self._messages(messages, adapters), continuation, self._mix(adapters))

    def add_adapter(self, name: str, spec: Adapter) -> None:
        """Check an adapter, then offer it in place of any of that name; running requests keep what they have.

        Raises AdapterError, and lists it as unavailable with the reason.
        """
        try:
            folder = self._bank.load(name, spec)
            self._shake_hands(name, folder)
        except AdapterError as error:
            self._bank.remove(name)
            self.adapters = self.adapters | {name: AdapterStatus(name, spec, str(error))}
            raise
        self.adapters = self.adapters | {name: AdapterStatus(name, spec)}

    def remove_adapter(self, name: str) -> None:
        """Offer it no more; running requests keep it to their end."""
        self._known(name)
        self.adapters = {other: status for other, status in self.adapters.items() if other != name}
        self._bank.remove(name)

    @property
    def busy(self) -> int:
        """Requests that run or wait."""
        return len(self._active) + len(self._waiting)

    @property
    def counters(self) -> Snapshot:
        """What was done since the start."""
        return self._counters.snapshot(self._bank.resident)

    def close(self, drain: bool = False) -> None:
        """Take no more requests; end those in flight with an EngineError, or with `drain` let them finish."""
        with self._changed:
            self._closed, self._drain = True, drain
            self._changed.notify()
        if self._thread:
            self._thread.join()
        else:
            while self.pump():
                pass

    def _known(self, name: str) -> AdapterStatus:
        if name not in self.adapters:
            raise AdapterError(
                f"There is no adapter {name!r} on base {self.base.name!r}; there are "
                f"{', '.join(self.adapters) or 'none'}."
            )
        return self.adapters[name]

    def _mix(self, adapters: Mapping[str, float]) -> Mix:
        for name in adapters:
            if reason := self._known(name).reason:
                raise AdapterError(f"Adapter {name!r} is unavailable: {reason}")
        return self._bank.mix(adapters)

    def _messages(self, messages: Sequence[Message], adapters: Mapping[str, float]) -> tuple[Message, ...]:
        if not messages:
            raise PromptError("There are no messages.")
        strongest = max(adapters, key=lambda name: adapters[name], default=None)
        system = self._known(strongest).spec.system if strongest else None
        if system and messages[0].role != "system":
            return (Message(role="system", content=system), *messages)
        return tuple(messages)

    def _score(self, messages: Sequence[Message], continuation: str, mix: Mix) -> Score:
        prompt = encode_prompt(self.base.tokenizer, messages)
        whole = [*messages, Message(role="assistant", content=continuation)]
        example = encode_example(self.base.tokenizer, whole)
        if len(example.ids) > self.base.context:
            raise PromptError(
                f"The text is {len(example.ids)} tokens long; this base has room for {self.base.context}."
            )
        mask = [0] * len(prompt) + example.mask[len(prompt) :]
        job = ScoreJob(example.ids, mask, mix)
        self._submit(job)
        while not self._thread and not job.done:
            self.pump()
        return job.result.result()

    def _shake_hands(self, name: str, folder: Path) -> None:
        """An adapter that changes nothing is refused; one that is not as it was trained is warned of."""
        mix = self._bank.mix({name: 1.0})
        if self._score(_PROBE, _REPLY, mix).logprobs == self._score(_PROBE, _REPLY, NOTHING).logprobs:
            raise AdapterError("it has no effect: with it the base answers as without.")
        for golden in golden_answers(folder):
            found = self._score(golden.messages, golden.answer, mix).mean
            if abs(found - golden.logprob) > GOLDEN_TOLERANCE:
                log.warning(
                    "adapter %s is not as it was trained: log-likelihood of %r %.2f per token, not %.2f",
                    name, golden.answer[:40], found, golden.logprob,
                )  # fmt: skip

    def _submit(self, job: Job) -> None:
        with self._changed:
            if self._closed:
                raise EngineError("The engine is shutting down.")
            waiting = len(self._waiting)
            if waiting >= self._limits.queue:
                raise Busy(waiting, 1 + self._seconds_per_answer * waiting / self._limits.active)
            self._waiting.append(job)
            self._changed.notify()

    # From here on: the thread that moves the model.

    def _run(self) -> None:
        try:
            while self.pump(wait=True):
                pass
        except BaseException:
            log.exception("the engine's thread died")
            raise
        finally:
            with self._changed:
                self._closed = True
            self._end_all(EngineError("The engine was shut down before the answer was complete."))

    def pump(self, wait: bool = False) -> bool:
        """One step, for whatever there is to do; with `wait`, once there is something. False: shut down."""
        with self._turn, torch.inference_mode():
            if not self._admit(wait):
                if not self._thread:
                    self._end_all(EngineError("The engine was shut down before the answer was complete."))
                return False
            if self._active:
                self._step()
            elif sequence := self._prefixes.unsettled():
                self._reread(sequence)
            return True

    def _admit(self, wait: bool) -> bool:
        """Take waiting requests up to the limit, sleeping while there is nothing to do. False: shut down."""
        with self._changed:
            if wait:
                self._changed.wait_for(self._anything_to_do)
            for job in [job for job in self._waiting if job.cancelled.is_set()]:
                self._waiting.remove(job)  # its place is free at once, not when its turn comes
                job.stop()
            while self._waiting and len(self._active) < self._limits.active:
                self._active.append(self._waiting.popleft())
            if self._closed and not self._drain:
                return False
            return bool(self._active) or not self._closed

    def _anything_to_do(self) -> bool:
        return bool(self._active or self._waiting or self._closed or self._prefixes.unsettled())

    def _step(self) -> None:
        """One forward pass for all active requests. If it fails, each alone: only those at fault end."""
        for job in self._active:
            self._guard(job, self._begin_or_stop)
        going = [job for job in self._active if not job.done]
        pieces = self._pieces(going)
        try:
            results = self._forward(self.base.model, self._bank, [p for ps in pieces.values() for p in ps])
        except Exception:
            log.exception("a step for %d requests failed; each is tried alone", len(pieces))
            self._free_memory()
            for job, own in pieces.items():
                self._guard(job, lambda job, own=own: self._take(job, own, self._alone(own), len(pieces)))
        else:
            self._counters.step(len(pieces))
            for job, own in pieces.items():
                mine, results = results[: len(own)], results[len(own) :]
                self._guard(job, lambda job, own=own, mine=mine: self._take(job, own, mine, len(pieces)))
        for job in self._active:
            if job.done:
                self._ended(job)
        self._active = [job for job in self._active if not job.done]

    def _begin_or_stop(self, job: Job) -> None:
        if job.cancelled.is_set():
            job.stop()
        elif job.work is None:
            job.begin(self.base, self._prefixes)

    def _pieces(self, jobs: list[Job]) -> dict[Job, list[Piece]]:
        """What the next step computes: a token for each answer, and pages of prompts, first come first."""
        # those of one mix side by side: the bank multiplies them together
        answering = [job for job in jobs if not job.work.reading]
        answering.sort(key=lambda job: job.sequence.mix.salt)
        pieces = {job: job.work.pieces(1) for job in answering}
        budget = _READ_BESIDE if answering else _READ_ALONE
        for job in jobs:
            if job.work.reading and budget > 0:
                pieces[job] = job.work.pieces(budget)
                budget -= sum(piece.size for piece in pieces[job])
        return pieces

    def _alone(self, pieces: list[Piece]) -> list[torch.Tensor]:
        return self._forward(self.base.model, self._bank, pieces)

    def _take(self, job: Job, pieces: list[Piece], results: list[torch.Tensor], company: int) -> None:
        for piece, logits in zip(pieces, results, strict=True):
            job.work.take(piece, logits)
        job.clock.steps += 1
        job.clock.company += company
        job.flush()

    def _guard(self, job: Job, act: Callable[[Job], None]) -> None:
        """Whatever goes wrong with one request ends that one."""
        try:
            act(job)
        except Exception as error:
            log.exception("a request failed (%d tokens)", len(job.sequence.ids))
            self._free_memory()
            self._counters.failure()
            kind = type(error).__name__
            job.fail(EngineError(f"The model failed on this request: {kind}. Details are in the log."))

    def _ended(self, job: Job) -> None:
        if isinstance(job, AnswerJob) and job.usage:
            self._prefixes.keep(job.sequence)
            self._counters.answer(job.adapters, job.usage)
            if job.clock.last:
                seconds = job.clock.last - job.clock.started
                self._seconds_per_answer += 0.1 * (seconds - self._seconds_per_answer)

    def _reread(self, sequence: KeptSequence) -> None:
        """Nobody waits: read a page of a finished answer as a page, so that the next turn need not."""
        work = Rereading(sequence)
        try:
            pieces = work.pieces(1)
            for piece, logits in zip(pieces, self._alone(pieces), strict=True):
                work.take(piece, logits)
        except Exception:
            log.exception("reading a finished answer again failed")
            self._free_memory()
            self._prefixes.drop(sequence)

    def _free_memory(self) -> None:
        if self.base.device.type == "cuda":
            torch.cuda.empty_cache()

    def _end_all(self, error: EngineError) -> None:
        with self._changed:
            left = [job for job in (*self._active, *self._waiting) if not job.done]
            self._active, self._waiting = [], deque()
        for job in left:
            job.fail(error)
