"""What tests need beside Python packages: skipped where it is missing, unless TROUPE_REQUIRE_BROWSER is 1."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be missing."""
    if os.environ.get("TROUPE_REQUIRE_BROWSER") == "1":
        pytest.fail(what)
    pytest.skip(what)


def needs(*programs: str) -> None:
    """Programs on the PATH."""
    if absent := [program for program in programs if not shutil.which(program)]:
        missing(f"{', '.join(absent)}: not installed")
