"""Joined NF4 layers against bitsandbytes' own, bit by bit."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16

from models.base import load_base
from models.layers import linear_layers
from models.nf4 import Joined, Part, join_layers
from models.registry import Registry
from tests.tiny import make_registry

pytestmark = pytest.mark.skipif(not has_avx512bf16(), reason="the kernel needs AVX512-BF16")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    monkeypatch.setattr("models.base.join_layers", lambda model: None)
    return load_base(Registry.load(make_registry(tmp_path, adapters=())), "tiny").model


@pytest.mark.parametrize("rows", [1, 2, 5, 32, 40])
def test_joined_layers_give_the_bits_of_each_alone(model: torch.nn.Module, rows: int) -> None:
    layer = model.model.layers[0]
    given = {
        "attention": torch.randn(1, rows, 64),
        "mlp": torch.randn(1, rows, layer.mlp.down_proj.in_features),
    }
    given = {name: value.bfloat16() for name, value in given.items()}

    def products() -> list[torch.Tensor]:
        attention, mlp = layer.self_attn, layer.mlp
        pairs = [(attention.q_proj, "attention"), (attention.k_proj, "attention"), (mlp.down_proj, "mlp")]
        pairs += [(attention.v_proj, "attention"), (mlp.gate_proj, "attention"), (mlp.up_proj, "attention")]
        return [linear(given[name]).clone() for linear, name in pairs]

    with torch.inference_mode():
        before = products()
        join_layers(model)
        assert all(torch.equal(one, other) for one, other in zip(before, products(), strict=True))


def test_layers_with_one_input_are_one_product(model: torch.nn.Module) -> None:
    join_layers(model)
    attention, mlp = model.model.layers[0].self_attn, model.model.layers[0].mlp
    assert attention.q_proj.joined is attention.k_proj.joined is attention.v_proj.joined
    assert mlp.gate_proj.joined is mlp.up_proj.joined is not mlp.down_proj.joined
    assert all(isinstance(layer, Part) for layer in linear_layers(model).values())
    assert sum(isinstance(module, Joined) for module in model.modules()) == 4 * len(model.model.layers)


def test_the_whole_model_keeps_its_bits(model: torch.nn.Module) -> None:
    ids = torch.arange(5, 45)[None]
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        join_layers(model)
        assert torch.equal(model(input_ids=ids).logits, before)
        assert torch.equal(model(input_ids=ids).logits, before)


def test_a_layer_that_asks_twice_gets_a_product_of_its_own(model: torch.nn.Module) -> None:
    join_layers(model)
    layer = model.model.layers[0].self_attn.k_proj
    given = torch.randn(1, 3, layer.in_features).bfloat16()
    with torch.inference_mode():
        first = layer(given)
        before = first.clone()
        first += 1  # as an adapter does
        assert torch.equal(layer(given), before)
