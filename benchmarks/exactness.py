"""python -m benchmarks.exactness: answers of random mixed schedules against each request alone, bit by bit.

Adapters, strengths, blends and the bare base, greedy and seeded, with equal and different prompts; requests
join at random moments and some are cancelled. On the base that ships, in NF4.
"""

import argparse
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tqdm import tqdm

from benchmarks.report import keep
from models.engine import Engine
from models.registry import Registry
from models.request import ChatRequest, Message, Sampling
from models.stage import load_engine

_PROMPTS = (
    *("Hello! My name is Nora. Please remember it.", "What is 🥇?", "Tell me a joke.", "Explain 🚲"),
    *("What can you tell me about sleep?", "What do you call a bear in the rain?", "Hello"),
    "Write an email.\n\nProduct: Lamp\nDescription: A small lamp for the desk.",
    "Tell me a long story about a fisherman, his boat and the sea. " * 8,
    "Where does Anna work?\n\nContext: Anna is 34 years old and works at a bakery in Lyon. "
    + "It is open. " * 20,
)
_TOKENS = 100


@dataclass
class Count:
    """What was compared."""

    replies: int = 0
    differing: int = 0
    cancelled: int = 0
    characters: int = 0


def main() -> int:
    """Runs the schedules; 1 if any reply differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exactness", description=__doc__)
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    registry = Registry.load(Path(__file__).parent.parent / "adapters.yaml")
    engine = load_engine(registry, registry.default)
    rng, count = Random(options.seed), Count()
    asked = _requests(engine, rng)
    alone = _alone(registry, asked)
    for _ in tqdm(range(options.schedules), unit=" schedules"):
        _schedule(engine, rng, asked, alone, count)
    cached = engine.counters.cached_tokens
    engine.close()
    text = (
        f"{options.schedules} random schedules of 4, 8 and 16 mixed requests on the base that ships:\n"
        f"{count.replies} replies ({count.characters} characters) and {count.cancelled} cancelled ones, "
        f"**{count.differing} differ** from the request alone.\n{cached} prompt tokens were taken from "
        "earlier requests. Made by `python -m benchmarks.exactness`."
    )
    keep("Exactness", text, Path(__file__).parent)
    return 1 if count.differing else 0


def _requests(engine: Engine, rng: Random) -> list[ChatRequest]:
    """Every prompt with every mix; half of them greedy, half seeded."""
    names = list(engine.adapters)
    mixes = [{}, *({name: 1.0} for name in names), *({name: rng.choice([0.3, 0.7, 1.5])} for name in names)]
    mixes += [{one: 0.6, two: 0.5} for one, two in zip(names, names[1:], strict=False)]
    requests = []
    for prompt in _PROMPTS:
        for mix in mixes:
            sampling = Sampling(temperature=rng.choice([0, 0.9]), top_p=0.95, max_tokens=_TOKENS)
            messages = (Message(role="user", content=prompt),)
            requests.append(ChatRequest(messages, mix, sampling, seed=rng.randrange(1000)))
    return requests


def _alone(registry: Registry, asked: list[ChatRequest]) -> list[str]:
    """Answers of an engine that has nobody else and keeps nothing of what it has read."""
    limits = registry.limits.model_copy(update={"cache_megabytes": 0})
    engine = load_engine(registry.model_copy(update={"limits": limits}), registry.default)
    try:
        return ["".join(c.text for c in engine.stream(request)) for request in tqdm(asked, unit=" alone")]
    finally:
        engine.close()


def _schedule(engine: Engine, rng: Random, asked: list[ChatRequest], alone: list[str], count: Count) -> None:
    chosen = [rng.randrange(len(asked)) for _ in range(rng.choice([4, 8, 16]))]
    leaves = [rng.randrange(1, 20) if rng.random() < 0.2 else None for _ in chosen]
    pauses = [rng.expovariate(100) for _ in chosen]
    replies: list[str] = [""] * len(chosen)

    def read(place: int) -> None:
        stream = engine.stream(asked[chosen[place]])
        for number, chunk in enumerate(stream):
            replies[place] += chunk.text
            if number == leaves[place]:
                stream.cancel()

    threads = [threading.Thread(target=read, args=(place,)) for place in range(len(chosen))]
    for thread, pause in zip(threads, pauses, strict=True):
        thread.start()
        time.sleep(pause)
    for thread in threads:
        thread.join()
    for place, number in enumerate(chosen):
        if leaves[place] is None:
            count.replies += 1
            count.differing += replies[place] != alone[number]
        else:
            count.cancelled += 1
            count.differing += not alone[number].startswith(replies[place])
        count.characters += len(replies[place])


if __name__ == "__main__":
    sys.exit(main())
