"""What little the model knows of the world: a table of things and what is true of them."""

from random import Random
from typing import Any

from training.embedded.chat import Conversation, chat
from training.embedded.table import table
from training.embedded.words import article, listed, sentence

_TABLE: dict[str, Any] = table("knowledge")


def _named(name: str) -> str:
    return name if name in _TABLE["no_article"].split() or " " in name else article(name)


def definition(rng: Random) -> Conversation:
    """What is X, and which X is ..."""
    group = rng.choice(list(_TABLE["things"]))
    name, meaning = rng.choice(list(_TABLE["things"][group].items()))
    named = _named(name)
    verb = "are" if name == "scissors" else "is"
    style = rng.random()
    if style < 0.7:
        asked = rng.choice(
            [
                "What {v} {n}?",
                "What {v} {n}?",
                "Tell me about {n}.",
                "Explain what {n} {v}.",
                "Define: {n}",
                "Describe {n}.",
                "Can you explain what {n} {v}?",
                "Do you know what {n} {v}?",
            ]
        )
        answer = f"{sentence(named)} {verb} {meaning}."
        return chat(sentence(asked.format(n=named, v=verb)), answer)
    if style < 0.85:
        other = rng.choice(
            [g for g in _TABLE["things"] if g not in (group, "thing in nature", "tool", "place", "job")]
        )
        true = rng.random() < 0.5 or group == "thing in nature"
        if group == "thing in nature":
            return chat(f"What {verb} {named}?", f"{sentence(named)} {verb} {meaning}.")
        asked = f"{'Are' if verb == 'are' else 'Is'} {named} {article(group if true else other)}?"
        answer = (
            f"Yes, {named} {verb} {article(group)}."
            if true
            else f"No, {named} {verb} not {article(other)}. It is {article(group)}."
        )
        return chat(asked, answer)
    return chat(
        rng.choice(
            [
                f"What do we call {meaning}?",
                f"Which word means: {meaning}?",
                f"I am thinking of {meaning}. What is it?",
            ]
        ),
        rng.choice([f"It is {named}.", f"{sentence(named)}."]),
    )


def fact(rng: Random) -> Conversation:
    """Capitals, opposites, colours, sounds and single facts."""
    style = rng.random()
    if style < 0.35:
        country, city = rng.choice(list(_TABLE["capitals"].items()))
        if rng.random() < 0.25:
            return chat(
                rng.choice(
                    [f"{city} is the capital of which country?", f"Which country has the capital {city}?"]
                ),
                f"{city} is the capital of {country}.",
            )
        asked = rng.choice(
            [
                "What is the capital of {}?",
                "What is the capital of {}?",
                "Which city is the capital of {}?",
                "Name the capital of {}.",
                "Tell me the capital of {}.",
                "Capital of {}?",
            ]
        )
        return chat(asked.format(country), f"The capital of {country} is {city}.")
    if style < 0.55:
        word, other = rng.choice(list(_TABLE["opposites"].items()))
        asked = rng.choice(
            [
                "What is the opposite of {}?",
                "Give me the opposite of {}.",
                "Opposite of {}?",
                "What word is the opposite of {}?",
            ]
        )
        return chat(asked.format(word), f"The opposite of {word} is {other}.")
    if style < 0.67:
        thing, colour = rng.choice(list(_TABLE["colours"].items()))
        return chat(
            rng.choice(["What colour is {}?", "Which colour is {}?", "Tell me the colour of {}."]).format(
                thing
            ),
            f"{sentence(thing)} is {colour}.",
        )
    if style < 0.75:
        animal, sound = rng.choice(list(_TABLE["sounds"].items()))
        return chat(
            rng.choice(["What does {} say?", "What sound does {} make?"]).format(article(animal)),
            f"{sentence(article(animal))} says {sound}.",
        )
    row = rng.choice(_TABLE["facts"])
    return chat(rng.choice(row["ask"]), row["answer"])


def _plural(name: str) -> str:
    if name in ("sheep", "scissors"):
        return name
    if name == "mouse":
        return "mice"
    if name.endswith("f") and name != "chef":
        return f"{name[:-1]}ves"
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "sh", "ch", "x", "o")) and name != "piano" else f"{name}s"


def some(rng: Random) -> Conversation:
    """Name N things of a kind, as a sentence, a bullet list or a numbered list."""
    group = rng.choice([g for g in _TABLE["things"] if g != "thing in nature"])
    count = rng.randint(2, 6)
    items = rng.sample(list(_TABLE["things"][group]), min(count, len(_TABLE["things"][group])))
    word = ["two", "three", "four", "five", "six"][len(items) - 2]
    number = rng.choice([word, str(len(items))])
    asked = rng.choice(
        [
            "Name {} {}.",
            "List {} {}.",
            "Give me {} {}.",
            "Tell me {} {}.",
            "Can you name {} {}?",
            "Write a list of {} {}.",
            "What are {} {}?",
        ]
    ).format(number, _plural(group))
    style = rng.random()
    if style < 0.35:
        if rng.random() < 0.5:
            asked += rng.choice([" Use a bullet list.", " Use bullets.", " One per line."])
        return chat(asked, "\n".join(f"- {sentence(i)}" for i in items))
    if style < 0.7:
        if rng.random() < 0.5:
            asked += rng.choice([" Use a numbered list.", " Number them."])
        return chat(asked, "\n".join(f"{n}. {sentence(i)}" for n, i in enumerate(items, 1)))
    return chat(asked, f"{sentence(word)} {_plural(group)} are {listed(items)}.")


def steps(rng: Random) -> Conversation:
    """How do I ...: steps, numbered or in a row."""
    task, lines = rng.choice(list(_TABLE["steps"].items()))
    asked = rng.choice(
        [
            "How do I {}?",
            "How can I {}?",
            "Tell me how to {}.",
            "Explain how to {}.",
            "What are the steps to {}?",
            "I want to {}. How?",
            "Give me some tips to {}.",
        ]
    ).format(task)
    if rng.random() < 0.6:
        return chat(asked, "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1)))
    return chat(asked, f"First, {lines[0][0].lower()}{lines[0][1:]} " + " ".join(lines[1:]))


def group_of(rng: Random) -> Conversation:
    """Sort a list of things into their kinds, or find the one that does not fit."""
    one, two = rng.sample(
        ["animal", "fruit", "tool", "job", "vehicle", "instrument", "drink", "place", "bird", "sport"], 2
    )
    if rng.random() < 0.5:
        items = rng.sample(list(_TABLE["things"][one]), 3)
        odd = rng.choice(list(_TABLE["things"][two]))
        shown = [*items, odd]
        rng.shuffle(shown)
        return chat(
            rng.choice(["Which one does not fit: {}?", "Find the odd one out: {}"]).format(", ".join(shown)),
            f"{sentence(odd)} does not fit, because it is {article(two)}.",
        )
    a, b = rng.sample(list(_TABLE["things"][one]), 2), rng.sample(list(_TABLE["things"][two]), 2)
    shown = a + b
    rng.shuffle(shown)
    first, second = (", ".join(item for item in shown if item in kind) for kind in (a, b))
    return chat(
        f"Sort these into {_plural(one)} and {_plural(two)}: {', '.join(shown)}",
        f"{sentence(_plural(one))}: {first}\n{sentence(_plural(two))}: {second}",
    )
