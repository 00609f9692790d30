"""OpenAI's transcription form: multipart fields -> Form -> Listening, and Transcript -> five formats."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, PlainTextResponse, Response

from models.transcript import Listening, Segment, Transcript
from ui.completion import refusal

OPENAIS = "whisper-1"  # what OpenAI's own clients ask for: here, the speech model that is on
Format = Literal["json", "text", "verbose_json", "srt", "vtt"]
_GRANULARITIES = "timestamp_granularities[]"  # as it stands on the wire


class Form(BaseModel):
    """The fields of POST /v1/audio/transcriptions beside the file."""

    model_config = ConfigDict(extra="forbid")

    model: str = OPENAIS
    language: str | None = None
    prompt: str = Field("", max_length=4000)
    response_format: Format = "json"
    temperature: float = Field(0.0, ge=0, le=1)
    stream: Annotated[Literal[False], BeforeValidator(lambda value: False if value == "false" else value)] = (
        False
    )
    timestamp_granularities: list[Literal["word", "segment"]] = ["segment"]

    @classmethod
    def parse(cls, fields: list[tuple[str, str]]) -> "Form":
        """ApiError 400 names the parameter at fault."""
        given: dict[str, Any] = {}
        for name, value in fields:
            if name == _GRANULARITIES:
                given.setdefault("timestamp_granularities", []).append(value)
            elif value:
                given[name] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise refusal(error) from None

    def listening(self, task: Literal["transcribe", "translate"]) -> Listening:
        """Words are timed only where they are asked for: that costs a pass of the decoder."""
        words = self.response_format == "verbose_json" and "word" in self.timestamp_granularities
        return Listening(self.language, task, self.prompt, self.temperature, words)

    def response(self, transcript: Transcript) -> Response:
        """The transcript in the format that was asked for."""
        match self.response_format:
            case "json":
                return JSONResponse({"text": transcript.text})
            case "text":
                return PlainTextResponse(f"{transcript.text}\n")
            case "srt":
                return PlainTextResponse(srt(transcript), media_type="application/x-subrip")
            case "vtt":
                return PlainTextResponse(vtt(transcript), media_type="text/vtt")
        return JSONResponse(self._verbose(transcript))

    def _verbose(self, transcript: Transcript) -> dict[str, Any]:
        content = {
            "task": transcript.task,
            "language": transcript.language,
            "duration": round(transcript.duration, 3),
            "text": transcript.text,
        }
        if "segment" in self.timestamp_granularities:
            content["segments"] = [_segment(i, one) for i, one in enumerate(transcript.segments)]
        if "word" in self.timestamp_granularities:
            content["words"] = words_json(transcript)
        return content


def words_json(transcript: Transcript) -> list[dict[str, Any]]:
    """OpenAI's words, with the confidence of each beside it."""
    return [
        {
            "word": word.text.strip(),
            "start": round(word.start, 2),
            "end": round(word.end, 2),
            "confidence": round(word.confidence, 4),
        }
        for segment in transcript.segments
        for word in segment.words
    ]


def srt(transcript: Transcript) -> str:
    """SubRip subtitles, one per segment."""
    cues = enumerate(_cues(transcript, ","), start=1)
    return "\n".join(f"{number}\n{cue}" for number, cue in cues)


def vtt(transcript: Transcript) -> str:
    """WebVTT subtitles, one per segment."""
    # in WebVTT, "<" begins markup
    cues = (cue.replace("&", "&amp;").replace("<", "&lt;") for cue in _cues(transcript, "."))
    return "\n".join(["WEBVTT\n", *cues])


def _cues(transcript: Transcript, point: str) -> list[str]:
    return [
        f"{_clock(one.start, point)} --> {_clock(one.end, point)}\n{_line(one.text)}\n"
        for one in transcript.segments
    ]


def _line(text: str) -> str:
    # an arrow or an empty line would end the cue
    return " ".join(text.replace("-->", "->").split())


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _segment(number: int, one: Segment) -> dict[str, Any]:
    return {
        "id": number,
        "seek": 0,
        "start": round(one.start, 2),
        "end": round(one.end, 2),
        "text": one.text,
        "tokens": list(one.tokens),
        "temperature": one.temperature,
        "avg_logprob": one.avg_logprob,
        "compression_ratio": one.compression_ratio,
        "no_speech_prob": one.no_speech_prob,
    }
