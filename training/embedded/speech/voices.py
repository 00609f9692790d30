"""Synthetic voices: text -> sound, by programs of Debian (espeak-ng, flite, festival).

Two voices are for tests alone: flite's slt and festival's kal. Flite's kal is made of the same recordings as
festival's and is left out.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np

from models.audio import decode
from models.errors import TroupeError
from training.embedded.table import table

PACKAGES = ("espeak-ng", "flite", "festival", "festvox-kallpc16k", "festvox-kdlpc16k")
_ACCENTS = table("voices")["accents"].split()
# espeak-ng's own voice more often than any other
_VARIANTS = ["", "", "", *(f"+{name}" for name in table("voices")["variants"].split())]
_WORDS, _PITCH = 165, 50  # per minute, and of 99: espeak-ng's own middle
_AT_ONCE = 200  # sentences of one festival process, which takes a moment to start


@dataclass(frozen=True)
class Voice:
    """`pace` 1 is the voice's own speed and `pitch` its own pitch; where a program has no such switch, they
    are not heard."""

    program: Literal["espeak-ng", "flite", "festival"]
    name: str
    pace: float = 1.0
    pitch: float = 1.0


PLAIN = (Voice("espeak-ng", "en-us"), Voice("espeak-ng", "en-gb"))
UNHEARD = (Voice("flite", "slt"), Voice("festival", "kal_diphone"))


def trained(rng: Random) -> Voice:
    """One of the many voices to train on."""
    pace, pitch = rng.uniform(0.85, 1.2), rng.uniform(0.8, 1.25)
    program = rng.choices(["espeak-ng", "flite", "festival"], [0.45, 0.38, 0.17])[0]
    if program == "espeak-ng":
        return Voice("espeak-ng", rng.choice(_ACCENTS) + rng.choice(_VARIANTS), pace, pitch)
    if program == "flite":
        return Voice("flite", rng.choice(["awb", "rms"]), pace, pitch)
    return Voice("festival", "ked_diphone", pace, pitch)


def check_programs() -> None:
    """TroupeError names what is not installed."""
    if missing := [name for name in ("espeak-ng", "flite", "festival") if not shutil.which(name)]:
        raise TroupeError(
            f"{', '.join(missing)} cannot be found: the speech to train on is made by them. On Debian: "
            f"apt-get install {' '.join(PACKAGES)}"
        )


def speak(spoken: Sequence[tuple[str, Voice]]) -> Iterator[np.ndarray]:
    """16 kHz samples [n] of each text, in their order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        by_festival = [i for i, (_, voice) in enumerate(spoken) if voice.program == "festival"]
        for first in range(0, len(by_festival), _AT_ONCE):
            some = by_festival[first : first + _AT_ONCE]
            _festival([(spoken[i], folder / f"{i}.wav") for i in some])
        for number, (text, voice) in enumerate(spoken):
            wav = folder / f"{number}.wav"
            if voice.program != "festival":
                subprocess.run(_command(text, voice, wav), check=True, capture_output=True)
            yield _trimmed(decode(wav))
            wav.unlink()


def _command(text: str, voice: Voice, wav: Path) -> list[str]:
    if voice.program == "espeak-ng":
        pace, pitch = round(_WORDS * voice.pace), round(_PITCH * voice.pitch**2)
        return [
            "espeak-ng",
            "-v",
            voice.name,
            "-s",
            f"{pace}",
            "-p",
            f"{min(99, pitch)}",
            "-w",
            str(wav),
            text,
        ]
    # slt is a clustergen voice as awb and rms are
    settings = [f"duration_stretch={1 / voice.pace:.3f}", f"f0_shift={voice.pitch:.3f}"]
    switches = [part for setting in settings for part in ("--setf", setting)]
    return ["flite", "-voice", voice.name, *switches, "-t", text, "-o", str(wav)]


def _festival(jobs: Sequence[tuple[tuple[str, Voice], Path]]) -> None:
    lines = []
    for (text, voice), wav in jobs:
        plain = text.replace("\\", " ").replace('"', " ")
        lines += [
            f"(voice_{voice.name})",
            f"(Parameter.set 'Duration_Stretch {1 / voice.pace:.3f})",
            f'(utt.save.wave (utt.synth (Utterance Text "{plain}")) "{wav}" \'riff)',
        ]
    script = "\n".join(lines)
    subprocess.run(["festival", "--pipe"], input=script, text=True, check=True, capture_output=True)


def _trimmed(sound: np.ndarray) -> np.ndarray:
    """Without the silence before and after, at an even loudness."""
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max(initial=1e-6))
    sound = sound[max(0, loud[0] - 800) : loud[-1] + 1600] if len(loud) else sound
    return (0.1 * sound / max(1e-4, float(np.sqrt(np.mean(sound**2))))).clip(-1, 1)
