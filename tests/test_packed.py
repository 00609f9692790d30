"""The packed forward pass against transformers and PEFT themselves: this is what a new version may break."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from models import packed
from models.base import LoadedBase, load_base
from models.engine import Engine
from models.lora import AdapterBank
from models.packed import Piece
from models.prompt import encode_prompt
from models.registry import Registry
from models.request import ChatRequest, Message, Sampling
from models.sequence import PAGE, Sequence
from tests.tiny import make_registry

LONG = (Message(role="user", content="What is the capital of France? It is a city on the river Seine. " * 4),)


def float32_base(folder: Path, arch: str) -> tuple[Registry, LoadedBase]:
    registry = Registry.load(make_registry(folder, arch, quantisation="16bit"))
    base = load_base(registry, "tiny")
    base.model.float()
    return registry, base


@pytest.mark.parametrize("arch", ["llama", "qwen2", "gpt2", "bloom"])
def test_in_float32_greedy_answers_equal_pefts_own_generate(arch: str, tmp_path: Path) -> None:
    registry, base = float32_base(tmp_path, arch)
    spec = registry.base("tiny")
    engine = Engine(base, registry)
    ids = torch.tensor([encode_prompt(base.tokenizer, LONG)])
    assert ids.shape[1] > 2 * PAGE
    for name in (None, "red", "blue"):
        request = ChatRequest(LONG, {name: 1.0} if name else {}, Sampling(temperature=0, max_tokens=40))
        text = "".join(chunk.text for chunk in engine.stream(request))
        model = float32_base(tmp_path / str(name), arch)[1].model
        if name:
            model = PeftModel.from_pretrained(model, registry.resolve(spec.adapters[name].path)).eval()
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False
        )
        assert text == base.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    engine.close()


@pytest.mark.parametrize("arch", ["llama", "qwen2", "gpt2"])
def test_pieces_of_several_texts_give_the_logits_of_each(arch: str, tmp_path: Path) -> None:
    registry, base = float32_base(tmp_path, arch)
    bank = AdapterBank(base, registry)
    texts = [list(range(5, 5 + PAGE + 9)), list(range(60, 60 + 2 * PAGE))]
    sequences = [Sequence(ids) for ids in texts]
    found: list[list[torch.Tensor]] = [[], []]
    with torch.inference_mode():
        for _ in range(3):
            pieces = [
                Piece(sequence, start, stop, range(start, stop))
                for sequence in sequences
                for start, stop in [(sequence.length, min(sequence.length + PAGE, len(sequence.ids)))]
                if start < stop
            ]
            if not pieces:
                break
            for piece, logits in zip(pieces, packed.forward(base.model, bank, pieces), strict=True):
                piece.sequence.done(piece.stop)
                found[sequences.index(piece.sequence)].append(logits)
        for ids, parts in zip(texts, found, strict=True):
            right = base.model(input_ids=torch.tensor([ids])).logits[0]
            torch.testing.assert_close(torch.cat(parts), right, atol=2e-4, rtol=2e-4)


def test_in_nf4_logits_are_as_near_to_float32_as_pefts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teacher-forced, with a random adapter: what differs from PEFT is rounding to bfloat16, in both."""
    registry = Registry.load(make_registry(tmp_path))
    adapter = registry.base("tiny").adapters["red"]
    ids = torch.arange(5, 105).tolist()

    def pefts() -> torch.Tensor:
        base = load_base(registry, "tiny", train=True)
        model = PeftModel.from_pretrained(base.model, registry.resolve(adapter.path)).eval()
        with torch.inference_mode():
            return model(input_ids=torch.tensor([ids])).logits[0].float()

    base = load_base(registry, "tiny")
    bank = AdapterBank(base, registry)
    bank.load("red", adapter)
    sequence, ours = Sequence(ids, bank.mix({"red": 1.0})), []
    with torch.inference_mode():
        for start in range(0, len(ids), PAGE):
            stop = min(start + PAGE, len(ids))
            piece = Piece(sequence, start, stop, range(start, stop))
            ours += packed.forward(base.model, bank, [piece])
            sequence.done(stop)
    in_bf16 = pefts()
    monkeypatch.setattr("models.base.has_avx512bf16", lambda: False)
    in_float32 = pefts()
    assert (torch.cat(ours) - in_float32).norm() <= 1.5 * (in_bf16 - in_float32).norm() + 1e-3


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    registry, base = float32_base(tmp_path, "llama")
    ids = torch.arange(5, 40)[None]
    with torch.inference_mode():
        before = base.model(input_ids=ids).logits
        engine = Engine(base, registry)
        list(engine.stream(ChatRequest(LONG, {"red": 1.0}, Sampling(temperature=0, max_tokens=4))))
        engine.close()
        assert torch.equal(base.model(input_ids=ids).logits, before)


def test_a_page_is_settled_only_when_it_was_read_whole() -> None:
    sequence = Sequence(range(3 * PAGE))
    sequence.done(PAGE)
    assert sequence.settled == PAGE and sequence.unsettled
    for stop in range(PAGE + 1, 2 * PAGE + 1):  # token by token, as an answer grows
        sequence.done(stop)
    assert (sequence.length, sequence.settled) == (2 * PAGE, PAGE)
    sequence.back_to_settled()
    sequence.done(2 * PAGE)
    sequence.done(3 * PAGE)
    assert sequence.settled == 3 * PAGE and not sequence.unsettled
    assert sequence.shared([*range(2 * PAGE + 5), -1]) == 2 * PAGE
    assert sequence.shared([-1]) == 0
