"""The engine on tiny real models: exact against PEFT, interleaved, cancelled, failed, full and closed."""

import threading
import time
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from models.base import load_base
from models.engine import Engine, Stream
from models.errors import AdapterError, Busy, EngineError, PromptError
from models.generation import Generation
from models.prompt import encode_prompt
from models.registry import Registry
from models.request import ChatRequest, Chunk, Message, Sampling
from tests.tiny import make_registry

GREEDY = Sampling(temperature=0, max_tokens=24)
QUESTION = (Message(role="user", content="What is the capital of France?"),)


def only(adapter: str | None) -> dict[str, float]:
    return {adapter: 1.0} if adapter else {}


def collect(stream: Stream) -> tuple[str, Chunk]:
    chunks = list(stream)
    return "".join(chunk.text for chunk in chunks), chunks[-1]


def ask(engine: Engine, adapter: str | None = None, **kwargs: object) -> str:
    return collect(engine.stream(ChatRequest(QUESTION, only(adapter), **{"sampling": GREEDY, **kwargs})))[0]


def open_engine(file: Path) -> Engine:
    registry = Registry.load(file)
    return Engine(load_base(registry, registry.default), registry)


@pytest.fixture(scope="module")
def registry_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_registry(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def engine(registry_file: Path) -> Engine:
    engine = open_engine(registry_file)
    yield engine
    engine.close()


@pytest.mark.parametrize("arch", ["llama", "bloom", "qwen2", "gpt2"])
def test_greedy_answers_equal_pefts_own_generate(arch: str, tmp_path: Path) -> None:
    file = make_registry(tmp_path, arch)
    registry = Registry.load(file)
    spec = registry.base("tiny")
    engine = open_engine(file)
    tokenizer = engine.base.tokenizer
    answers = {name: ask(engine, name) for name in (None, "red", "blue")}
    engine.close()

    def reference() -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(
            registry.resolve(spec.model),
            dtype=torch.bfloat16,
            quantization_config=BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            ),
        ).eval()

    ids = torch.tensor([encode_prompt(tokenizer, QUESTION)])

    def generate(model: torch.nn.Module) -> str:
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
        )
        return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)

    expected = {None: generate(reference())}
    for name in ("red", "blue"):
        # onto a base that has not run: PEFT moves its layers, and bitsandbytes then packs their scales again
        path = registry.resolve(spec.adapters[name].path)
        expected[name] = generate(PeftModel.from_pretrained(reference(), path).eval())
    assert answers == expected
    assert len(set(answers.values())) == 3


def test_base_is_quantised_and_says_so(engine: Engine) -> None:
    assert "NF4" in engine.base.summary
    assert "tiny" in engine.base.summary
    plain = sum(p.numel() for p in engine.base.model.parameters()) * 4
    assert 0 < engine.base.bytes < plain


def test_company_does_not_change_an_answer(engine: Engine) -> None:
    seeded = Sampling(temperature=1.0, max_tokens=24)
    alone = {
        (name, seed): ask(engine, name, sampling=seeded, seed=seed)
        for name in (None, "red", "blue")
        for seed in range(4)
    }
    streams = {
        (name, seed): engine.stream(ChatRequest(QUESTION, only(name), seeded, seed)) for name, seed in alone
    }
    assert {key: collect(stream)[0] for key, stream in streams.items()} == alone
    assert len(set(alone.values())) == len(alone)


