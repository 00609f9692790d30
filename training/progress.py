"""metrics.jsonl: what the trainer logs while it runs, a line per entry. The progress bar is the trainer's."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class MetricsFile(TrainerCallback):
    """Writes the whole history at each log, so that a continued run leaves no line twice."""

    def __init__(self, path: Path):
        self._path = path

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        lines = (json.dumps(entry) for entry in state.log_history)
        self._path.write_text("\n".join(lines) + "\n", encoding="utf-8")
