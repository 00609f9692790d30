"""Sentences -> synthetic speech -> training -> models/embedded/whisper; each step is kept."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from whisper.model import Whisper

from training.embedded.folder import data_folder
from training.embedded.speech.clips import load_clips, make_clips
from training.embedded.speech.curve import TESTS, draw, measured
from training.embedded.speech.sentences import FILES
from training.embedded.speech.trainer import Settings, Training, word_errors
from training.embedded.speech.voices import check_programs

_PART = 9_000_000  # bytes
_WATCHED = 40  # clips of each test while training


def make_whisper(
    out: Path, runs: Path, data: Path | None = None, settings: Settings | None = None
) -> dict[str, Any]:
    """Trains the embedded Whisper into `out`, with clips, checkpoint and metrics in `runs`; returns a report.

    `data` is a folder with copies of the public data sets (default: TROUPE_DATA).
    """
    settings, data = settings or Settings(), data_folder(data, FILES)
    check_programs()
    make_clips(runs / "clips", data, settings.clips, settings.seed)
    tests = {name: load_clips(runs / "clips", name) for name in TESTS}
    watched = {name: clips[:_WATCHED] for name, clips in tests.items()}
    training = Training(settings, load_clips(runs / "clips", "train"), watched, runs)
    model = training.run()
    report = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "minutes": round(training.seconds / 60, 1),
        "word_error_rate": {name: word_errors(model, clips) for name, clips in tests.items()},
        "curve": measured(training.metrics),
        "settings": asdict(settings),
    }
    save(model, out)
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    draw(report["curve"], out / "word-errors.png")
    return report


def save(model: Whisper, out: Path) -> None:
    """openai-whisper's own checkpoint in 16 bits, in parts: `cat whisper.pt.* > whisper.pt` joins them."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("whisper.pt.*"):
        old.unlink()
    whole = io.BytesIO()
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    torch.save({"dims": asdict(model.dims), "model_state_dict": weights}, whole)
    kept = whole.getvalue()
    for number, first in enumerate(range(0, len(kept), _PART)):
        (out / f"whisper.pt.{number:02d}").write_bytes(kept[first : first + _PART])
