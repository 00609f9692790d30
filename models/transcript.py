"""What goes into the transcriber and what comes out of it: plain frozen values."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Listening:
    """How a recording is heard. `language` is a code or an English name; None: found out from the sound.

    `temperature` 0 takes the likeliest words, and tries again with more freedom where they are no language.
    Without `words` the answer comes sooner, and has no times and confidences of single words.
    """

    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str = ""
    temperature: float = 0.0
    words: bool = True


@dataclass(frozen=True)
class Word:
    """A word with its punctuation and leading space; times in seconds; `confidence` from 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """A sentence or so. The last four are Whisper's own measures of how sure it was."""

    text: str
    start: float
    end: float
    tokens: tuple[int, ...]
    words: tuple[Word, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float

    def later(self, seconds: float) -> "Segment":
        """The same, that much later."""
        words = tuple(replace(w, start=w.start + seconds, end=w.end + seconds) for w in self.words)
        return replace(self, start=self.start + seconds, end=self.end + seconds, words=words)


@dataclass(frozen=True)
class Transcript:
    """What was said: "" if nobody spoke. `language` is a code, None if there was nothing to tell it from."""

    segments: tuple[Segment, ...]
    language: str | None
    duration: float
    task: Literal["transcribe", "translate"] = "transcribe"
    speech_seconds: float = 0.0

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()


@dataclass(frozen=True)
class Heard:
    """How far a transcription is: seconds done, of how many, and the text so far."""

    seconds: float
    duration: float
    text: str
