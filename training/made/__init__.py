"""Rows that a program writes, stand-ins for data sets that are not at hand; the same on every machine."""

from collections.abc import Callable, Iterator
from typing import Any

from models.errors import TroupeError
from training.made import conversations, emails, passages

_MAKERS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "conversations": conversations.rows,
    "emails": emails.rows,
    "passages": passages.rows,
}


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The rows of `made:NAME`; TroupeError names those that there are."""
    if name not in _MAKERS:
        raise TroupeError(f"No generator 'made:{name}'. Generators: {', '.join(_MAKERS)}.")
    return _MAKERS[name]()
