"""Running: which answers each browser tab is being given, so that a click or a closed tab can stop them."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from models.engine import Stream
from models.request import FinishReason, Usage

# Often enough to look alive, seldom enough that Gradio's diffing of the chat costs nothing.
_SECONDS_BETWEEN_UPDATES = 0.05


@dataclass(frozen=True)
class Progress:
    """An answer so far; `finish` and `usage` come with the last one."""

    text: str
    finish: FinishReason | None = None
    usage: Usage | None = None


def progress(stream: Stream) -> Iterator[Progress]:
    """The stream's text as it grows, at most twenty times a second. Closing this stops the engine's work."""
    text, last = "", 0.0
    try:
        for chunk in stream:
            text += chunk.text
            now = time.monotonic()
            if chunk.finish or (text and now - last >= _SECONDS_BETWEEN_UPDATES):
                last = now
                yield Progress(text, chunk.finish, chunk.usage)
    finally:
        stream.cancel()


class Running:
    """Streams by browser tab (Gradio's session hash). Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._streams: dict[str, list[Stream]] = defaultdict(list)

    @contextmanager
    def hold(self, session: str, *streams: Stream) -> Iterator[None]:
        """While inside, `stop(session)` cancels these streams."""
        with self._changed:
            self._streams[session] += streams
        try:
            yield
        finally:
            for stream in streams:
                stream.cancel()
            with self._changed:
                self._streams[session] = [s for s in self._streams[session] if s not in streams]
                if not self._streams[session]:
                    del self._streams[session]
                self._changed.notify_all()

    def busy(self, session: str) -> bool:
        """Whether this tab is being given an answer."""
        with self._changed:
            return session in self._streams

    def stop(self, session: str, wait: float = 0.0) -> None:
        """Cancel what runs for this tab; with `wait`, return only when its last update has been sent."""
        with self._changed:
            for stream in self._streams.get(session, ()):
                stream.cancel()
            self._changed.wait_for(lambda: session not in self._streams, wait)
