"""Short made-up passages and questions about them: the answer stands in the passage and has to be copied."""

from collections.abc import Callable
from random import Random

from models.prompt import with_context
from training.embedded.chat import Conversation, chat
from training.embedded.table import table
from training.embedded.words import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    DAYS,
    DRINKS,
    FOODS,
    HOBBIES,
    JOBS,
    MONTHS,
    OBJECTS,
    PETS,
    PLACES,
    SEASONS,
    article,
    invented,
    listed,
    person,
    product,
    sentence,
    town,
)

# value, sentences that tell it, questions, answers; {n} is who or what it is about, {v} the value.
Fact = tuple[str, list[str], list[str], list[str]]

_MATERIALS = ["wood", "steel", "glass", "plastic", "cotton", "leather", "paper", "stone"]
_MAKERS: dict[str, Callable[[Random], str]] = {
    "person": person,
    "town": town,
    "invented": invented,
    "river": lambda rng: invented(rng, 2),
    "job": lambda rng: article(rng.choice(JOBS)),
    "coloured_thing": lambda rng: article(f"{rng.choice(COLOURS)} {rng.choice(OBJECTS)}"),
    "colour": lambda rng: rng.choice(COLOURS),
    "food": lambda rng: rng.choice(FOODS),
    "drink": lambda rng: rng.choice(DRINKS),
    "hobby": lambda rng: rng.choice(HOBBIES),
    "place": lambda rng: rng.choice(PLACES),
    "material": lambda rng: rng.choice(_MATERIALS),
    "season": lambda rng: rng.choice(SEASONS),
    "day": lambda rng: rng.choice(DAYS),
    "month": lambda rng: rng.choice(MONTHS),
    "age": lambda rng: str(rng.randint(4, 95)),
    "price": lambda rng: str(rng.randint(2, 900)),
    "guests": lambda rng: str(rng.randint(20, 9000)),
    "thousands": lambda rng: f"{rng.randint(2, 990)},{rng.randint(100, 999)}",
    "weight": lambda rng: f"{rng.randint(1, 90)} {rng.choice(['kilograms', 'grams', 'pounds'])}",
    "old_year": lambda rng: str(rng.randint(900, 1990)),
    "past_year": lambda rng: str(rng.randint(1850, 2005)),
    "new_year": lambda rng: str(rng.randint(1900, 2024)),
}


def _facts(rng: Random, kind: str) -> list[Fact]:
    """Everything that can be told about one person, place, thing or event."""
    pet = rng.choice(PETS) if kind == "person" else ""
    return [
        (
            _MAKERS[row["value"]](rng),
            *([text.replace("{pet}", pet) for text in row[key]] for key in ("tell", "ask", "answer")),
        )
        for row in table("passages")[kind]
    ]


def _subject(rng: Random) -> tuple[str, list[Fact]]:
    kind = rng.random()
    if kind < 0.5:
        return person(rng), _facts(rng, "person")
    if kind < 0.7:
        return town(rng), _facts(rng, "place")
    if kind < 0.88:
        named = product(rng) if rng.random() < 0.6 else f"{rng.choice(ADJECTIVES)} {rng.choice(OBJECTS)}"
        return named, _facts(rng, "thing")
    event = rng.choice(["race", "fair", "concert", "market", "festival", "party", "meeting", "game", "show"])
    return f"{rng.choice([invented(rng), rng.choice(ANIMALS)])} {event}", _facts(rng, "event")


def _tell(rng: Random, count: int) -> tuple[str, list[tuple[str, Fact]]]:
    """(passage, the facts in it) about one or two subjects."""
    told: list[tuple[str, Fact]] = []
    for _ in range(rng.choice([1, 1, 2])):
        name, facts = _subject(rng)
        told += [(name, fact) for fact in rng.sample(facts, min(len(facts), count))]
    if rng.random() < 0.4:
        rng.shuffle(told)
    lines = [sentence(rng.choice(fact[1]).format(n=name, v=fact[0])) for name, fact in told]
    return " ".join(lines), told


