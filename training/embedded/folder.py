"""Where the copies of the public data sets lie."""

import os
from collections.abc import Iterable
from pathlib import Path

from models.errors import TroupeError


def data_folder(data: Path | None, wanted: Iterable[str]) -> Path:
    """`data`, or what TROUPE_DATA names. TroupeError if it has none of the files that are `wanted`."""
    named = data or (Path(os.environ["TROUPE_DATA"]) if os.environ.get("TROUPE_DATA") else None)
    if named is None or not any((named / name).exists() for name in wanted):
        raise TroupeError(
            f"The embedded models learn from public data in a folder that TROUPE_DATA names (now: {named}). "
            f"It should hold {', '.join(wanted)}; models/embedded/README.md says where they come from."
        )
    return named
