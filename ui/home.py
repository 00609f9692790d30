"""What must outlive a restart: files under TROUPE_HOME (./data unless the environment says otherwise)."""

import logging
import os
import secrets
from pathlib import Path

log = logging.getLogger(__name__)


def home() -> Path:
    """The folder for state that lasts."""
    return Path(os.environ.get("TROUPE_HOME") or "data")


def browser_secret() -> str:
    """What Gradio encrypts a browser's saved conversations with; they are readable while it stays the same.

    TROUPE_SECRET, or the file `secret`, made once. On a disk that cannot be written it lasts for this run.
    """
    if given := os.environ.get("TROUPE_SECRET"):
        return given
    path = home() / "secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: of two programs that start together, one makes it and both read it
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    except OSError as error:
        return _for_this_run(path, error)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        return _for_this_run(path, error)


def _for_this_run(path: Path, error: OSError) -> str:
    log.warning("%s cannot be used (%s): saved conversations are lost at a restart", path, error)
    return secrets.token_urlsafe(32)