def _asked(rng: Random, name: str, fact: Fact) -> tuple[str, str]:
    question = rng.choice(fact[2]).format(n=name)
    # Whole sentences twice as often as bare values: short answers alone would make a curt model.
    answer = fact[3][0] if rng.random() < 0.6 else rng.choice(fact[3])
    return question, sentence(answer.format(n=name, v=fact[0]))


def question(rng: Random) -> Conversation:
    """A question about a passage, in the form of `with_context` most of the time."""
    passage, told = _tell(rng, rng.randint(1, 4))
    name, fact = rng.choice(told)
    asked, answer = _asked(rng, name, fact)
    style = rng.random()
    if style < 0.65:
        prompt = with_context(asked, passage)
    elif style < 0.8:
        prompt = f"{passage}\n\n{asked}"
    elif style < 0.9:
        prompt = f"{passage} {asked}"
    else:
        prompt = with_context(
            f"{rng.choice(['Answer from the text:', 'Read the passage.', 'Given the passage,'])} {asked}",
            passage,
        )
    talk = chat(prompt, answer)
    others = [t for t in told if t[1] is not fact]
    for name, fact in rng.sample(others, min(len(others), rng.choice([0, 0, 0, 1, 2]))):
        talk += chat(*_asked(rng, name, fact))
    return talk


def question_and_value(rng: Random) -> tuple[str, str, str]:
    """(passage, question, the words that a right answer holds), for measuring."""
    passage, told = _tell(rng, rng.randint(1, 4))
    name, fact = rng.choice(told)
    return passage, rng.choice(fact[2]).format(n=name), fact[0]


def unanswered(rng: Random) -> Conversation:
    """A question that the passage does not answer."""
    passage, told = _tell(rng, rng.randint(1, 3))
    name, facts = _subject(rng)
    if any(name == other for other, _ in told):
        return question(rng)
    return chat(
        with_context(rng.choice(rng.choice(facts)[2]).format(n=name), passage),
        rng.choice(
            [
                f"The passage does not mention {name}.",
                "The passage does not say.",
                "The text does not tell us.",
            ]
        ),
    )


def _filled(rng: Random, act: str) -> str:
    return act.format(p=rng.choice(PLACES), f=rng.choice(FOODS), o=rng.choice(OBJECTS), a=rng.choice(ANIMALS))


def extract(rng: Random) -> Conversation:
    """Name everybody, or say what a passage is about."""
    kind = rng.random()
    if kind < 0.5:
        people = [person(rng) for _ in range(rng.randint(2, 4))]
        acts = rng.sample(
            ["went to the {p}", "cooked {f}", "found a {o}", "saw a {a}", "sold a {o}", "fed the {a}"],
            len(people),
        )
        lines = [f"{name} {_filled(rng, act)}." for name, act in zip(people, acts, strict=True)]
        if rng.random() < 0.5:
            who = rng.randrange(len(people))
            act = lines[who][len(people[who]) + 1 : -1]
            return chat(with_context(f"Who {act}?", " ".join(lines)), f"{people[who]} {act}.")
        asked = rng.choice(
            [
                "Which people are in the passage?",
                "List the names in the text.",
                "Who is mentioned in the passage?",
            ]
        )
        if rng.random() < 0.5:
            return chat(with_context(asked, " ".join(lines)), "\n".join(f"- {name}" for name in people))
        return chat(with_context(asked, " ".join(lines)), f"The passage mentions {listed(people)}.")
    passage, told = _tell(rng, rng.randint(1, 3))
    asked = rng.choice(
        ["What is the passage about?", "Who or what is the text about?", "Summarise the passage."]
    )
    if asked.startswith("Summ"):
        return chat(with_context(asked, passage), passage.split(". ")[0].rstrip(".") + ".")
    named = [f"the {name}" if f"he {name}" in passage else name for name, _ in told]
    return chat(with_context(asked, passage), f"The passage is about {listed(list(dict.fromkeys(named)))}.")
