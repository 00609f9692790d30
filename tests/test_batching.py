"""Continuous batching: the same bits in any company, pages that are shared, steps that fail, no thread."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from models import packed, plain
from models.base import load_base
from models.engine import Engine
from models.errors import AdapterError, EngineError
from models.prompt import encode_prompt
from models.registry import Registry
from models.request import ChatRequest, Message, Sampling
from models.sequence import PAGE
from tests.tiny import make_registry

GREEDY = Sampling(temperature=0, max_tokens=20)
SEEDED = Sampling(temperature=1.0, top_p=0.9, max_tokens=20)
SHORT = (Message(role="user", content="Hello"),)
LONG = (Message(role="user", content="What is the capital of France? It is a city on the river Seine. " * 5),)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry.load(make_registry(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def engine(registry: Registry) -> Iterator[Engine]:
    engine = Engine(load_base(registry, "tiny"), registry)
    yield engine
    engine.close()


def answer(engine: Engine, request: ChatRequest) -> str:
    return "".join(chunk.text for chunk in engine.stream(request))


def some_request(rng: random.Random) -> ChatRequest:
    mixes = [{}, {"red": 1.0}, {"blue": 1.0}, {"red": 0.4}, {"blue": 1.5}, {"red": 0.5, "blue": 0.7}]
    sampling = rng.choice([GREEDY, SEEDED])
    return ChatRequest(rng.choice([SHORT, LONG]), rng.choice(mixes), sampling, seed=rng.randrange(3))


@pytest.mark.parametrize("schedule", range(12))
def test_an_answer_has_the_same_bits_whatever_the_company(engine: Engine, schedule: int) -> None:
    rng = random.Random(schedule)
    requests = [some_request(rng) for _ in range(rng.choice([4, 8, 16]))]
    leaving = set(rng.sample(range(len(requests)), 2))
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        stream = engine.stream(requests[number])
        if number in leaving:
            next(stream)
            stream.cancel()
        found[number] = "".join(chunk.text for chunk in stream)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, request in enumerate(requests):
        if number not in leaving:
            assert found[number] == answer(engine, request)


def test_what_a_fresh_engine_answers_is_what_a_busy_one_has_answered(registry: Registry) -> None:
    texts = []
    for warm in (False, True):
        engine = Engine(load_base(registry, "tiny"), registry)
        if warm:
            for request in (ChatRequest(LONG, {"red": 1.0}, SEEDED, 1), ChatRequest(SHORT, {}, GREEDY)):
                answer(engine, request)
        texts.append(answer(engine, ChatRequest(LONG, {"red": 1.0}, GREEDY)))
        engine.close()
    assert texts[0] == texts[1]


def test_the_next_turn_costs_its_new_tokens_and_only_the_same_mix_shares(engine: Engine) -> None:
    def cached(messages: tuple[Message, ...], adapters: dict[str, float]) -> int:
        return list(engine.stream(ChatRequest(messages, adapters, GREEDY)))[-1].usage.cached_tokens

    assert cached(LONG, {"red": 1.0}) == 0
    count = len(encode_prompt(engine.base.tokenizer, LONG))
    whole_pages = (count - 1) // PAGE * PAGE
    assert count > 2 * PAGE
    for others in ({}, {"blue": 1.0}, {"red": 0.5}, {"red": 1.0, "blue": 0.1}):
        assert cached(LONG, others) == 0
    assert cached(LONG, {"red": 1.0}) == whole_pages
    text = answer(engine, ChatRequest(LONG, {"red": 1.0}, GREEDY))
    more = (*LONG, Message(role="assistant", content=text), Message(role="user", content="And then?"))
    assert cached(more, {"red": 1.0}) >= whole_pages


def test_a_score_is_what_pefts_own_logits_say(engine: Engine, registry: Registry) -> None:
    spec = registry.base("tiny")
    ids = encode_prompt(engine.base.tokenizer, LONG)
    text = "The capital of France is Paris."
    for adapters in ({}, {"red": 1.0}):
        score = engine.score(LONG, text, adapters)
        model = load_base(registry, "tiny", train=True).model  # not packed yet: PEFT would pack it again
        if adapters:
            model = PeftModel.from_pretrained(model, registry.resolve(spec.adapters["red"].path)).eval()
        whole = torch.tensor([[*ids, *score.ids]])
        with torch.inference_mode():
            right = model(input_ids=whole).logits[0, len(ids) - 1 : -1].float().log_softmax(-1)
        right = right.gather(1, torch.tensor(score.ids)[:, None])[:, 0]
        assert engine.base.tokenizer.decode(score.ids) == f"{text}<|end|>"
        # bf16 keeps three digits of logits that reach about ten
        assert (right - torch.tensor(score.logprobs)).abs().max() < 0.15
        assert score.mean == pytest.approx(float(right.mean()), abs=0.05)


def test_strength_runs_from_the_bare_base_to_more_than_the_adapter(engine: Engine) -> None:
    texts = [answer(engine, ChatRequest(SHORT, {"red": s}, GREEDY)) for s in (0.0, 1.0, 1.5)]
    assert texts[0] == answer(engine, ChatRequest(SHORT, {}, GREEDY))
    assert len(set(texts)) == 3
    blend = answer(engine, ChatRequest(SHORT, {"red": 0.6, "blue": 0.6}, GREEDY))
    assert blend not in texts
    means = [engine.score(SHORT, texts[1], {"red": s}).mean for s in (0.0, 0.5, 1.0)]
    assert means == sorted(means)
    for wrong in (-0.1, 1.6, float("nan")):
        with pytest.raises(AdapterError, match=r"'red'.*between 0 and 1\.5"):
            engine.stream(ChatRequest(SHORT, {"red": wrong}, GREEDY))


def test_a_failing_step_ends_only_the_request_at_fault(engine: Engine) -> None:
    calm = [ChatRequest(SHORT, adapters, GREEDY) for adapters in ({}, {"red": 1.0})]
    right = [answer(engine, request) for request in calm]
    real, blue = engine._loop._forward, engine._bank.mix({"blue": 1.0}).salt

    def failing(model: object, bank: object, pieces: list[packed.Piece]) -> list[torch.Tensor]:
        if any(piece.sequence.mix.salt == blue and piece.start > 8 for piece in pieces):
            real(model, bank, pieces)  # keys and values of the others have been written too
            raise RuntimeError("planted")
        return real(model, bank, pieces)

    engine._loop._forward = failing
    streams = [engine.stream(request) for request in (*calm, ChatRequest(SHORT, {"blue": 1.0}, GREEDY))]
    with pytest.raises(EngineError, match="RuntimeError"):
        list(streams[2])
    assert ["".join(chunk.text for chunk in stream) for stream in streams[:2]] == right
    engine._loop._forward = real
    assert answer(engine, ChatRequest(SHORT, {"blue": 1.0}, GREEDY))
    assert engine.counters.failed == 1


def test_an_adapter_is_added_replaced_and_removed_while_others_answer(registry: Registry) -> None:
    engine = Engine(load_base(registry, "tiny"), registry)
    spec = registry.base("tiny").adapters
    red, blue = (answer(engine, ChatRequest(SHORT, {name: 1.0}, GREEDY)) for name in ("red", "blue"))
    running = engine.stream(ChatRequest(SHORT, {"red": 1.0}, GREEDY))
    first = next(running).text
    engine.add_adapter("red", spec["blue"])
    engine.add_adapter("green", spec["red"])
    engine.remove_adapter("blue")
    assert first + "".join(chunk.text for chunk in running) == red
    assert answer(engine, ChatRequest(SHORT, {"red": 1.0}, GREEDY)) == blue
    assert answer(engine, ChatRequest(SHORT, {"green": 1.0}, GREEDY)) == red
    with pytest.raises(AdapterError, match=r"'blue'.*there are red, green"):
        engine.stream(ChatRequest(SHORT, {"blue": 1.0}, GREEDY))
    engine.close()


def test_without_a_thread_reading_a_stream_moves_the_engine(registry: Registry, engine: Engine) -> None:
    alone = Engine(load_base(registry, "tiny"), registry, threaded=False)
    requests = [ChatRequest(LONG, {"red": 1.0}, SEEDED, 4), ChatRequest(SHORT, {"blue": 1.0}, GREEDY)]
    streams = [alone.stream(request) for request in requests]
    assert threading.active_count() == len(threading.enumerate())
    texts = ["".join(chunk.text for chunk in stream) for stream in streams]
    assert texts == [answer(engine, request) for request in requests]
    assert alone.score(SHORT, "Hello").ids == engine.score(SHORT, "Hello").ids
    alone.close()


def test_what_cannot_be_packed_takes_the_plain_path(tmp_path: Path) -> None:
    for arch, path in (("bloom", plain.forward), ("gpt2", packed.forward), ("qwen2", packed.forward)):
        registry = Registry.load(make_registry(tmp_path / arch, arch))
        engine = Engine(load_base(registry, "tiny"), registry)
        assert engine._loop._forward is path
        requests = [
            ChatRequest(LONG, {name: 1.0}, SEEDED, seed) for name in ("red", "blue") for seed in (1, 2)
        ]
        alone = [answer(engine, request) for request in requests]
        streams = [engine.stream(request) for request in requests]
        assert ["".join(chunk.text for chunk in stream) for stream in streams] == alone
        engine.close()


def test_counters_tell_what_was_done(engine: Engine) -> None:
    for _ in range(2):
        answer(engine, ChatRequest(LONG, {"red": 1.0}, GREEDY))
    until = time.monotonic() + 10
    while (
        done := engine.counters
    ).requests < 2:  # the last chunk comes a moment before its request is counted
        assert time.monotonic() < until
    assert (done.requests, done.failed, done.completion_tokens) == (2, 0, 40)
    assert done.by_adapter == {"red": {"requests": 2, "completion_tokens": 40}}
    assert done.cached_tokens > 0 and done.first_token_seconds > 0 and done.mean_batch == 1
    assert set(done.resident_bytes) == {"red", "blue"}
