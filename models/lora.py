"""AdapterBank: the adapters that are resident beside one base. One thread may use it: the engine's."""

import itertools
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from peft import PeftConfig, PeftModel
from safetensors import safe_open

from models.base import UNKNOWN_HASH, LoadedBase, template_hash
from models.errors import AdapterError, RegistryError
from models.registry import Adapter, Registry

log = logging.getLogger(__name__)

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class AdapterStatus:
    """An adapter of adapters.yaml: can it be used and, if not, why not."""

    name: str
    spec: Adapter
    reason: str | None = None

    @property
    def available(self) -> bool:
        return self.reason is None


class AdapterBank:
    """LoRA weights beside the base. An adapter that does not fit is refused when it is loaded."""

    def __init__(self, base: LoadedBase):
        self._base = base
        self._peft: PeftModel | None = None
        self._keys: dict[str, str] = {}  # PEFT makes module names of its adapter names: no dots allowed
        self._numbers = itertools.count()
        self._acting: str | None = None

    def load_all(self, registry: Registry) -> dict[str, AdapterStatus]:
        """Load every adapter that adapters.yaml lists for this base; refusals become a reason."""
        found = {}
        for name, spec in self._base.spec.adapters.items():
            try:
                self.load(name, spec, registry)
                found[name] = AdapterStatus(name, spec)
            except AdapterError as error:
                log.warning("adapter %s is unavailable: %s", name, error)
                found[name] = AdapterStatus(name, spec, str(error))
        return found

    def load(self, name: str, spec: Adapter, registry: Registry) -> None:
        """Check the files of adapter `name`, then make it resident. Raises AdapterError."""
        folder = _local_folder(_source(spec, registry))
        _check(folder, self._base)
        key = f"adapter{next(self._numbers)}"
        try:
            self._add(key, folder)
        except Exception as error:
            self._remove(key)
            if isinstance(error, AdapterError):
                raise
            log.exception("adapter %s passed the checks but PEFT refused it", name)
            raise AdapterError(f"it cannot be applied to base {self._base.name!r}: {error}") from error
        finally:
            self._rest()
        self._keys[name] = key

    def apply(self, name: str | None) -> torch.nn.Module:
        """The model with adapter `name` acting, or none, until the next call."""
        if self._peft is None:
            return self._base.model
        if name != self._acting:
            layers = self._peft.base_model
            if name is None:
                layers.disable_adapter_layers()
            else:
                layers.enable_adapter_layers()
                layers.set_adapter(self._keys[name], inference_mode=True)
            self._acting = name
        return self._peft

    def _add(self, key: str, folder: Path) -> None:
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        if self._peft is None:
            self._peft = PeftModel(self._base.model, config, key)
        else:
            self._peft.add_adapter(key, config)
        loaded = self._peft.load_adapter(str(folder), key, torch_device=str(self._base.device))
        if differing := [*loaded.missing_keys, *loaded.unexpected_keys]:
            # PEFT only warns: the adapter would act in part, or not at all
            raise AdapterError(
                f"adapter_config.json and {WEIGHTS} name different layers ({len(differing)}, among them "
                f"{differing[0]})."
            )

    def _remove(self, key: str) -> None:
        """Take a half-loaded adapter out of the base again."""
        if self._peft is None:
            return
        if self._keys:
            self._peft.delete_adapter(key)
        else:
            self._peft.unload()  # puts the plain layers back into the base itself
            self._peft = None

    def _rest(self) -> None:
        """No adapter acting, whatever PEFT switched on while loading."""
        if self._peft is not None:
            self._peft.eval()
            self._peft.base_model.disable_adapter_layers()
        self._acting = None


def _source(spec: Adapter, registry: Registry) -> str:
    try:
        return registry.resolve(spec.path)
    except RegistryError as error:
        log.warning("%s", error)  # where it was looked for is for the log: visitors read the reason
        raise AdapterError(f"{spec.path!r} is neither a folder here nor a Hub id.") from error


