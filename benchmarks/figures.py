"""The figures: each is measured in pairs that take turns, ours and the other's, and told as a ratio."""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.contenders import Ask, Contender, PeftSwitch, Troupe, request
from benchmarks.shapes import Shape, words
from models.request import ChatRequest, Message, Sampling

_MIXED = ({"a0": 1.0}, {"a1": 1.0}, {"a2": 1.0}, {"a3": 1.0})


@dataclass
class Figure:
    """A ratio of medians, ours over the other's, with the interval of a bootstrap over the pairs.

    `bar` is what it has to be, as in '>= 1.7'; `ours` and `other` are the measurements in `unit`.
    """

    title: str
    against: str
    unit: str
    bar: str
    ours: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.other)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, over resampled pairs."""
        ours, other = np.array(self.ours), np.array(self.other)
        drawn = np.random.default_rng(0).integers(0, len(ours), (2000, len(ours)))
        ratios = np.median(ours[drawn], axis=1) / np.median(other[drawn], axis=1)
        low, high = np.percentile(ratios, [2.5, 97.5])
        return float(low), float(high)

    @property
    def holds(self) -> bool:
        """Whether the bar is met. One that asks for 'includes 1' asks for it of the interval."""
        if self.bar.startswith("includes 1"):
            return self.interval[0] <= 1 and self.interval[1] <= float(self.bar.rsplit(" ", 1)[1])
        sign, value = self.bar.split()
        return self.ratio >= float(value) if sign == ">=" else self.ratio <= float(value)


class Prompts:
    """Random prompts, none of them twice: what was read before must not help."""

    def __init__(self, shape: Shape):
        self._shape, self._seed = shape, 0

    def __call__(self, count: int) -> str:
        self._seed += 1
        return words(count, self._shape, self._seed)


def pairs(figure: Figure, rounds: int, ours: Callable[[], float], other: Callable[[], float]) -> Figure:
    """Measures both `rounds` times in turn, after one of each that does not count."""
    ours(), other()
    for number in range(rounds):
        turns = [(figure.ours, ours), (figure.other, other)]
        for measured, measure in turns if number % 2 else reversed(turns):
            measured.append(measure())
    return figure


def decoding(ours: Troupe, other: Contender, bar: str, prompts: Prompts, rounds: int) -> Figure:
    """Tokens per second of one stream with one adapter."""
    figure = Figure("one stream, one adapter: decoding", other.title, "tokens/s", bar)

    def rate(contender: Contender) -> float:
        return contender.ask(Ask(prompts(8), _MIXED[0], 48)).rate

    return pairs(figure, rounds, lambda: rate(ours), lambda: rate(other))


def reading(ours: Troupe, other: Contender, prompts: Prompts, rounds: int) -> Figure:
    """Seconds to read 256 tokens and give the next."""
    figure = Figure("a prompt of 256 tokens: time to first token", other.title, "s", "<= 1.2")

    def seconds(contender: Contender) -> float:
        return contender.ask(Ask(prompts(256), _MIXED[0], 2)).first

    return pairs(figure, rounds, lambda: seconds(ours), lambda: seconds(other))


def side_by_side(ours: Troupe, other: Contender, bar: str, prompts: Prompts, rounds: int) -> Figure:
    """Wall time of four adapters on one prompt; llama.cpp has one, and answers four times with it."""
    figure = Figure("four adapters side by side, 128 tokens each: wall time", other.title, "s", bar)

    def wall(contender: Contender) -> float:
        prompt = prompts(16)
        timings = contender.ask_all([Ask(prompt, adapters, 128) for adapters in _MIXED])
        return max(timing.tokens[-1] for timing in timings)

    return pairs(figure, rounds, lambda: wall(ours), lambda: wall(other))


def crowd(ours: Troupe, other: PeftSwitch, prompts: Prompts, rounds: int) -> Figure:
    """Tokens per second in all of eight users with mixed adapters who arrive at random."""
    title = "eight users arriving at random, mixed adapters: all tokens"
    figure = Figure(title, other.title, "tokens/s", ">= 4")
    drawn = np.random.default_rng(0)

    def asks() -> list[Ask]:
        return [Ask(prompts(16), _MIXED[number % 4], 64) for number in range(8)]

    def of_ours() -> float:
        begun = time.perf_counter()
        timings = ours.ask_all(asks(), gaps=drawn.exponential(0.05, 8).tolist())
        return sum(len(t.tokens) for t in timings) / (time.perf_counter() - begun)

    def of_other() -> float:  # all wait from the start, which favours it
        begun = time.perf_counter()
        timings = other.ask_all(asks())
        return sum(len(t.tokens) for t in timings) / (time.perf_counter() - begun)

    return pairs(figure, rounds, of_ours, of_other)


def switching(ours: Troupe, prompts: Prompts) -> Figure:
    """Time to first token after another adapter than before, over the same adapter as before."""
    figure = Figure(
        "time to first token after switching the adapter", "no switch", "s", "includes 1, <= 1.05"
    )

    def first(before: dict[str, float]) -> float:
        ours.ask(Ask(prompts(8), before, 4))
        return ours.ask(Ask(prompts(32), _MIXED[0], 2)).first

    return pairs(figure, 20, lambda: first(_MIXED[1]), lambda: first(_MIXED[0]))


def residents(ours: Troupe, prompts: Prompts, rounds: int) -> Figure:
    """Decoding with one active adapter of 64 in memory, over one of one."""
    engine = ours.engine
    spec = engine.adapters["a0"].spec
    figure = Figure("one active of 64 resident adapters: decoding", "one of one", "tokens/s", ">= 0.95")
    before = [name for name in engine.adapters if name != "a0"]
    specs = {name: engine.adapters[name].spec for name in before}

    def rates() -> list[float]:
        return [ours.ask(Ask(prompts(8), _MIXED[0], 48)).rate for _ in range(3)]

    for name in before:
        engine.remove_adapter(name)
    rates()
    for _ in range(rounds):
        figure.other += rates()
        for number in range(63):
            engine.add_adapter(f"more{number}", spec)
        figure.ours += rates()
        for number in range(63):
            engine.remove_adapter(f"more{number}")
    for name, spec in specs.items():
        engine.add_adapter(name, spec)
    return figure


def long_contexts(ours: Troupe, prompts: Prompts, rounds: int) -> Figure:
    """Decoding of four streams at a context of 1,500 tokens, over 64, while all four do."""
    figure = Figure("four streams at context 1,500: decoding", "at context 64", "tokens/s", ">= 0.6")

    def rate(length: int) -> float:
        # enough tokens that the first still answers when the last prompt has been read beside it
        timings = ours.ask_all([Ask(prompts(length), adapters, 400) for adapters in _MIXED])
        begin, end = max(t.first for t in timings), min(t.tokens[-1] for t in timings)
        made = sum(begin < moment <= end for timing in timings for moment in timing.tokens)
        return made / (end - begin)

    return pairs(figure, rounds, lambda: rate(1500), lambda: rate(64))


def later_turns(ours: Troupe, prompts: Prompts, rounds: int) -> Figure:
    """Time to first token in turn 10 of a chat, over turn 1, with as many new tokens."""
    figure = Figure("turn 10 of a chat: time to first token", "turn 1", "s", "<= 1.5")
    for _ in range(rounds):
        messages: list[Message] = []
        for turn in range(1, 11):
            messages.append(Message(role="user", content=prompts(32)))
            text, first = _answer(ours, ChatRequest(tuple(messages), _MIXED[0], _sampling(32)))
            messages.append(Message(role="assistant", content=text))
            if turn == 1:
                figure.other.append(first)
            time.sleep(1.0)  # somebody reads the answer and writes the next question
        figure.ours.append(first)
    return figure


def gaps(ours: Troupe, prompts: Prompts, rounds: int) -> list[Figure]:
    """The longest gap between two tokens of four streams while something comes in, over the usual one."""
    engine, spec = ours.engine, ours.engine.adapters["a0"].spec

    def prompt_joins() -> None:
        ours.ask(Ask(prompts(500), _MIXED[1], 2))

    def adapter_is_added() -> None:
        engine.add_adapter("late", spec)
        engine.remove_adapter("late")

    figures = []
    for what, join in (
        ("a prompt of 500 tokens joins", prompt_joins),
        ("an adapter is added", adapter_is_added),
    ):
        figure = Figure(f"{what} four streams: longest gap", "usual gap", "s", "<= 4")
        for _ in range(rounds):
            longest, usual = _gaps_while(ours, prompts, join)
            figure.ours.append(longest)
            figure.other.append(usual)
        figures.append(figure)
    return figures


def _gaps_while(ours: Troupe, prompts: Prompts, join: Callable[[], None]) -> tuple[float, float]:
    moments: list[list[float]] = []

    def read(stream) -> None:
        own: list[float] = []
        moments.append(own)
        for chunk in stream:
            if chunk.text:
                own.append(time.perf_counter())

    streams = [ours.engine.stream(request(Ask(prompts(8), adapters, 160))) for adapters in _MIXED]
    threads = [threading.Thread(target=read, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    while len(moments) < 4 or min(map(len, moments)) < 40:
        time.sleep(0.01)
    begun = time.perf_counter()
    join()
    ended = time.perf_counter()
    for stream in streams:
        stream.cancel()
    for thread in threads:
        thread.join()
    usual = [b - a for own in moments for a, b in zip(own, own[1:], strict=False) if b < begun]
    during = [b - a for own in moments for a, b in zip(own, own[1:], strict=False) if b > begun and a < ended]
    return max(during), statistics.median(usual[len(usual) // 4 :])


def _answer(ours: Troupe, asked: ChatRequest) -> tuple[str, float]:
    chunks = list(ours.engine.stream(asked))
    return "".join(chunk.text for chunk in chunks), chunks[-1].usage.first_token_seconds


def _sampling(tokens: int) -> Sampling:
    return Sampling(temperature=0, max_tokens=tokens)
