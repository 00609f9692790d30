"""What happens to a voice on its way to a microphone: another throat, an echo, noise, a cheap line."""

from functools import cache

import numpy as np

from models.audio import RATE

_NOISE_SECONDS = 60


def heard(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples [n] -> [m]: faster and higher or slower and lower, and in half of the cases not clean."""
    sound = _throat(sound, rng.uniform(0.88, 1.14))
    if rng.random() < 0.25:
        sound = _echo(sound, rng.uniform(0.08, 0.4), rng)
    if rng.random() < 0.2:
        sound = _line(sound, low=rng.uniform(100, 300), high=rng.uniform(2800, 6000))
    if rng.random() < 0.5:
        ratio = 10 ** (-rng.uniform(5, 35) / 20)
        sound = sound + ratio * 0.1 * noise(len(sound), rng)
    return (sound * 10 ** rng.uniform(-0.8, 0.4)).clip(-1, 1).astype(np.float32)


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Samples of one of four colours, of root mean square 1."""
    kind = _noises()[rng.integers(4)]
    first = rng.integers(len(kind))
    return np.take(kind, np.arange(first, first + count), mode="wrap")


def _throat(sound: np.ndarray, factor: float) -> np.ndarray:
    """Played faster or slower: length, pitch and formants change together."""
    return np.interp(np.arange(0, len(sound) - 1, factor), np.arange(len(sound)), sound).astype(np.float32)


def _echo(sound: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """In a room where a sound takes `seconds` to fall by 60 dB: convolved with noise that dies away."""
    count = int(seconds * RATE)
    room = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count) * 0.05
    room[0] = 1.0
    size = 1 << (len(sound) + count).bit_length()
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)[: len(sound)]


def _line(sound: np.ndarray, low: float, high: float) -> np.ndarray:
    """What a small microphone or a telephone lets through, in Hz."""
    spectrum, pitch = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / RATE)
    return np.fft.irfft(spectrum * ((pitch > low) & (pitch < high)), len(sound))


@cache
def _noises() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    count = _NOISE_SECONDS * RATE
    pitch = np.fft.rfftfreq(count, 1 / RATE).clip(min=20)
    made = []
    for fall in (0.0, 0.5, 1.0, 1.5):  # white, pink, brown, and deeper
        sound = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) / pitch**fall, count)
        made.append((sound / np.sqrt(np.mean(sound**2))).astype(np.float32))
    return made
