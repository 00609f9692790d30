"""Any recording -> 16 kHz mono float32, through PyAV: no ffmpeg program is needed.

What is wrong with a file is found from its header or its packets, before the work of decoding it.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from models.errors import AudioError

RATE = 16_000  # samples per second, what Whisper hears
SHORTEST = 0.1  # seconds; nobody says a word in less
# FFmpeg opens more than recordings: playlists, which name other files and addresses, must not be among them.
_FORMATS = "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,mov,matroska,webm,avi,mpegts,asf,amr,png_pipe,jpeg_pipe,gif"
# Their header, or their index, says how long they are; of the others only the packets tell.
_TOLD = {"w64", "aiff", "caf", "au", "flac", "mov", "matroska"}
_COUNTED = (b"Xing", b"Info")  # an MP3 with one of these says how many frames it has
_MISSING = 0.25  # seconds that may lack at the end: encoders round their headers to whole frames
_KINDS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"#EXTM3U": "a playlist",
    b"<": "a web page or XML",
}
_SOUNDS = {
    b"RIFF": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\x1a\x45\xdf\xa3": "WebM",
    b"FORM": "AIFF",
}


def decode(source: bytes | Path, longest: float = 1800.0) -> np.ndarray:
    """Samples [n] of the first audio track, from -1 to 1. AudioError names what is wrong with the file.

    `longest` is in seconds; a longer recording is refused, not cut.
    """
    with _bytes(source) as file:
        start = file.read(4096)
        if not start:
            raise AudioError("The recording is empty (0 bytes).")
        with _opened(file, start) as container:
            stream, told = _track(container, start), _told(container, start)
            duration = told or _scanned(container, stream, longest)
        if duration > longest:
            raise AudioError(_too_long(duration, longest))
        # a second time: packets that were counted cannot be had again from every format
        with _opened(file, start) as container:
            samples, damaged = _samples(container, longest)
    if not len(samples):
        raise AudioError(_unreadable(start))
    return _checked(samples, told, damaged)


def from_array(samples: np.ndarray, rate: int) -> np.ndarray:
    """What a browser's recorder gives ([n] or [n, channels], integers or floats) -> 16 kHz mono float32."""
    if not 1_000 <= rate <= 768_000:
        raise AudioError(f"A sample rate of {rate} Hz is not usable; 1000 to 768000 are.")
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    mono = (samples if samples.ndim == 1 else samples.mean(1)).astype(np.float32)
    if len(mono):
        frame = AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        mono = _joined(_resampled(_resampler(), [frame, None]))
    return _clean(mono)


@contextmanager
def _bytes(source: bytes | Path) -> Iterator[BinaryIO]:
    # a path is opened here, not by FFmpeg: to it, some names are protocols
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    except OSError as error:
        raise AudioError(f"{source} cannot be read: {error.strerror}.") from None
    with file:
        yield file


@contextmanager
def _opened(file: BinaryIO, start: bytes) -> Iterator[InputContainer]:
    file.seek(0)
    try:
        container = av.open(file, options={"format_whitelist": _FORMATS}, metadata_errors="replace")
    except (FFmpegError, ValueError):
        raise AudioError(_unreadable(start)) from None
    with container:
        yield container


def _unreadable(start: bytes) -> str:
    if kind := next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None):
        return f"This is no recording but {kind}."
    sound = next((name for magic, name in _SOUNDS.items() if start.startswith(magic)), None)
    sound = "MP4 (m4a)" if start[4:8] == b"ftyp" else sound
    if sound:
        return f"The {sound} file is damaged or was cut off: it cannot be opened."
    return "This is no recording: wav, flac, mp3, ogg, webm, m4a and aiff can be read."


def _track(container: InputContainer, start: bytes) -> AudioStream:
    if container.streams.audio:
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError("The recording's encoding is not known here; wav, mp3 or ogg will do.")
        return stream
    if container.format.name.endswith("_pipe") or container.format.name == "gif":
        raise AudioError(_unreadable(start))
    raise AudioError(
        "The video has no audio track." if container.streams.video else "There is no audio track."
    )


