"""Clips -> what Whisper is trained on: spectrograms of like lengths, tokens with time marks, letters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from whisper.audio import HOP_LENGTH, log_mel_spectrogram
from whisper.tokenizer import Tokenizer

from models.audio import RATE
from training.embedded.speech.clips import Clip
from training.embedded.speech.rooms import heard, noise

IGNORED = -100
WHOLE = 3000  # frames of the 30 s that Whisper hears
_LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789'"  # CTC's classes from 1 on
CLASSES = len(_LETTERS) + 1
_SECOND, _EMPTY = 0.15, 0.02  # shares of recordings with another sentence after the first, and with no voice
_WHOLE_SHARE = 0.008  # of the batches, padded to all of 30 s
_POOL = 40  # batches that are sorted by length together
_EASY = 2000  # batches until all clips are drawn from, in all rooms; the shortest come first
_SHORTEST = 0.2  # of the clips, at the start


@dataclass(frozen=True)
class Batch:
    """mel [n, 80, frames]; tokens [n, t] with `labels` one further; letters of all, `lengths` of each."""

    mel: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor
    letters: torch.Tensor
    lengths: torch.Tensor
    frames: torch.Tensor  # of each recording without padding


@dataclass(frozen=True)
class _Example:
    mel: torch.Tensor
    tokens: list[int]
    letters: list[int]


def batches(clips: Sequence[Clip], size: int, tokenizer: Tokenizer, seed: int, start: int) -> Iterator[Batch]:
    """Without end, from batch `start` on; the order, the rooms and the noise hang on the seed alone.

    Short and clean ones come first (SortaGrad, Amodei et al. 2016): in them is found what belongs where.
    """
    number = start - start % _POOL
    clips = sorted(clips, key=lambda clip: len(clip.sound))
    while True:
        rng = np.random.default_rng([seed, number])
        hard = min(1.0, number / _EASY)
        count = max(1, round(len(clips) * (_SHORTEST + (1 - _SHORTEST) * hard)))
        chosen = rng.choice(count, size * _POOL, replace=count < size * _POOL)
        examples = sorted(
            (_example(clips[:count], int(i), tokenizer, rng, hard) for i in chosen),
            key=lambda example: example.mel.shape[-1],
        )
        groups = [examples[i : i + size] for i in range(0, len(examples), size)]
        for at in rng.permutation(len(groups)):
            if number >= start:
                yield _batch(groups[at], tokenizer, np.random.default_rng([seed, number, 1]))
            number += 1


def spectrogram(sound: np.ndarray) -> torch.Tensor:
    """[80, frames] of these samples alone. Silence beside them would have the value of `floor`."""
    return log_mel_spectrogram(np.pad(sound, (0, -len(sound) % (2 * HOP_LENGTH))))


def floor(mel: torch.Tensor) -> float:
    """Whisper cuts off 8 decades below the loudest; (x + 4) / 4 makes them 2."""
    return float(mel.max()) - 2.0


def _example(
    clips: Sequence[Clip], index: int, tokenizer: Tokenizer, rng: np.random.Generator, hard: float
) -> _Example:
    if rng.random() < _EMPTY:
        sound = 10 ** rng.uniform(-4, -1.3) * noise(int(rng.uniform(0.5, 4) * RATE), rng)
        silent = [tokenizer.sot, tokenizer.no_speech, tokenizer.eot]
        return _Example(spectrogram(sound.astype(np.float32)), silent, [])
    chosen = [clips[index]]
    if rng.random() < _SECOND * hard:
        chosen.append(clips[rng.integers(len(clips))])
    parts, marks, at = [], [], 0
    for clip in chosen:
        pause = np.zeros(int(rng.uniform(0, 0.6) * RATE), np.float32)
        sound = heard(clip.samples, rng) if rng.random() < hard else clip.samples
        parts += [pause, sound]
        marks.append(((at + len(pause)) / RATE, (at + len(pause) + len(sound)) / RATE))
        at += len(pause) + len(sound)
    parts.append(np.zeros(int(rng.uniform(0, 0.5) * RATE), np.float32))
    tokens = [tokenizer.sot]
    timed = rng.random() < 0.6
    if not timed:
        tokens.append(tokenizer.no_timestamps)
    for clip, (start, end) in zip(chosen, marks, strict=True):
        text = tokenizer.encode(f" {clip.text}")
        tokens += [_mark(start, tokenizer), *text, _mark(end, tokenizer)] if timed else text
    letters = " ".join(clip.text.lower() for clip in chosen)
    ids = [_LETTERS.index(letter) + 1 for letter in letters if letter in _LETTERS]
    mel = spectrogram(np.concatenate(parts))
    return _Example(_masked(mel, rng) if rng.random() < hard else mel, [*tokens, tokenizer.eot], ids)


def _mark(seconds: float, tokenizer: Tokenizer) -> int:
    """The time mark of a moment, to a tenth of a second: nobody hears more exactly where a word ends."""
    return tokenizer.timestamp_begin + 5 * round(seconds * 10)


def _masked(mel: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """SpecAugment (Park et al. 2019): a few stretches of time and pitch are hidden."""
    mel, mean = mel.clone(), mel.mean()
    for _ in range(2):
        width = int(rng.integers(0, 14))
        first = int(rng.integers(0, mel.shape[0] - width))
        mel[first : first + width] = mean
        width = int(rng.integers(0, 12))
        first = int(rng.integers(0, max(1, mel.shape[1] - width)))
        mel[:, first : first + width] = mean
    return mel


def _batch(examples: Sequence[_Example], tokenizer: Tokenizer, rng: np.random.Generator) -> Batch:
    longest = max(example.mel.shape[-1] for example in examples)
    # silence behind, so that what is there in a window of 30 s is known to be nothing
    frames = WHOLE if rng.random() < _WHOLE_SHARE else longest + 2 * int(rng.exponential(0.2) * longest / 2)
    frames = min(frames, WHOLE)
    mels = [
        torch.nn.functional.pad(example.mel, (0, frames - example.mel.shape[-1]), value=floor(example.mel))
        for example in examples
    ]
    width = max(len(example.tokens) for example in examples) - 1
    tokens = torch.full((len(examples), width), tokenizer.eot)
    labels = torch.full((len(examples), width), IGNORED)
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens) - 1] = torch.tensor(example.tokens[:-1])
        labels[row, : len(example.tokens) - 1] = torch.tensor(example.tokens[1:])
    # whether time marks are wanted is told to Whisper, never guessed
    labels[labels == tokenizer.no_timestamps] = IGNORED
    return Batch(
        torch.stack(mels),
        tokens,
        labels,
        torch.tensor([letter for example in examples for letter in example.letters]),
        torch.tensor([len(example.letters) for example in examples]),
        torch.tensor([example.mel.shape[-1] for example in examples]),
    )
