"""Which speech model, and where it lies: found, or refused, without loading it or importing Whisper."""

import os
from pathlib import Path

from huggingface_hub import constants

from models.errors import SpeechError
from models.registry import Registry, SpeechModel

# openai-whisper's names -> the file that it keeps in its cache
OFFICIAL = {
    **{f"{size}{en}": f"{size}{en}.pt" for size in ("tiny", "base", "small", "medium") for en in ("", ".en")},
    **{f"large-v{n}": f"large-v{n}.pt" for n in (1, 2, 3)},
    "large": "large-v3.pt",
    "large-v3-turbo": "large-v3-turbo.pt",
    "turbo": "large-v3-turbo.pt",
}


def choose(registry: Registry, name: str | None) -> tuple[str, SpeechModel | None]:
    """(name, entry) of the speech model to serve; RegistryError names those that there are.

    (name or "", None) for a file without a `speech:` part.
    """
    if not registry.speech:
        return name or "", None
    name = name or registry.speech.default
    return name, registry.speech.model(name)


def find(registry: Registry, name: str, spec: SpeechModel | None) -> str:
    """What WhisperModel.load takes: a name of openai-whisper's, or an absolute path. SpeechError if neither
    is there, with what to do."""
    if not spec:
        raise SpeechError(f"{registry.path} has no `speech:` part, so nothing can be transcribed here.")
    path = registry.path.absolute().parent / Path(spec.model).expanduser()
    if spec.model in OFFICIAL:
        return _official(spec.model)
    if path.is_file() or checkpoint_parts(path):
        return str(path)
    others = ", ".join(other for other in registry.speech.models if other != name) or "none"
    raise SpeechError(
        f"The speech model {name!r} is not there: {spec.model} is no checkpoint, nor a folder with the "
        f"parts of one (*.pt.00, ...), and it is none of openai-whisper's names "
        f"({', '.join(OFFICIAL)}). Start with --speech and another one: {others}."
    )


def checkpoint_parts(folder: Path) -> list[Path]:
    """Of a checkpoint that was cut into several files, in their order; none if this is no folder with one."""
    return sorted(folder.glob("*.pt.[0-9][0-9]"))


def _official(model: str) -> str:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"
    if constants.HF_HUB_OFFLINE and not (folder / OFFICIAL[model]).is_file():
        raise SpeechError(
            f"Whisper {model!r} was never downloaded (there is no {folder / OFFICIAL[model]}), "
            "and HF_HUB_OFFLINE forbids to do it now."
        )
    return model
