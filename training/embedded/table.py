"""The tables that the generators draw from: YAML files under tables/."""

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@cache
def table(name: str) -> dict[str, Any]:
    """tables/`name`.yaml, its keys in the order of the file: the corpus depends on it."""
    return YAML(typ="safe").load(Path(__file__).parent / "tables" / f"{name}.yaml")
