"""Rows that help `dolly` on a very small base: short passages with names and figures drawn at random, and a
question whose answer stands in the passage. The corpus of the embedded base has others of the kind."""

from collections.abc import Iterator
from random import Random
from typing import Any

from training.embedded.passages import question

COUNT = 2200


def rows() -> Iterator[dict[str, Any]]:
    """Rows of `messages`."""
    rng = Random(22)
    for _ in range(COUNT):
        yield {"messages": [message.model_dump() for message in question(rng)]}
