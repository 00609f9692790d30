"""Fixtures that several test files share. Nothing here may reach the network or the user's own state."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

_EMPTY = tempfile.mkdtemp(prefix="troupe-tests-")
# Before anything imports transformers or gradio, which read these once.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": f"{_EMPTY}/hf",
    "TROUPE_HOME": f"{_EMPTY}/troupe",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
    # tiny models gain nothing from threads, and a few servers run at the same time
    "OMP_NUM_THREADS": "1",
}

from tests.server import Server, running  # noqa: E402
from tests.tiny import make_registry  # noqa: E402

if TYPE_CHECKING:
    from models.stage import Stage


@pytest.fixture(scope="session")
def tiny_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """adapters.yaml of a tiny Llama base `tiny` and a base `qwen2`, each with adapters `red` and `blue`."""
    return make_registry(tmp_path_factory.mktemp("registry"), others=("qwen2",))


@pytest.fixture(scope="session")
def tiny_stage(tiny_registry: Path) -> Iterator["Stage"]:
    """One loaded stage for all tests; a test that switches the base switches it back."""
    from models.registry import Registry
    from models.stage import Stage

    stage = Stage(Registry.load(tiny_registry))
    yield stage
    stage.close()


@pytest.fixture(scope="session")
def server(tiny_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real program on the tiny registry."""
    with running(tiny_registry, tmp_path_factory.mktemp("home")) as started:
        yield started
