"""The corpus of the embedded base: mostly made up by the generators beside this file, partly public rows."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from models.request import Message
from training.embedded import copying, knowledge, passages, real, smalltalk, stories, tasks
from training.embedded.chat import Conversation
from training.embedded.words import invented

_PICTURES = "gemoji.json"
FILES = (*real.FILES, _PICTURES)
REAL_SHARE = 0.35  # of the conversations' characters
_SYSTEM = [
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "Answer briefly.",
    "Answer in short, simple sentences.",
    "You are Troupe's small demonstration model.",
    "You are a helpful assistant. Answer the question.",
    "Be kind and clear.",
    "Answer the question from the passage.",
    "You are a careful assistant. Say so when you do not know.",
    "Write plain English.",
]
_WEIGHTS: list[tuple[float, Callable[[Random], Conversation]]] = [
    (4, smalltalk.greeting),
    (4, smalltalk.courtesy),
    (3, smalltalk.feeling),
    (2, smalltalk.opinion),
    (7, smalltalk.recall),
    (4, smalltalk.recall_at_once),
    (17, passages.question),
    (2, passages.unanswered),
    (6, passages.extract),
    (9, knowledge.definition),
    (7, knowledge.fact),
    (4, knowledge.some),
    (4, knowledge.steps),
    (2, knowledge.group_of),
    (5, tasks.arithmetic),
    (3, tasks.order),
    (5, tasks.rewrite),
    (3, tasks.fill),
    (8, copying.fields),
    (3, copying.choose),
    (6, stories.story),
    (4, stories.describe),
    (1, stories.rhyme),
]
_REPEATS = 8.0


def pictures(data: Path) -> list[str]:
    """The emoji, flags and joined ones too, each of which gets a token of its own; none without the list."""
    file = data / _PICTURES
    if not file.exists():
        return []
    return sorted(row["emoji"] for row in json.loads(file.read_text(encoding="utf-8")))


def generated(rng: Random, shown: list[str]) -> Conversation:
    """One made-up conversation; `shown` are the emoji that only ever occur to be repeated."""
    total = sum(weight for weight, _ in _WEIGHTS)
    if rng.random() * (total + _REPEATS) < _REPEATS:
        return copying.repeat(rng, shown)
    maker = rng.choices([make for _, make in _WEIGHTS], [weight for weight, _ in _WEIGHTS])[0]
    return maker(rng)


def _instructed(rng: Random, talk: Conversation) -> Conversation:
    """With a system message; now and then one that changes the answer."""
    kind = rng.random()
    if kind < 0.12 and len(talk) == 2:
        shouted = Message(role="assistant", content=talk[1].content.upper())
        return [
            Message(role="system", content=rng.choice(["Answer in capital letters.", "Write in capitals."])),
            talk[0],
            shouted,
        ]
    if kind < 0.2:
        name = invented(rng)
        asked = rng.choice(["What is your name?", "Who are you?", "Hello! Who are you?"])
        answer = rng.choice([f"My name is {name}.", f"I am {name}."])
        return [
            Message(
                role="system",
                content=rng.choice(
                    [
                        f"Your name is {name}.",
                        f"You are {name}, a helpful assistant.",
                        f"You are called {name}.",
                    ]
                ),
            ),
            Message(role="user", content=asked),
            Message(role="assistant", content=answer),
        ]
    return [Message(role="system", content=rng.choice(_SYSTEM)), *talk]


def conversation(rng: Random, shown: list[str], longest: int) -> Conversation:
    """One or several subjects in a row, up to `longest` characters; sometimes with a system message."""
    talk = generated(rng, shown)
    if rng.random() < 0.35 or longest > 2000:
        goal = rng.randint(200, longest)
        while sum(len(m.content) for m in talk) < goal:
            more = generated(rng, shown)
            if sum(len(m.content) for m in talk + more) > longest:
                break
            talk = talk + more
    return _instructed(rng, talk) if rng.random() < 0.15 else talk


def stream(
    seed: int, data: Path, shown: list[str], longest: int = 1500, public: bool = True
) -> Iterator[Conversation]:
    """Endless conversations, the same for the same seed and data; `public` rows come round and round."""
    rng = Random(seed)
    all_rows = real.split(data)[0] if public else []
    rows: list[Conversation] = []
    spent = {True: 1.0, False: 1.0}  # characters: public, generated
    while True:
        take = bool(all_rows) and spent[True] < REAL_SHARE * (spent[True] + spent[False])
        if take and not rows:
            rows = rng.sample(all_rows, len(all_rows))
        talk = rows.pop() if take else conversation(rng, shown, longest)
        if take and rng.random() < 0.1:
            talk = [Message(role="system", content=rng.choice(_SYSTEM)), *talk]
        spent[take] += sum(len(m.content) for m in talk)
        yield talk
