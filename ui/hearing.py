"""A transcription as it grows, for whoever shows it."""

from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np

from models.speech import Transcriber
from models.transcript import Heard, Listening, Transcript


def hearing(transcriber: Transcriber, audio: np.ndarray, how: Listening) -> Iterator[Heard | Transcript]:
    """What was heard after each window of at most 30 s, then the whole. Closing this stops the work."""
    arrived: SimpleQueue[Heard | None] = SimpleQueue()
    work = transcriber.submit(audio, how, arrived.put)
    work.when_done(lambda: arrived.put(None))
    try:
        while heard := arrived.get():
            yield heard
        yield work.result()
    finally:
        work.cancel()
