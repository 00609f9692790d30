"""Sounds and files for tests, made on the spot: tones, noise, and speech where espeak-ng is installed."""

import io
import subprocess
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame

from tests.needs import needs

RATE = 44_100
# name -> container, codec, sample format that the codec takes, samples per second
FORMATS = {
    "wav": ("wav", "pcm_s16le", "s16", RATE),
    "flac": ("flac", "flac", "s32", RATE),  # 24 bits
    "aiff": ("aiff", "pcm_s16be", "s16", RATE),
    "mp3": ("mp3", "libmp3lame", "fltp", RATE),
    "ogg": ("ogg", "libopus", "flt", 48_000),
    "webm": ("webm", "libopus", "flt", 48_000),
    "m4a": ("mp4", "aac", "fltp", RATE),
}


def tones(seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """Two channels [2, n] of chirps that differ from each other."""
    time = np.arange(round(seconds * rate)) / rate
    return np.stack(
        [0.3 * np.sin(2 * np.pi * (low + 50 * time) * time) for low in (150, 250)], dtype=np.float32
    )


def encoded(samples: np.ndarray, name: str, rate: int = RATE) -> bytes:
    """Samples [channels, n] as a file in one of FORMATS."""
    container, codec, kind, codec_rate = FORMATS[name]
    layout = "stereo" if len(samples) == 2 else "mono"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=codec_rate, layout=layout)
        if name == "flac":
            stream.codec_context.options = {"bits_per_raw_sample": "24"}
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=kind, layout=layout, rate=codec_rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            for packet in stream.encode(piece):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return file.getvalue()


def picture(container: str, codec: str, frames: int = 1) -> bytes:
    """A picture, or a video without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return file.getvalue()


@cache
def spoken(text: str, voice: str = "en-us") -> bytes:
    """A wav of somebody who says the text; by espeak-ng."""
    needs("espeak-ng")
    command = ["espeak-ng", "-v", voice, "--stdout", text]
    return subprocess.run(command, capture_output=True, check=True).stdout


def noise(seconds: float, loud: float = 0.1) -> np.ndarray:
    """[n] at 16 kHz."""
    return (np.random.default_rng(0).standard_normal(round(seconds * 16_000)) * loud).astype(np.float32)


def save(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
