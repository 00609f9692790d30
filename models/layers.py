"""The linear layers of a model, and which of them read the same input."""

import torch
from transformers import PreTrainedModel


def width(layer: torch.nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear layer or of transformers' Conv1D; None for anything else."""
    for inputs, outputs in (("in_features", "out_features"), ("nx", "nf")):
        if hasattr(layer, inputs):
            return getattr(layer, inputs), getattr(layer, outputs)
    return None


def linear_layers(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """By path, all but the head."""
    head = model.get_output_embeddings()
    return {
        path: module
        for path, module in model.named_modules()
        if width(module) is not None and module is not head
    }


def activations(model: PreTrainedModel) -> list[torch.nn.Module]:
    """Modules such as SiLU and GELU."""
    homes = ("transformers.activations", "torch.nn.modules.activation")
    return [module for module in model.modules() if type(module).__module__ in homes]


def groups(model: PreTrainedModel) -> dict[str, int]:
    """A number for each of `linear_layers`, equal for those that read the same input (q, k and v).

    Seen in one forward pass: the layers that were given the very same tensor. Works for any model.
    """
    layers = linear_layers(model)
    seen: list[tuple[str, torch.Tensor]] = []  # holds the tensors, so that none takes another's place
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, path=path: seen.append((path, inputs[0])))
        for path, layer in layers.items()
    ]
    try:
        with torch.inference_mode():
            model(input_ids=torch.tensor([[0]], device=model.device))
    finally:
        for handle in handles:
            handle.remove()
    numbers: dict[int, int] = {}
    found = {path: numbers.setdefault(id(given), len(numbers)) for path, given in seen}
    return found | {path: len(numbers) + i for i, path in enumerate(layers.keys() - found.keys())}
