"""Oracles: held-out prompts of a role, and a check that tells whether an answer does what the role is for."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from models.prompt import with_context, with_fields
from models.request import Message
from training.data import Split, read_split
from training.embedded import passages
from training.forms import emoji_group, same
from training.made import emails
from training.recipe import Recipe
from training.sources import open_source
from training.split import held_out

_GREETING = re.compile(r"^(hi|hello|dear|good (morning|day|evening)|hey)\b", re.I | re.M)
_CALL = re.compile(
    r"\b(order|buy|try|get|visit|see|download|reserve|book|shop|find|start|join|discover|click)\b", re.I
)
_SIGN_OFF = re.compile(r"^(\w+ ){0,3}(regards|wishes|cheers|sincerely|truly|soon|team|crew)\b", re.I | re.M)
_JOKE_REQUESTS = (
    "Do you know a joke?",
    "Make me laugh.",
    "Tell me another joke.",
    "A joke, please.",
    "Tell me something funny.",
    *(
        f"Tell me a joke about {topic}."
        for topic in ("a dog", "school", "the sea", "bread", "winter", "books")
    ),
)

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Probe:
    """A conversation to be answered, and whether an answer to it is right."""

    messages: tuple[Message, ...]
    right: Check


@dataclass(frozen=True)
class Oracle:
    """One figure of a report: which role answers, what counts as right, and the prompts."""

    role: str
    title: str
    probes: list[Probe]


def oracles(base: str, count: int, seed: int = 0) -> Iterator[Oracle]:
    """All oracles, at most `count` probes each, drawn by `seed`."""
    rng = Random(seed)

    def drawn(role: str, title: str, probes: list[Probe]) -> Oracle:
        return Oracle(role, title, rng.sample(probes, min(count, len(probes))))

    known, unseen = _emoji(read_split(Recipe.load("emoji").on(base)))
    yield drawn("emoji", "names an emoji, asked in words never trained on", known)
    yield drawn("emoji", "names an emoji never seen", unseen)
    yield drawn("email", "has every part of an email and names the product, never seen", _emails())
    yield drawn("jokes", "a set-up and a punchline", [_probe(text, _is_joke) for text in _JOKE_REQUESTS])
    yield drawn("dolly", "answers from a passage never seen", [_passage(rng) for _ in range(count)])
    yield drawn(
        "finetome", "recalls what was told earlier", _recalls(read_split(Recipe.load("finetome").on(base)))
    )


def _probe(text: str, right: Check) -> Probe:
    return Probe((Message(role="user", content=text),), right)


def _emoji(split: Split) -> tuple[list[Probe], list[Probe]]:
    """(emoji that training saw, emoji held out), against gemoji's names and tags."""
    trained = " ".join(conversation.messages[0].content for conversation in split.train)
    known: list[Probe] = []
    unseen: list[Probe] = []
    for _, row in open_source("gemoji.json", "db/emoji.json of github.com/github/gemoji").rows:
        names = {
            text.lower().replace("_", " ") for text in (row["description"], *row["aliases"], *row["tags"])
        }
        emoji = row["emoji"]
        if not held_out(emoji_group(emoji)) and emoji not in trained:
            continue
        side = unseen if held_out(emoji_group(emoji)) else known
        for wording in ("Tell me what {} is.", "What do people mean by {}?"):
            side.append(_probe(wording.format(emoji), lambda answer, names=names: _names_one(answer, names)))
    return known, unseen


def _names_one(answer: str, names: set[str]) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", answer.lower()) for name in names)


def _emails() -> list[Probe]:
    found = []
    for row in emails.rows():
        if held_out(same(row["product"])):
            prompt = with_fields({"Product": row["product"], "Description": row["description"]})
            found.append(_probe(prompt, lambda answer, product=row["product"]: _is_email(answer, product)))
    return found


def _is_email(answer: str, product: str) -> bool:
    head, _, body = answer.partition("\n")
    parts = all(part.search(body) for part in (_GREETING, _CALL, _SIGN_OFF))
    return head.startswith("Subject:") and product.lower() in answer.lower() and parts


def _is_joke(answer: str) -> bool:
    """A first sentence that sets up, and something short behind it."""
    parts = [part for part in re.split(r"(?<=[?.!])\s+", answer.strip()) if part]
    return 2 <= len(parts) <= 4 and len(parts[0].split()) >= 3 and len(parts[-1].split()) <= 16


def _passage(rng: Random) -> Probe:
    passage, question, value = passages.question_and_value(rng)
    return _probe(with_context(question, passage), lambda answer: same(value) in same(answer))


def _recalls(split: Split) -> list[Probe]:
    """Chats in which something was told, up to the question for it."""
    found = []
    for conversation in split.test:
        told = conversation.group.removeprefix("told ")
        answers = [
            turn
            for turn, message in enumerate(conversation.messages)
            if turn > 1 and message.role == "assistant" and "as you told me" in message.content
        ]
        if (
            told != conversation.group
            and answers
            and told in conversation.messages[answers[0]].content.lower()
        ):
            before = conversation.messages[: answers[0]]
            found.append(Probe(before, lambda answer, told=told: told in answer.lower()))
    return found
