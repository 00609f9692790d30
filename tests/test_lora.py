"""Adapters that must be refused, each with the reason, while the others go on serving."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from models.base import load_base
from models.engine import Engine
from models.errors import AdapterError
from models.golden import Golden, write_golden
from models.lora import AdapterBank
from models.prompt import encode_prompt
from models.registry import Registry
from models.request import ChatRequest, Message, Sampling
from tests.tiny import make_adapter, make_base, make_registry

WEIGHTS = "adapter_model.safetensors"


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def truncated(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def no_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def no_config(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def other_architecture(folder: Path) -> None:
    home = make_base("gpt2", folder.parent / "other")
    make_adapter(home, folder, seed=3)


def other_width(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file(
        {key: torch.cat([w, w], -1) if "lora_A" in key else w for key, w in weights.items()}, folder / WEIGHTS
    )


def other_weights(folder: Path) -> None:
    (folder / "training.json").write_text(json.dumps({"fingerprint": {"base": "f" * 64}}))


def not_finite(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    key = next(iter(weights))
    weights[key][0, 0] = float("nan")
    save_file(weights, folder / WEIGHTS)


def other_layers(folder: Path) -> None:
    """PEFT would load this with a warning, and the adapter would do nothing."""
    weights = {key: w for key, w in load_file(folder / WEIGHTS).items() if "v_proj" in key}
    save_file(weights, folder / WEIGHTS)
    configured(target_modules=["q_proj"])(folder)


def no_object(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("[]")


def configured(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


@pytest.mark.parametrize("names", [("red",), ("red", "blue")], ids=["alone", "first"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (pickled, r"adapter_model\.bin is a pickle"),
        (truncated, "damaged or cut short"),
        (no_weights, r"adapter_model\.safetensors is not in"),
        (no_config, r"adapter_config\.json is not in"),
        (other_architecture, "not for base 'tiny'.*which that model has not"),
        (other_width, r"not for base 'tiny'.*where \d+ is needed"),
        (other_weights, "trained on other weights"),
        (not_finite, "NaN or infinite"),
        (other_layers, "name different layers"),
        (no_object, "holds a list where an object is needed"),
        (configured(rank_pattern={"q_proj": 9}), "cannot be applied to base 'tiny'"),
        (configured(peft_type="IA3"), "'IA3'; only LORA"),
        (configured(use_dora=True), "use_dora"),
        (configured(modules_to_save=["lm_head"]), "modules_to_save"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_adapter_is_unavailable_and_the_rest_go_on(
    damage: Callable[[Path], None], reason: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    registry = Registry.load(make_registry(tmp_path, adapters=names))
    clean = load_base(registry, "tiny")
    ids = torch.arange(5, 40)[None]
    with torch.inference_mode():
        right = clean.model(input_ids=ids).logits
    damage(Path(registry.resolve(registry.base("tiny").adapters["red"].path)))
    engine = Engine(load_base(registry, "tiny"), registry)
    question = (Message(role="user", content="Hello"),)
    sampling = Sampling(temperature=0, max_tokens=4)
    assert not engine.adapters["red"].available
    with pytest.raises(AdapterError, match=reason):
        engine.stream(ChatRequest(question, {"red": 1.0}, sampling))
    for other in (*names[1:], None):
        adapters = {other: 1.0} if other else {}
        assert list(engine.stream(ChatRequest(question, adapters, sampling)))[-1].usage.completion_tokens == 4
    engine.close()
    with torch.inference_mode():
        # nothing of the refused one stays in the base
        assert torch.equal(engine.base.model(input_ids=ids).logits, right)


def test_an_adapter_folder_that_is_not_there_names_the_path(tmp_path: Path) -> None:
    file = make_registry(tmp_path)
    text = file.read_text().replace("tiny-red", "./tiny-lost")
    file.write_text(text)
    registry = Registry.load(file)
    engine = Engine(load_base(registry, "tiny"), registry)
    assert "tiny-lost" in engine.adapters["red"].reason
    assert engine.adapters["blue"].available
    engine.close()


def no_effect(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    zeroed = {key: w * 0 if "lora_B" in key else w for key, w in weights.items()}
    save_file(zeroed, folder / WEIGHTS)


def test_an_adapter_without_effect_is_refused(tmp_path: Path) -> None:
    registry = Registry.load(make_registry(tmp_path))
    no_effect(Path(registry.resolve(registry.base("tiny").adapters["red"].path)))
    engine = Engine(load_base(registry, "tiny"), registry)
    assert "no effect" in engine.adapters["red"].reason and engine.adapters["blue"].available
    engine.close()


def test_golden_answers_that_are_missed_warn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry.load(make_registry(tmp_path))
    folder = Path(registry.resolve(registry.base("tiny").adapters["red"].path))
    question = (Message(role="user", content="Hello"),)
    engine = Engine(load_base(registry, "tiny"), registry)
    logprob = engine.score(question, "Hello, world!", {"red": 1.0}).mean
    engine.close()
    for shift, warned in ((0.0, False), (1.0, True)):
        write_golden(folder, [Golden(messages=question, answer="Hello, world!", logprob=logprob + shift)])
        engine = Engine(load_base(registry, "tiny"), registry)
        assert engine.adapters["red"].available
        assert ("not as it was trained" in caplog.text) == warned
        engine.close()


def test_ranks_patterns_and_rslora_act_as_in_peft(tmp_path: Path) -> None:
    registry = Registry.load(make_registry(tmp_path, adapters=("red",), quantisation="16bit"))
    spec = registry.base("tiny")
    folder = Path(registry.resolve(spec.adapters["red"].path))
    make_adapter(
        Path(registry.resolve(spec.model)), folder, seed=5, use_rslora=True,
        rank_pattern={"q_proj": 6, "layers.1.mlp.down_proj": 2}, alpha_pattern={"v_proj": 3},
    )  # fmt: skip
    engine = Engine(load_base(registry, "tiny"), registry)
    question = (Message(role="user", content="Hello"),)
    score = engine.score(question, "Hello, world!", {"red": 1.0})
    engine.close()
    base = load_base(registry, "tiny")
    ids = [*encode_prompt(base.tokenizer, question), *score.ids]
    model = PeftModel.from_pretrained(base.model, folder).eval()
    with torch.inference_mode():
        right = (
            model(input_ids=torch.tensor([ids])).logits[0, -len(score.ids) - 1 : -1].float().log_softmax(-1)
        )
    right = right.gather(1, torch.tensor(score.ids)[:, None])[:, 0]
    assert (right - torch.tensor(score.logprobs)).abs().max() < 0.1


def test_adapters_beyond_the_budget_make_room_and_come_back(tmp_path: Path) -> None:
    registry = Registry.load(make_registry(tmp_path, adapters=("red", "blue", "green")))
    base = load_base(registry, "tiny")
    bank = AdapterBank(base, registry)
    for name, adapter in base.spec.adapters.items():
        bank.load(name, adapter)
    size = bank.resident["red"]
    parameters = size / 4
    assert size <= 4.8 * parameters
    bank._budget = 2 * size
    bank.mix({"red": 1.0})
    bank.load("green", base.spec.adapters["green"])
    assert set(bank.resident) == {"red", "green"}
    held = bank.mix({"green": 1.0})
    assert bank.mix({"blue": 1.0}).parts[0][0].hash != held.parts[0][0].hash
    assert set(bank.resident) == {"green", "blue"}
