"""Recordings of every kind -> the same samples; files that are none, or broken -> a message, at once."""

import io
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.audio import RATE, decode, from_array
from models.errors import AudioError
from tests.sounds import FORMATS, encoded, picture, save, spoken, tones


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return decode(encoded(tones(), "wav"))


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """A wav of 32-bit floats [n], as they are."""
    data = samples.astype("<f4").tobytes()
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += (3).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little")
    head += (rate * 4).to_bytes(4, "little") + (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
    return head + b"data" + len(data).to_bytes(4, "little") + data


def pcm(data: bytes, rate: int = 8000) -> bytes:
    """A wav of one byte per sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(1)
        out.setframerate(rate)
        out.writeframes(data)
    return file.getvalue()


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation at the best delay of up to 60 ms: what an encoder puts before the sound."""
    best = 0.0
    for delay in range(-960, 960):
        x, y = (a[delay:], b) if delay >= 0 else (a, b[-delay:])
        n = min(len(x), len(y))
        best = max(best, float(np.corrcoef(x[:n], y[:n])[0, 1]))
    return best


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_samples_of_its_wav(name: str, reference: np.ndarray, tmp_path: Path) -> None:
    content = encoded(tones(), name)
    samples = decode(content)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - 2 * RATE) < 0.1 * RATE
    if name in ("wav", "flac", "aiff"):
        assert np.abs(samples - reference).max() < 1e-3
    else:
        assert likeness(samples, reference) > 0.99
    assert np.array_equal(decode(save(tmp_path, f"clip.{name}", content)), samples)


def test_a_file_that_is_no_riff_of_its_name_is_known_by_its_content(tmp_path: Path) -> None:
    path = save(tmp_path, "clip.mp3", encoded(tones(), "flac"))
    assert len(decode(path)) == 2 * RATE


def test_speech_keeps_its_length() -> None:
    file = spoken("What is the capital of France?")
    with wave.open(io.BytesIO(file)) as read:
        # espeak-ng writes to a pipe, so its header says "as long as can be"
        rate = read.getframerate()
    seconds = (len(file) - 44) / 2 / rate
    assert abs(len(decode(file)) / RATE - seconds) < 0.05


def test_loud_floats_are_held_within_bounds() -> None:
    assert np.abs(decode(wav(np.linspace(-9, 9, RATE)))).max() == 1.0


def test_arrays_of_a_recorder_give_the_same_as_files(reference: np.ndarray) -> None:
    pcm = np.round(tones().T * 32767).astype(np.int16)
    assert np.abs(from_array(pcm, 44_100) - reference).max() < 1e-3
    assert len(from_array(pcm[:, 0].astype(np.float32) / 32767, 44_100)) == 2 * RATE
    with pytest.raises(AudioError, match="rate of 7 Hz"):
        from_array(pcm, 7)
    with pytest.raises(AudioError, match="too short"):
        from_array(pcm[:0], 44_100)


def nan() -> bytes:
    samples = np.zeros(RATE, np.float32)
    samples[500] = np.nan
    return wav(samples)


def playlist() -> bytes:
    return b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "short": (lambda: encoded(tones(0.05), "wav"), r"too short: 0\.05 s; the least is 0\.1 s"),
    "only a header": (lambda: encoded(tones(), "wav")[:44], "cut off|damaged"),
    "half a wav": (lambda: encoded(tones(), "wav")[:100_000], r"header says 2\.0 s, and only 0\.6 s are"),
    "half a flac": (lambda: encoded(tones(4), "flac")[:100_000], r"cut off: its header says 4\.0 s"),
    "half an aiff": (lambda: encoded(tones(), "aiff")[:100_000], r"cut off: its header says 2\.0 s"),
    "half an mp3": (lambda: encoded(tones(), "mp3")[:16_000], r"cut off: its header says 2\.\d s"),
    "half a webm": (lambda: encoded(tones(), "webm")[:16_000], r"cut off: its header says 2\.0 s"),
    "half an m4a": (lambda: encoded(tones(), "m4a")[:8000], "m4a.* damaged or was cut off"),
    "a picture": (lambda: picture("image2pipe", "png"), "no recording but a PNG image"),
    "a silent video": (lambda: picture("mp4", "mpeg4", 5), "video has no audio track"),
    "text": (lambda: b"Dear Sir or Madam, " * 100, "no recording: wav, flac"),
    "a playlist": (playlist, "no recording but a playlist"),
    "zeros": (lambda: bytes(100_000), "no recording"),
    "nan": (nan, "not numbers"),
    "an hour of wav": (lambda: pcm(bytes(8000 * 3600)), "too long: over 30 minutes"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wrong_file_is_named_at_once_and_the_next_one_works(
    case: str, reference: np.ndarray, tmp_path: Path
) -> None:
    make, said = HOSTILE[case]
    path = save(tmp_path, "voice.mp3", make())
    started = time.monotonic()
    with pytest.raises(AudioError, match=said):
        decode(path)
    assert time.monotonic() - started < 1.0
    assert len(decode(encoded(tones(), "wav"))) == len(reference)


@pytest.mark.parametrize("name", ["mp3", "ogg", "webm"])
def test_too_long_is_seen_in_the_packets_without_decoding_them(name: str) -> None:
    content = encoded(tones(120, 8000), name, 8000)
    started = time.monotonic()
    with pytest.raises(AudioError, match="over 1 minutes"):
        decode(content, longest=60)
    assert time.monotonic() - started < 0.5
    assert abs(len(decode(content, longest=121)) / RATE - 120) < 0.2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="gone.wav cannot be read: No such file"):
        decode(tmp_path / "gone.wav")
