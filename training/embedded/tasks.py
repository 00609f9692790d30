"""Small tasks: sums, counting, order, rewriting and filling in."""

from random import Random

from training.embedded.chat import Conversation, chat
from training.embedded.words import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    DAYS,
    FOODS,
    HOBBIES,
    JOBS,
    MONTHS,
    NUMBERS,
    OBJECTS,
    PLACES,
    article,
    invented,
    person,
    sentence,
    town,
)


def simple_sentence(rng: Random) -> str:
    """A short sentence of subject, verb and object."""
    who = rng.choice(
        [
            person(rng),
            f"the {rng.choice(ANIMALS)}",
            f"the {rng.choice(ADJECTIVES)} {rng.choice(ANIMALS)}",
            f"the {rng.choice(JOBS)}",
        ]
    )
    verb, thing = rng.choice(
        [
            ("likes", rng.choice(FOODS)),
            ("sees", f"a {rng.choice(ADJECTIVES)} {rng.choice(ANIMALS)}".replace("a o", "an o")),
            ("goes to", f"the {rng.choice(PLACES)}"),
            ("has", article(f"{rng.choice(COLOURS)} {rng.choice(OBJECTS)}")),
            ("lives in", town(rng)),
            ("enjoys", rng.choice(HOBBIES)),
            ("waits for", person(rng)),
            ("sleeps in", f"the {rng.choice(PLACES)}"),
        ]
    )
    return sentence(f"{who} {verb} {thing}.")


def arithmetic(rng: Random) -> Conversation:
    """Sums with small numbers, as figures or as a tiny story."""
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    style = rng.random()
    if style < 0.6:
        sign, word, value = rng.choice(
            [("+", "plus", a + b), ("-", "minus", max(a, b) - min(a, b)), ("*", "times", (a % 11) * (b % 11))]
        )
        if sign == "-":
            a, b = max(a, b), min(a, b)
        if sign == "*":
            a, b = a % 11, b % 11
        shown = f"{a} {rng.choice([sign, word])} {b}"
        asked = rng.choice(
            ["What is {}?", "What is {}?", "How much is {}?", "{} = ?", "Calculate {}.", "{}"]
        ).format(shown)
        return chat(
            asked,
            rng.choice([f"{a} {sign} {b} = {value}", f"{shown} is {value}.", f"The answer is {value}."]),
        )
    if style < 0.85:
        name, thing = (
            person(rng),
            rng.choice([f for f in FOODS if f.endswith("s")] + ["books", "coins", "keys", "pens", "balls"]),
        )
        a, b = max(a, b) + 1, min(a, b)
        if rng.random() < 0.5:
            return chat(
                f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?",
                f"{a} + {b} = {a + b}. {name} has {a + b} {thing}.",
            )
        return chat(
            f"{name} has {a} {thing} and gives away {b}. How many {thing} are left?",
            f"{a} - {b} = {a - b}. {name} has {a - b} {thing} left.",
        )
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    if a == b:
        return chat(f"Which is larger, {a} or {b}?", "They are the same.")
    if rng.random() < 0.5:
        return chat(f"Which is larger, {a} or {b}?", f"{max(a, b)} is larger than {min(a, b)}.")
    return chat(f"Which is smaller, {a} or {b}?", f"{min(a, b)} is smaller than {max(a, b)}.")


def order(rng: Random) -> Conversation:
    """What comes next, counting, and number words."""
    style = rng.random()
    if style < 0.35:
        row = rng.choice([DAYS, MONTHS])
        i = rng.randrange(len(row))
        kind = "day" if row is DAYS else "month"
        if rng.random() < 0.5:
            return chat(
                rng.choice([f"Which {kind} comes after {row[i]}?", f"What comes after {row[i]}?"]),
                f"{row[(i + 1) % len(row)]} comes after {row[i]}.",
            )
        return chat(
            rng.choice([f"Which {kind} comes before {row[i]}?", f"What comes before {row[i]}?"]),
            f"{row[i - 1]} comes before {row[i]}.",
        )
    if style < 0.6:
        start, count = rng.randint(0, 30), rng.randint(3, 10)
        return chat(
            rng.choice(["Count from {} to {}.", "Please count from {} to {}."]).format(start, start + count),
            ", ".join(str(n) for n in range(start, start + count + 1)),
        )
    if style < 0.8:
        i = rng.randrange(len(NUMBERS))
        return (
            chat(f"Write {i} as a word.", f"{sentence(NUMBERS[i])}.")
            if rng.random() < 0.5
            else chat(f"Write {NUMBERS[i]} as a number.", f"{i}")
        )
    values = rng.sample(range(100), rng.randint(3, 5))
    return chat(f"Sort these numbers: {', '.join(map(str, values))}", ", ".join(map(str, sorted(values))))


