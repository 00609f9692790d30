"""Products of any layer in blocks of a fixed number of rows, so that a row's bits do not depend on company.

How a matrix product adds up depends on how many rows it has: a token's numbers would change in their last
digits with who else is served. A block is filled up with zeros; the rows of one and the same size of block
come out alike, wherever in it they stand.
"""

import psutil
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from transformers import PreTrainedModel

from models.layers import linear_layers

_ROWS = 8
_SHARE = 0.5  # of the free memory that unpacked weights may take


def compute_in_blocks(layer: torch.nn.Module) -> None:
    """From now on `layer` multiplies so many rows at a time."""
    whole = layer.forward

    def forward(given: torch.Tensor) -> torch.Tensor:
        rows = given.reshape(-1, given.shape[-1])
        count = len(rows)
        if count % _ROWS:
            rows = torch.cat([rows, rows.new_zeros(-count % _ROWS, rows.shape[1])])
        product = torch.cat([whole(block) for block in rows.split(_ROWS)])[:count]
        return product.view(*given.shape[:-1], -1)

    layer.forward = forward


def unpack(model: PreTrainedModel) -> bool:
    """Put float32 layers in the place of the 4-bit ones, if memory allows it; whether it does."""
    packed = {path: layer for path, layer in linear_layers(model).items() if isinstance(layer, Linear4bit)}
    needed = sum(4 * layer.in_features * layer.out_features for layer in packed.values())
    if needed > _SHARE * psutil.virtual_memory().available:
        return False
    for path, layer in packed.items():
        plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        plain.weight = torch.nn.Parameter(weight.float().view(plain.out_features, -1), requires_grad=False)
        plain.bias = layer.bias
        model.set_submodule(path, plain)
    return True
