"""Loading a base: precisions, shapes that kernels refuse, and what a person reads when it fails."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from bitsandbytes.nn import Linear4bit
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

from models.base import load_base
from models.engine import Engine
from models.errors import BaseError, RegistryError
from models.nf4 import Part
from models.registry import Registry
from models.request import ChatRequest, Message, Sampling
from tests.tiny import make_registry, make_tokenizer

REQUEST = ChatRequest((Message(role="user", content="Hello"),), {}, Sampling(temperature=0, max_tokens=4))


@pytest.mark.parametrize("quantisation", ["4bit", "8bit", "16bit"])
@pytest.mark.parametrize("arch", ["llama", "bloom"])
def test_every_precision_answers_with_and_without_an_adapter(
    arch: str, quantisation: str, tmp_path: Path
) -> None:
    registry = Registry.load(make_registry(tmp_path, arch, quantisation=quantisation))
    engine = Engine(load_base(registry, "tiny"), registry)
    for adapters in ({}, {"red": 1.0}):
        chunks = list(engine.stream(ChatRequest(REQUEST.messages, adapters, REQUEST.sampling)))
        assert chunks[-1].usage.completion_tokens == 4
    assert f"{quantisation[:-3]}-bit" in engine.base.summary
    engine.close()


def odd_base(folder: Path) -> None:
    """Neither 40 nor 72 is a multiple of 32: the AVX512-BF16 kernel refuses such layers."""
    tokenizer = make_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=40,
        intermediate_size=72,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def test_a_shape_that_the_kernel_refuses_takes_the_plain_path(tmp_path: Path) -> None:
    file = make_registry(tmp_path, adapters=())
    odd_base(tmp_path / "tiny")
    registry = Registry.load(file)
    base = load_base(registry, "tiny")
    layers = [layer for layer in base.model.modules() if isinstance(layer, Linear4bit)]
    assert bool(layers) == has_avx512bf16()  # without it they are unpacked
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)
    engine = Engine(base, registry)
    assert list(engine.stream(REQUEST))[-1].finish in ("length", "stop")
    engine.close()


def test_a_base_for_training_stays_on_the_path_that_carries_gradients(tmp_path: Path) -> None:
    base = load_base(Registry.load(make_registry(tmp_path, adapters=())), "tiny", train=True)
    assert not any(
        layer.support_avx512bf16_for_cpu for layer in base.model.modules() if isinstance(layer, Linear4bit)
    )


def test_a_missing_base_names_the_choices(tmp_path: Path) -> None:
    registry = Registry.load(make_registry(tmp_path, adapters=()))
    with pytest.raises(RegistryError, match="'tinny'.*tiny"):
        load_base(registry, "tinny")


def test_a_base_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    file = make_registry(tmp_path, adapters=(), model="nobody/no-such-model")
    with pytest.raises(BaseError, match="'tiny' cannot be loaded from 'nobody/no-such-model'"):
        load_base(Registry.load(file), "tiny")


def test_damaged_weights_are_said_plainly(tmp_path: Path) -> None:
    file = make_registry(tmp_path, adapters=())
    weights = tmp_path / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BaseError, match="'tiny' cannot be loaded"):
        load_base(Registry.load(file), "tiny")


def test_a_context_beyond_the_model_is_refused(tmp_path: Path) -> None:
    file = make_registry(tmp_path, adapters=(), context=4096)
    with pytest.raises(RegistryError, match=r"bases\.tiny\.context is 4096.*256 positions"):
        load_base(Registry.load(file), "tiny")


def test_a_base_without_a_chat_template_says_what_to_set(tmp_path: Path) -> None:
    file = make_registry(tmp_path, adapters=())
    shutil.rmtree(tmp_path / "tiny", ignore_errors=False)
    odd_base(tmp_path / "tiny")
    make_tokenizer(tmp_path / "tiny", chat_template=None)
    (tmp_path / "tiny" / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(BaseError, match="no chat template.*instruct.jinja"):
        load_base(Registry.load(file), "tiny")


def test_an_architecture_that_cannot_run_quantised_is_served_in_16_bits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = make_registry(tmp_path, adapters=())
    shutil.rmtree(tmp_path / "tiny")
    make_tokenizer(tmp_path / "tiny")
    # Mamba multiplies with the bare weight of a layer, which NF4 stores as packed bytes
    MambaForCausalLM(MambaConfig(vocab_size=512, hidden_size=64, num_hidden_layers=2)).save_pretrained(
        tmp_path / "tiny"
    )
    registry = Registry.load(file)
    engine = Engine(load_base(registry, "tiny"), registry)
    assert list(engine.stream(REQUEST))[-1].usage.completion_tokens > 0
    assert "16-bit" in engine.base.summary
    assert "cannot run in 4bit" in caplog.text
    engine.close()


@pytest.mark.skipif(not has_avx512bf16(), reason="4-bit layers are unpacked on this processor")
def test_the_head_is_quantised_and_stays_so(tmp_path: Path) -> None:
    file = make_registry(tmp_path)
    registry = Registry.load(file)
    entry = registry.base("tiny")
    scores = {}
    for head in ("16bit", "4bit"):
        spec = entry.model_copy(update={"head": head})
        base = load_base(registry.model_copy(update={"bases": {"tiny": spec}}), "tiny")
        base.model.tie_weights()  # transformers calls it on many occasions
        assert isinstance(base.model.get_output_embeddings(), Linear4bit | Part) == (head == "4bit")
        assert base.model.get_input_embeddings().weight.dtype == torch.bfloat16
        engine = Engine(base, registry)
        scores[head] = engine.score(REQUEST.messages, "Hello, world!").mean
        engine.close()
    assert scores["4bit"] != scores["16bit"]
    assert scores["4bit"] == pytest.approx(scores["16bit"], abs=0.5)


def test_a_processor_without_bf16_unpacks_the_weights_if_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.load(make_registry(tmp_path))
    for module in ("models.base", "bitsandbytes.nn.modules"):
        monkeypatch.setattr(f"{module}.has_avx512bf16", lambda: False)
    scores = {}
    for free, title in ((10**12, "unpacked to float32"), (1000, "slow")):
        monkeypatch.setattr("psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free))
        base = load_base(registry, "tiny")
        assert title in base.summary
        assert any(isinstance(layer, Linear4bit) for layer in base.model.modules()) == (title == "slow")
        engine = Engine(base, registry)
        alone = engine.score(REQUEST.messages, "Hello, world!", {"red": 1.0})
        streams = [engine.stream(REQUEST) for _ in range(3)]
        assert engine.score(REQUEST.messages, "Hello, world!", {"red": 1.0}) == alone
        texts = {"".join(chunk.text for chunk in stream) for stream in streams}
        assert len(texts) == 1
        scores[title] = alone.mean
        engine.close()
    assert scores["slow"] == pytest.approx(scores["unpacked to float32"], abs=0.05)