def test_streams_take_turns(engine: Engine) -> None:
    long = Sampling(temperature=0, max_tokens=100)
    streams = [engine.stream(ChatRequest(QUESTION, only(name), long)) for name in ("red", "blue")]
    order: list[int] = []

    def read(index: int) -> None:
        for chunk in streams[index]:
            if chunk.text:
                order.append(index)

    threads = [threading.Thread(target=read, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(a != b for a, b in zip(order, order[1:], strict=False)) > 10


def test_the_last_chunk_tells_what_happened(engine: Engine) -> None:
    text, last = collect(engine.stream(ChatRequest(QUESTION, {"red": 1.0}, GREEDY)))
    assert text
    assert last.finish == "length"
    assert last.usage.completion_tokens == 24
    assert last.usage.prompt_tokens == len(encode_prompt(engine.base.tokenizer, QUESTION))
    assert last.usage.first_token_seconds > 0
    assert last.usage.tokens_per_second > 0


def test_stop_string_is_cut_and_never_shown(engine: Engine) -> None:
    whole = ask(engine, "red")
    stop = whole[8:11]
    text, last = collect(engine.stream(ChatRequest(QUESTION, {"red": 1.0}, GREEDY, stop=(stop,))))
    assert text == whole[: whole.index(stop)]
    assert last.finish == "stop"


def test_an_unfinished_answer_is_continued(engine: Engine) -> None:
    tokenizer = engine.base.tokenizer
    conversation = (*QUESTION, Message(role="assistant", content="The capital"))
    text, _ = collect(engine.stream(ChatRequest(conversation, {}, GREEDY)))
    engine.close()  # the model is its alone until then
    begun = encode_prompt(tokenizer, QUESTION) + tokenizer.encode("The capital", add_special_tokens=False)
    ids = torch.tensor([begun])
    out = engine.base.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
    )
    assert text == tokenizer.decode(out[0, len(begun) :], skip_special_tokens=True)


def wait_until(condition: object, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_cancel_stops_within_a_step(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    real = Generation.take
    monkeypatch.setattr(Generation, "take", lambda self, *args: steps.append(1) or real(self, *args))
    stream = engine.stream(ChatRequest(QUESTION, {"red": 1.0}, Sampling(temperature=0, max_tokens=200)))
    next(stream)
    stream.cancel()
    at_cancel = len(steps)
    assert list(stream)[-1].finish == "cancelled"
    assert len(steps) <= at_cancel + 1
    wait_until(lambda: engine.busy == 0)


def test_a_dropped_consumer_frees_its_place(engine: Engine) -> None:
    stream = engine.stream(ChatRequest(QUESTION, {"red": 1.0}, Sampling(temperature=0, max_tokens=200)))
    next(stream)
    del stream
    wait_until(lambda: engine.busy == 0)


def test_a_failed_request_leaves_the_next_one_right(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    right = {name: ask(engine, name) for name in (None, "red", "blue")}
    layer = engine.base.model.get_decoder().layers[1]

    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    for failing in (None, "red"):
        handle = layer.register_forward_pre_hook(fail)
        with pytest.raises(EngineError, match="RuntimeError"):
            ask(engine, failing)
        handle.remove()
        assert {name: ask(engine, name) for name in right} == right
    assert "planted" in caplog.text  # the trace is in the log, not in the person's face


def test_an_unknown_adapter_names_the_choices(engine: Engine) -> None:
    with pytest.raises(AdapterError, match=r"'green'.*red, blue"):
        ask(engine, "green")


def test_a_temperature_near_zero_is_greedy(engine: Engine) -> None:
    assert ask(engine, sampling=Sampling(temperature=1e-300, max_tokens=24)) == ask(engine)


def test_a_seed_that_is_no_64_bit_number_is_refused(engine: Engine) -> None:
    with pytest.raises(PromptError, match=str(2**63)):
        ask(engine, seed=2**63)


def test_a_prompt_longer_than_the_context_is_refused(engine: Engine) -> None:
    endless = (Message(role="user", content="word " * 2000),)
    with pytest.raises(PromptError, match=r"tokens long; this base has room for \d+"):
        engine.stream(ChatRequest(endless, {}, GREEDY))
    assert ask(engine)


def test_oldest_turns_leave_when_the_context_is_full(engine: Engine) -> None:
    turns = [Message(role="system", content="Be brief.")]
    for number in range(12):
        turns += [
            Message(role="user", content=f"Question {number}: how are you today?"),
            Message(role="assistant", content="Several people were waiting for the evening train."),
        ]
    turns.append(Message(role="user", content="And now?"))
    _, last = collect(engine.stream(ChatRequest(tuple(turns), {}, GREEDY)))
    assert last.usage.dropped_messages > 0
    assert last.usage.dropped_messages % 2 == 0
    assert last.usage.prompt_tokens + last.usage.completion_tokens <= engine.base.context


def test_a_full_queue_says_when_to_come_back(registry_file: Path, tmp_path: Path) -> None:
    registry = Registry.load(registry_file)
    limits = registry.limits.model_copy(update={"queue": 64, "active": 1})
    engine = Engine(load_base(registry, "tiny"), registry.model_copy(update={"limits": limits}))
    long = Sampling(temperature=0, max_tokens=150)
    streams = []
    with pytest.raises(Busy, match=r"Try again in \d+ s") as refused:
        for _ in range(80):
            streams.append(engine.stream(ChatRequest(QUESTION, {}, long)))
    assert refused.value.retry_after > 0
    assert len(streams) >= 64
    for stream in streams[1:]:
        stream.cancel()
    # those that only waited are gone at once, while the first one is still being answered
    assert all(list(stream)[-1].finish == "cancelled" for stream in streams[1:])
    assert ask(engine, sampling=Sampling(temperature=0, max_tokens=2))
    assert list(streams[0])[-1].finish == "length"
    engine.close()


def test_closing_ends_every_stream(registry_file: Path) -> None:
    engine = open_engine(registry_file)
    stream = engine.stream(ChatRequest(QUESTION, {"red": 1.0}, Sampling(temperature=0, max_tokens=200)))
    next(stream)
    engine.close()
    with pytest.raises(EngineError, match="shut down"):
        list(stream)
    with pytest.raises(EngineError, match="shutting down"):
        engine.stream(ChatRequest(QUESTION))


def test_draining_lets_answers_finish(registry_file: Path) -> None:
    engine = open_engine(registry_file)
    stream = engine.stream(ChatRequest(QUESTION, {"red": 1.0}, GREEDY))
    engine.close(drain=True)
    assert collect(stream)[1].finish == "length"
