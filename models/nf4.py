"""NF4 products on a CPU with AVX512-BF16: one call of bitsandbytes' kernel for layers that read one input.

bitsandbytes calls its kernel layer by layer, with checks on the way that take as long as the product of a
small layer itself. Here q, k and v are one matrix, gate and up another, and the kernel is called straight.
Each row of a product keeps its bits, whatever rows and layers are beside it.
"""

import ctypes
from collections.abc import Sequence

import torch
from bitsandbytes.cextension import lib
from bitsandbytes.functional import QuantState, _convert_weight_packed_for_cpu, has_avx512bf16
from bitsandbytes.nn import Linear4bit
from transformers import PreTrainedModel

from models.layers import groups

_ROWS, _COLUMNS = 32, 64  # outputs and inputs that the kernel takes at once


def join_layers(model: PreTrainedModel) -> None:
    """Put `Part`s in the place of all layers that the kernel can compute, the head among them."""
    members: dict[int, list[str]] = {}
    for path, group in groups(model).items():
        members.setdefault(group, []).append(path)
    head = [path for path, layer in model.named_modules() if layer is model.get_output_embeddings()]
    for paths in (*members.values(), head):
        layers = [model.get_submodule(path) for path in paths]
        if not layers or not all(_can_join(layer) for layer in layers):
            continue
        joined, first = Joined(layers), 0
        for path, layer in zip(paths, layers, strict=True):
            model.set_submodule(path, Part(joined, first, layer))
            first += layer.out_features


def _can_join(layer: torch.nn.Module) -> bool:
    return (
        type(layer) is Linear4bit
        and has_avx512bf16()
        and layer.weight.device.type == "cpu"
        and layer.weight.quant_state.quant_type == "nf4"
        and layer.out_features % _ROWS == layer.in_features % _COLUMNS == 0
    )


def _as_the_kernel_wants(layer: Linear4bit) -> tuple[torch.Tensor, QuantState]:
    weight, state = layer.weight.data, layer.weight.quant_state
    if getattr(state, "packing_format_for_cpu", False):  # since its first forward pass
        return weight, state
    return _convert_weight_packed_for_cpu(weight, state)


class Joined(torch.nn.Module):
    """The weights of layers with the same inputs, one below the other, and their product with the last input.

    `packed` [outputs, inputs / 2] and `absmax` [inputs / 64, outputs] are as bitsandbytes lays them out for
    its kernel; both go on along the outputs.
    """

    def __init__(self, layers: Sequence[Linear4bit]):
        super().__init__()
        pairs = [_as_the_kernel_wants(layer) for layer in layers]
        weights, scales = [weight for weight, _ in pairs], [state.absmax for _, state in pairs]
        block = pairs[0][1].blocksize
        self.register_buffer("packed", torch.cat(weights), persistent=False)
        self.register_buffer("absmax", torch.cat(scales, dim=1).contiguous(), persistent=False)
        self._inputs, self._outputs = layers[0].in_features, len(self.packed)
        self._sizes = ctypes.c_int64(self._outputs), ctypes.c_int64(self._inputs)
        self._strides = ctypes.c_int64(block), ctypes.c_int64(self._inputs), ctypes.c_int64(self._outputs)
        self._given: torch.Tensor | None = None
        self._product: torch.Tensor | None = None
        self._layers = len(layers)
        self._asked: set[int] = set()

    def forward(self, given: torch.Tensor, first: int) -> torch.Tensor:
        """[..., inputs] -> [..., outputs of all layers], in bf16, for the layer that begins at `first`.

        Computed once for all of them, and again for one that asks twice: it may have changed its part.
        """
        if given is not self._given or first in self._asked:
            self._given, self._product, self._asked = given, self._multiply(given), set()
        product = self._product
        self._asked.add(first)
        if len(self._asked) == self._layers:
            self._given = self._product = None
        return product

    def _multiply(self, given: torch.Tensor) -> torch.Tensor:
        rows = given.to(torch.bfloat16).contiguous()
        product = rows.new_empty(*given.shape[:-1], self._outputs)
        lib.gemv_4bit_inference_cpu_nf4_bf16(
            ctypes.c_int64(rows.numel() // self._inputs),
            *self._sizes,
            ctypes.c_void_p(rows.data_ptr()),
            ctypes.c_void_p(self.packed.data_ptr()),
            ctypes.c_void_p(self.absmax.data_ptr()),
            ctypes.c_void_p(product.data_ptr()),
            *self._strides,
        )
        return product


class Part(torch.nn.Module):
    """One of the layers of a `Joined`, in the place where the model looks for it."""

    def __init__(self, joined: Joined, first: int, layer: Linear4bit):
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.joined = joined
        self.bias = layer.bias
        self._first, self._last = first, first + layer.out_features

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        product = self.joined(given, self._first)[..., self._first : self._last]
        return product if self.bias is None else product + self.bias.to(product.dtype)
