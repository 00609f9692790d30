"""Jobs: what callers wait for while the engine's thread works on it, an answer's stream or a score."""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from models.base import LoadedBase
from models.generation import Clock, Generation, Scoring, Work
from models.mix import Mix
from models.prefixes import Prefixes
from models.request import ChatRequest, Chunk, Score, Usage
from models.sequence import Sequence


class Job(ABC):
    """The loop begins it, moves its `work` on, and calls `flush` after each step until it is `done`."""

    def __init__(self, ids: list[int], mix: Mix):
        self.sequence = Sequence(ids, mix)
        self.clock = Clock()
        self.cancelled = threading.Event()
        self.work: Work | None = None
        self.done = False

    @abstractmethod
    def begin(self, base: LoadedBase, prefixes: Prefixes) -> None:
        """Set `work`."""

    @abstractmethod
    def flush(self) -> None:
        """Hand over what the last step gave."""

    @abstractmethod
    def stop(self) -> None:
        """End it, as its caller has cancelled it."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End it with an error for its caller."""


class AnswerJob(Job):
    """A request whose Stream somebody reads."""

    def __init__(
        self, request: ChatRequest, ids: list[int], mix: Mix, dropped: int, limit: int, context: int
    ):
        super().__init__(ids, mix)
        self.chunks: queue.SimpleQueue[Chunk | Exception] = queue.SimpleQueue()
        self._request, self._dropped, self._limit, self._context = request, dropped, limit, context
        self.usage: Usage | None = None  # once it has ended

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self._request.adapters)

    def begin(self, base: LoadedBase, prefixes: Prefixes) -> None:
        prefixes.begin(self.sequence)
        self.work = Generation(base, self._request, self.sequence, self._dropped, self._limit, self.clock)

    def flush(self) -> None:
        chunks, self.work.chunks = self.work.chunks, []
        for chunk in chunks:
            self._put(chunk)

    def stop(self) -> None:
        if self.work:
            self._put(self.work.end("cancelled"))
        else:
            usage = Usage(len(self.sequence.ids), 0, self._context, self._dropped)
            self._put(Chunk("", "cancelled", usage))

    def fail(self, error: Exception) -> None:
        self._put(error)

    def _put(self, item: Chunk | Exception) -> None:
        self.done = isinstance(item, Exception) or item.finish is not None
        self.usage = None if isinstance(item, Exception) else item.usage
        self.chunks.put(item)


class ScoreJob(Job):
    """A text whose Score somebody waits for."""

    def __init__(self, ids: list[int], mask: list[int], mix: Mix):
        super().__init__(ids, mix)
        self.result: Future[Score] = Future()
        self._mask = mask

    def begin(self, base: LoadedBase, prefixes: Prefixes) -> None:
        self.work = Scoring(self.sequence, self._mask)

    def flush(self) -> None:
        if not self.work.reading:
            self.done = True
            self.result.set_result(self.work.score)

    def stop(self) -> None:
        self.done = True
        self.result.cancel()

    def fail(self, error: Exception) -> None:
        self.done = True
        self.result.set_exception(error)


class Stream(Iterator[Chunk]):
    """An answer as it is made. Dropping it, closing it or `cancel()` stops the work within one token.

    `pump` moves an engine on that has no thread of its own.
    """

    def __init__(self, job: AnswerJob, pump: Callable[[], object] | None = None):
        self._job = job
        self._pump = pump
        self._over = False

    def __next__(self) -> Chunk:
        if self._over:
            raise StopIteration
        while self._pump and self._job.chunks.empty():
            self._pump()
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
