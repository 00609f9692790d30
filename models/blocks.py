"""Products of any layer in blocks of a fixed number of rows, so that a row's bits do not depend on company.

How a matrix product adds up depends on how many rows it has: a token's numbers would change in their last
digits with who else is served. A block is filled up with zeros; the rows of one and the same size of block
come out alike, wherever in it they stand.
"""

from contextlib import suppress
from pathlib import Path

import psutil
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from transformers import PreTrainedModel

from models.layers import linear_layers, width

_ROWS = 8
_CGROUP = Path("/sys/fs/cgroup")
_SHARE = 0.5  # of the free memory that unpacked weights may take


def compute_in_blocks(layer: torch.nn.Module) -> None:
    """From now on `layer` is given so many rows at a time."""
    # int8 looks for outliers among all rows of a product, and in float32 the last few of many numbers take
    # another exponential than the rest: there every row goes by itself
    size = 1 if isinstance(layer, Linear8bitLt) or width(layer) is None else _ROWS
    whole = layer.forward

    def forward(given: torch.Tensor) -> torch.Tensor:
        rows = given.reshape(-1, given.shape[-1])
        count = len(rows)
        if count % size:
            rows = torch.cat([rows, rows.new_zeros(-count % size, rows.shape[1])])
        product = torch.cat([whole(block) for block in rows.split(size)])[:count]
        return product.view(*given.shape[:-1], -1)

    layer.forward = forward


def unpack(model: PreTrainedModel) -> bool:
    """Put float32 layers in the place of the 4-bit ones, if memory allows it; whether it does."""
    packed = {path: layer for path, layer in linear_layers(model).items() if isinstance(layer, Linear4bit)}
    needed = sum(4 * layer.in_features * layer.out_features for layer in packed.values())
    if needed > _SHARE * _free_memory():
        return False
    for path, layer in packed.items():
        plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        plain.weight = torch.nn.Parameter(weight.float().view(plain.out_features, -1), requires_grad=False)
        plain.bias = layer.bias
        model.set_submodule(path, plain)
    return True


def _free_memory() -> int:
    """Bytes: of the machine, or of the container if that has less."""
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        free = min(free, int(limit) - int(used))
    return free
