"""Golden answers: a few texts that training leaves beside an adapter, with how likely it found them."""

import json
import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from models.request import Message

log = logging.getLogger(__name__)

FILE = "golden.json"
# Nats per token. The same weights in NF4 and in bf16, on one processor and another, differ by about a tenth
# of this; the wrong base or the wrong template differ by several times as much.
GOLDEN_TOLERANCE = 0.3


class Golden(BaseModel):
    """`logprob` is the mean over the tokens of `answer` and of the turn's end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Message, ...]
    answer: str
    logprob: float


def golden_answers(folder: Path) -> list[Golden]:
    """Those of the adapter in `folder`; none if training left none, or if the file cannot be read."""
    file = folder / FILE
    if not file.is_file():
        return []
    try:
        return TypeAdapter(list[Golden]).validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read: %s", file, error)
        return []


def write_golden(folder: Path, answers: list[Golden]) -> None:
    """Beside the adapter's weights."""
    rows = [answer.model_dump() for answer in answers]
    (folder / FILE).write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
