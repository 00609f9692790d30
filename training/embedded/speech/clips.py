"""Spoken sentences, made once by all cores and kept in a folder: what is trained on, and four tests."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from tqdm import tqdm

from models.errors import TroupeError
from training.embedded.speech.sentences import sentences
from training.embedded.speech.voices import PLAIN, UNHEARD, Voice, speak, trained

_AT_ONCE = 400  # clips in a file
_TESTED = 200  # sentences of each test


@dataclass(frozen=True)
class Clip:
    """16 kHz samples, 16 bits, and what is said."""

    sound: np.ndarray
    text: str

    @property
    def samples(self) -> np.ndarray:
        """From -1 to 1."""
        return self.sound.astype(np.float32) / 32768


def make_clips(folder: Path, data: Path, count: int, seed: int) -> None:
    """Renders `count` clips to train on and the tests into `folder`; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    _check_same(folder / "made-from.json", {"count": count, "seed": seed})
    jobs = []
    for name, spoken in _spoken(data, count, seed).items():
        for first in range(0, len(spoken), _AT_ONCE):
            file = folder / f"{name}-{first // _AT_ONCE:03d}.npz"
            if not file.exists():
                jobs.append((file, spoken[first : first + _AT_ONCE]))
    if jobs:
        with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            list(tqdm(pool.map(_render, jobs), total=len(jobs), desc="speaking", unit=f" x {_AT_ONCE} clips"))


def load_clips(folder: Path, name: str) -> list[Clip]:
    """`train`, `known` (voices trained on), `plain` (espeak-ng's own two), `slt`, `kal`."""
    clips = []
    for file in sorted(folder.glob(f"{name}-*.npz")):
        kept = np.load(file)
        ends = np.cumsum(kept["lengths"])
        sounds = np.split(kept["sound"], ends[:-1])
        clips += [Clip(sound, str(text)) for sound, text in zip(sounds, kept["texts"], strict=True)]
    return clips


def _spoken(data: Path, count: int, seed: int) -> dict[str, list[tuple[str, Voice]]]:
    """What is said by whom. Sentences that are tested on are never trained on, in any voice."""
    rng = Random(f"voices {seed}")
    said, held_out = sentences(data, count, seed)
    tested = held_out[:_TESTED]
    return {
        "train": [(text, trained(rng)) for text in said],
        "known": [(text, trained(rng)) for text in tested],
        "plain": [(text, PLAIN[i % 2]) for i, text in enumerate(tested)],
        "slt": [(text, UNHEARD[0]) for text in tested],
        "kal": [(text, UNHEARD[1]) for text in tested],
    }


def _check_same(file: Path, settings: dict[str, int]) -> None:
    made = json.loads(file.read_text(encoding="utf-8")) if file.exists() else settings
    if made != settings:
        raise TroupeError(f"{file.parent} holds clips of {made}, not of {settings}; remove it to begin anew.")
    file.write_text(json.dumps(settings), encoding="utf-8")


def _render(job: tuple[Path, Sequence[tuple[str, Voice]]]) -> None:
    file, spoken = job
    sounds = [(sound * 32767).astype(np.int16) for sound in speak(spoken)]
    new = file.with_suffix(".new.npz")
    np.savez(
        new,
        sound=np.concatenate(sounds),
        lengths=[len(sound) for sound in sounds],
        texts=[text for text, _ in spoken],
    )
    os.replace(new, file)
