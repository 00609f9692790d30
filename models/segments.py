"""Segments: what Whisper decoded, cut at its time marks."""

from typing import Any

from whisper.decoding import DecodingResult

from models.transcript import Segment, Word


def cut(tokens: list[int], first_mark: int) -> list[tuple[list[int], bool]]:
    """Pieces of a decoding, each with whether a time mark begins and ends it and another one follows.

    Two marks in a row are the end of one piece and the beginning of the next. A single one at the very end
    says that nothing is spoken after it.
    """
    pieces: list[tuple[list[int], bool]] = []
    begin = 0
    for i in range(1, len(tokens)):
        if tokens[i - 1] >= first_mark and tokens[i] >= first_mark:
            pieces.append((tokens[begin:i], True))
            begin = i
    rest = tokens[begin:]
    # words without a mark behind them, after others that have one, were broken off: they are heard again
    if any(token < first_mark for token in rest) and (not pieces or rest[-1] >= first_mark):
        pieces.append((rest, False))
    return pieces


def segment(found: dict[str, Any], result: DecodingResult) -> Segment:
    """One of the maps that whisper's `add_word_timestamps` fills in."""
    words = tuple(
        Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
        for word in found.get("words", ())
    )
    return Segment(
        text=found["text"],
        start=float(found["start"]),
        end=float(found["end"]),
        tokens=tuple(found["tokens"]),
        words=words,
        temperature=result.temperature,
        avg_logprob=result.avg_logprob,
        compression_ratio=result.compression_ratio,
        no_speech_prob=result.no_speech_prob,
    )