def _told(container: InputContainer, start: bytes) -> float | None:
    """Seconds by the header, where it can be trusted."""
    if container.format.name == "wav":
        return _told_by_wav(start)
    named = set(container.format.name.split(","))
    told = named & _TOLD or any(mark in start for mark in _COUNTED)
    return container.duration / av.time_base if told and container.duration else None


def _told_by_wav(start: bytes) -> float | None:
    """FFmpeg takes what is there for what was meant. A program that writes to a pipe says 0, or 2 GB."""
    layout, data = start.find(b"fmt "), start.find(b"data")
    if min(layout, data) < 0:
        return None
    size = int.from_bytes(start[data + 4 : data + 8], "little")
    bytes_per_second = int.from_bytes(start[layout + 16 : layout + 20], "little")
    return size / bytes_per_second if 0 < size < 0x7FFF_0000 and bytes_per_second else None


def _scanned(container: InputContainer, stream: AudioStream, longest: float) -> float:
    """Seconds by the packets, without decoding them; no further than just over `longest`."""
    seconds, first = 0.0, None
    with _damage_ignored():
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base:
                at = float(packet.pts * packet.time_base)
                first = at if first is None else first
                seconds = max(seconds, at - first + float((packet.duration or 0) * packet.time_base))
            if seconds > longest:
                break
    return seconds


def _samples(container: InputContainer, longest: float) -> tuple[np.ndarray, bool]:
    """(samples, whether some of the packets could not be decoded)."""
    stream = container.streams.audio[0]
    resampler, pieces, count, bad, good = _resampler(), [], 0, 0, 0
    with _damage_ignored():
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except FFmpegError:
                bad += 1
                continue
            good += bool(frames)
            for piece in _resampled(resampler, frames):
                pieces.append(piece)
                count += len(piece)
            # a header may lie about the duration, and packets about their time
            if count > longest * RATE:
                raise AudioError(_too_long(count / RATE, longest))
    if good:
        pieces += _resampled(resampler, [None])
    return _joined(pieces), bad > good / 10


@contextmanager
def _damage_ignored() -> Iterator[None]:
    """What comes before a broken place is kept; whether that is enough is decided on the whole."""
    try:
        yield
    except FFmpegError:
        pass
    except ValueError:
        raise AudioError("The recording changes its format in the middle; that cannot be read.") from None


def _checked(samples: np.ndarray, told: float | None, damaged: bool) -> np.ndarray:
    seconds = len(samples) / RATE
    if told and seconds < told - _MISSING:
        raise AudioError(
            f"The recording was cut off: its header says {told:.1f} s, and only {seconds:.1f} s are there."
        )
    if damaged:
        raise AudioError("The recording is damaged: its sound cannot be decoded.")
    return _clean(samples)


def _clean(samples: np.ndarray) -> np.ndarray:
    if len(samples) < SHORTEST * RATE:
        raise AudioError(
            f"The recording is too short: {len(samples) / RATE:.2f} s; the least is {SHORTEST} s."
        )
    if not np.isfinite(samples).all():
        raise AudioError("The recording holds samples that are not numbers (NaN or infinite).")
    return samples.clip(-1.0, 1.0)


def _resampler() -> av.AudioResampler:
    # all channels: FFmpeg's own mono is louder for integers than for floats
    return av.AudioResampler(format="fltp", rate=RATE)


def _resampled(resampler: av.AudioResampler, frames: list[AudioFrame | None]) -> list[np.ndarray]:
    pieces = []
    for frame in frames:
        if frame is not None:
            frame.pts = None  # gaps and jumps of the clock are not sound
        pieces += [piece.to_ndarray().mean(0) for piece in resampler.resample(frame)]
    return pieces


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def _too_long(seconds: float, longest: float) -> str:
    return (
        f"The recording is too long: over {min(seconds, longest) / 60:.3g} minutes, which is the most here."
    )