def _local_folder(source: str) -> Path:
    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        log.exception("fetching the adapter %s failed", source)
        raise AdapterError(f"{source!r} is no folder here and cannot be fetched from the Hub.") from error


def _check(folder: Path, base: LoadedBase) -> None:
    """Refuse what is no LoRA adapter of this base in safetensors form, before PEFT touches the model."""
    config = _read_json(folder / "adapter_config.json")
    if not (folder / WEIGHTS).is_file():
        pickled = sorted(file.name for file in folder.glob("*.bin"))
        hint = f" ({pickled[0]} is a pickle, which can run code: convert it)" if pickled else ""
        raise AdapterError(f"{WEIGHTS} is not in {folder.name!r}{hint}.")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterError(f"it is of type {kind!r}; only LORA can be served.")
    for key in ("use_dora", "modules_to_save", "trainable_token_indices"):
        if config.get(key):
            raise AdapterError(f"it uses {key}, which cannot be switched per request.")
    _check_base(folder, base)
    _check_weights(folder / WEIGHTS, base)


def _check_base(folder: Path, base: LoadedBase) -> None:
    """Adapters of our own training tell the hashes of the weights and the template they were trained with."""
    card = folder / "training.json"
    made_from = _read_json(card).get("fingerprint") if card.is_file() else None
    if not isinstance(made_from, dict):
        return
    weights, template = made_from.get("base"), made_from.get("template")
    if weights not in (None, UNKNOWN_HASH, base.hash):
        raise AdapterError(
            f"it was trained on other weights ({str(weights)[:12]}) than those of base {base.name!r} "
            f"({base.hash[:12]}). Train it again on this base."
        )
    if template not in (None, template_hash(base.tokenizer)):
        log.warning("the adapter in %s was trained with another chat template than %s has", folder, base.name)


def _check_weights(file: Path, base: LoadedBase) -> None:
    layers = {path: layer for path, layer in base.model.named_modules() if hasattr(layer, "weight")}
    try:
        with safe_open(file, "pt") as tensors:
            if not (keys := list(tensors.keys())):
                raise AdapterError(f"{file.name} holds no weights.")
            for key in keys:
                _check_tensor(key, tensors.get_tensor(key), layers, base.name)
    except AdapterError:
        raise
    except Exception as error:  # safetensors raises Rust errors of its own for a broken file
        raise AdapterError(f"{file.name} is damaged or cut short ({error}).") from error


def _check_tensor(key: str, tensor: torch.Tensor, layers: dict[str, torch.nn.Module], base: str) -> None:
    path, _, matrix = key.removeprefix("base_model.model.").rpartition(".lora_")
    if path not in layers:
        raise AdapterError(f"it is not for base {base!r}: it changes {path!r}, which that model has not.")
    inputs, outputs = _shape(layers[path])
    has, needs = (tensor.shape[-1], inputs) if matrix.startswith("A") else (tensor.shape[0], outputs)
    if has != needs:
        raise AdapterError(
            f"it is not for base {base!r}: {path} is {inputs} -> {outputs} wide there, and the adapter's "
            f"lora_{matrix[:1]} has {has} where {needs} is needed."
        )
    if not tensor.isfinite().all():
        raise AdapterError(f"{key} holds NaN or infinite values.")


def _shape(layer: torch.nn.Module) -> tuple[int, int]:
    """(inputs, outputs) of a linear layer, adapted or not, or of transformers' Conv1D."""
    for inputs, outputs in (("in_features", "out_features"), ("nx", "nf")):
        if hasattr(layer, inputs):
            return getattr(layer, inputs), getattr(layer, outputs)
    raise AdapterError(f"a layer of type {type(layer).__name__} cannot be adapted here.")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdapterError(f"{file.name} is not in {file.parent.name!r}.") from error
    except (OSError, ValueError) as error:
        raise AdapterError(f"{file.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise AdapterError(f"{file.name} holds a {type(content).__name__} where an object is needed.")
    return content
