"""Engine: requests in, streams of text out. One thread owns the model; any number of callers may ask.

Requests that run at the same time take turns token by token, each with a cache, a sampler and an adapter of
its own, so nobody's answer depends on who else is served.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from models.base import LoadedBase
from models.errors import AdapterError, Busy, EngineError, PromptError
from models.generation import Clock, Generation
from models.lora import AdapterBank, AdapterStatus
from models.prompt import fit_prompt
from models.registry import Registry
from models.request import ChatRequest, Chunk, Message, Usage

log = logging.getLogger(__name__)


class _Job:
    """A request in the engine's hands; the Stream outside holds the other end of `chunks`."""

    def __init__(self, request: ChatRequest, prompt: list[int], dropped: int, limit: int):
        self.request = request
        self.prompt = prompt
        self.dropped = dropped
        self.limit = limit
        self.clock = Clock()
        self.generation: Generation | None = None
        self.cancelled = threading.Event()
        self.chunks: queue.SimpleQueue[Chunk | Exception] = queue.SimpleQueue()
        self.done = False

    def put(self, chunk: Chunk | Exception) -> None:
        self.chunks.put(chunk)
        self.done = isinstance(chunk, Exception) or chunk.finish is not None


class Stream(Iterator[Chunk]):
    """An answer as it is made. Dropping it, closing it or `cancel()` stops the work within one token."""

    def __init__(self, job: _Job):
        self._job = job
        self._over = False

    def __next__(self) -> Chunk:
        if self._over:
            raise StopIteration
        item = self._job.chunks.get()
        if isinstance(item, Exception):
            self._over = True
            raise item
        self._over = item.finish is not None
        return item

    def cancel(self) -> None:
        """Stop; what was made so far can still be read, and the last chunk says 'cancelled'."""
        self._job.cancelled.set()

    close = cancel

    def __del__(self) -> None:
        self.cancel()


class Engine:
    """One base, its adapters, and the thread that runs them."""

    def __init__(self, base: LoadedBase, registry: Registry):
        self.base = base
        self._limits = registry.limits
        self._bank = AdapterBank(base)
        self.adapters: dict[str, AdapterStatus] = self._bank.load_all(registry)
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()  # guards _waiting, _closed and _drain
        self._active: list[_Job] = []
        self._closed = False
        self._drain = False
        self._seconds_per_answer = 2.0
        self._thread = threading.Thread(target=self._run, name=f"engine-{base.name}", daemon=True)
        self._thread.start()

    def stream(self, request: ChatRequest) -> Stream:
        """Start an answer. AdapterError, PromptError, Busy, EngineError come at once or from the stream."""
        if request.seed is not None and not -(2**63) <= request.seed < 2**63:
            raise PromptError(f"The seed {request.seed} is not valid: it must be a whole number of 64 bits.")
        messages = self._messages(request.messages, self._adapter(request.adapter))
        longest = min(request.sampling.max_tokens, self._limits.max_tokens)
        # room for an answer is kept, but never more than a quarter of the context
        room = self.base.context - min(longest, self.base.context // 4)
        prompt, dropped = fit_prompt(self.base.tokenizer, messages, room)
        job = _Job(
            replace(request, messages=messages),
            prompt,
            dropped,
            min(longest, self.base.context - len(prompt)),
        )
        with self._changed:
            if self._closed:
                raise EngineError("The engine is shutting down.")
            waiting = len(self._waiting)
            if waiting >= self._limits.queue:
                raise Busy(waiting, 1 + self._seconds_per_answer * waiting / self._limits.active)
            self._waiting.append(job)
            self._changed.notify()
        return Stream(job)

    @property
    def busy(self) -> int:
        """Requests that run or wait."""
        return len(self._active) + len(self._waiting)

    def close(self, drain: bool = False) -> None:
        """Take no more requests; end those in flight with an EngineError, or with `drain` let them finish."""
        with self._changed:
            self._closed, self._drain = True, drain
            self._changed.notify()
        self._thread.join()

    def _adapter(self, name: str | None) -> AdapterStatus | None:
        if name is None:
            return None
        if name not in self.adapters:
            raise AdapterError(
                f"There is no adapter {name!r} on base {self.base.name!r}; there are "
                f"{', '.join(self.adapters) or 'none'}."
            )
        status = self.adapters[name]
        if not status.available:
            raise AdapterError(f"Adapter {name!r} is unavailable: {status.reason}")
        return status

    def _messages(self, messages: Sequence[Message], adapter: AdapterStatus | None) -> tuple[Message, ...]:
        if not messages:
            raise PromptError("There are no messages.")
        if adapter and adapter.spec.system and messages[0].role != "system":
            return (Message(role="system", content=adapter.spec.system), *messages)
        return tuple(messages)

    # From here on: the engine's own thread.

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._admit():
                    # one adapter after the other, so that each is switched to once a round
                    for job in sorted(self._active, key=lambda job: job.request.adapter or ""):
                        self._step(job)
                    self._active = [job for job in self._active if not job.done]
        except BaseException:
            log.exception("the engine's thread died")
            raise
        finally:
            with self._changed:
                self._closed = True
            self._end_all(EngineError("The engine was shut down before the answer was complete."))

    def _admit(self) -> bool:
        """Take waiting requests up to the limit, sleeping while there is nothing to do. False: shut down."""
        with self._changed:
            self._changed.wait_for(lambda: self._active or self._waiting or self._closed)
            for job in [job for job in self._waiting if job.cancelled.is_set()]:
                self._waiting.remove(job)  # its place is free at once, not when its turn comes
                job.put(Chunk("", "cancelled", Usage(len(job.prompt), 0, self.base.context, job.dropped)))
            while self._waiting and len(self._active) < self._limits.active:
                self._active.append(self._waiting.popleft())
            if self._closed and not self._drain:
                return False
            return bool(self._active) or not self._closed

    def _step(self, job: _Job) -> None:
        try:
            if job.generation is None:
                job.generation = Generation(
                    self.base, job.request, job.prompt, job.dropped, job.limit, job.clock
                )
            if job.cancelled.is_set():
                job.put(job.generation.end("cancelled"))
                return
            for chunk in job.generation.step(self._bank.apply(job.request.adapter)):
                job.put(chunk)
        except Exception as error:
            log.exception(
                "a request failed (adapter %s, %d prompt tokens)", job.request.adapter, len(job.prompt)
            )
            if isinstance(error, torch.cuda.OutOfMemoryError):
                torch.cuda.empty_cache()
            kind = type(error).__name__
            job.put(EngineError(f"The model failed on this request: {kind}. Details are in the log."))
        if job.done and job.clock.last:
            self._seconds_per_answer += 0.1 * (job.clock.last - job.clock.started - self._seconds_per_answer)

    def _end_all(self, error: EngineError) -> None:
        with self._changed:
            left = [job for job in (*self._active, *self._waiting) if not job.done]
            self._active, self._waiting = [], deque()
        for job in left:
            job.put(error)