def rewrite(rng: Random) -> Conversation:
    """Capitals, small letters, spelling, first and last words, replacing a word."""
    text = simple_sentence(rng)
    words = text.rstrip(".").split()
    style = rng.randrange(9)
    if style == 0:
        return chat(
            rng.choice(
                ["Write in capital letters: {}", "Make this upper-case: {}", "Change to capitals: {}"]
            ).format(text),
            text.upper(),
        )
    if style == 1:
        return chat(
            rng.choice(["Write in small letters: {}", "Make this lower-case: {}"]).format(text.upper()),
            text.lower(),
        )
    if style == 2:
        word = rng.choice([rng.choice(OBJECTS), rng.choice(ANIMALS), invented(rng)])
        return chat(
            rng.choice(["Spell the word {}.", "How do you spell {}?", "Spell {}."]).format(word),
            "-".join(word.lower()),
        )
    if style == 3:
        return chat(f"What is the first word of this sentence? {text}", f"The first word is {words[0]}.")
    if style == 4:
        return chat(f"What is the last word of this sentence? {text}", f"The last word is {words[-1]}.")
    if style == 5:
        other = rng.choice([person(rng), invented(rng)])
        who = person(rng)
        act = rng.choice(["goes to the {}", "sits in the {}", "works at the {}"]).format(rng.choice(PLACES))
        return chat(f"Replace {who} with {other}: {who} {act}.", f"{other} {act}.")
    if style == 6:
        who, thing = person(rng), rng.choice(FOODS)
        past = rng.random() < 0.5
        now, then = f"{who} likes {thing}.", f"{who} liked {thing}."
        return (
            chat(f"Write in the past tense: {now}", then)
            if past
            else chat(f"Write in the present tense: {then}", now)
        )
    if style == 7:
        return chat(
            rng.choice(["Make this a question: {}", "Turn this into a question: {}"]).format(
                f"{words[0]} {' '.join(words[1:])}."
            ),
            f"Is it true that {words[0] if words[0] != 'The' else 'the'} {' '.join(words[1:])}?",
        )
    return chat(
        rng.choice(
            ["Correct the sentence: {}", "Fix this sentence: {}", "Edit the sentence for grammar: {}"]
        ).format(text.lower().rstrip(".")),
        text,
    )


def fill(rng: Random) -> Conversation:
    """A sentence made from a given word, or a gap filled."""
    style = rng.random()
    if style < 0.5:
        word = rng.choice([rng.choice(OBJECTS), rng.choice(ANIMALS), rng.choice(FOODS)])
        line = rng.choice(
            [
                "I can see the {} from here.",
                "Yesterday I talked about the {}.",
                "The {} is on the table.",
                "My friend gave me the {}.",
                "We have a picture of the {}.",
                "Everybody likes the {}.",
                "I cannot find the {}.",
            ]
        ).format(word)
        return chat(
            rng.choice(
                [
                    "Use the word {} in a sentence.",
                    "Write a sentence with the word {}.",
                    "Make a sentence with {}.",
                ]
            ).format(word),
            line,
        )
    name, place, thing = person(rng), rng.choice(PLACES), rng.choice(OBJECTS)
    if style < 0.75:
        gap = rng.choice(
            [
                ("{n} goes to the ___.", "{n} goes to the {p}."),
                ("___ goes to the {p}.", "{n} goes to the {p}."),
                ("{n} has a {c} ___.", "{n} has a {c} {t}."),
            ]
        )
        colour = rng.choice([c for c in COLOURS if c != "orange"])
        value = {"n": name, "p": place, "t": thing, "c": colour}
        shown, full = gap[0].format(**value), gap[1].format(**value)
        missing = {"{n} goes to the ___.": place, "___ goes to the {p}.": name}.get(gap[0], thing)
        return chat(f"Fill in the word {missing}: {shown}", full)
    words = [name, place, thing]
    return chat(
        f"Write a sentence with these words: {', '.join(words)}",
        f"{name} went to the {place} and found a {thing}.".replace("a u", "an u"),
    )
