"""Copying: say it again, and named fields or lists whose words have to come back as they are."""

from random import Random

from models.prompt import with_fields
from training.embedded.chat import Conversation, chat
from training.embedded.tasks import simple_sentence
from training.embedded.words import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    FOODS,
    HOBBIES,
    JOBS,
    NUMBERS,
    OBJECTS,
    PLACES,
    article,
    invented,
    listed,
    person,
    product,
    sentence,
    town,
)

_WANTED = [
    "Write a sentence from this.",
    "Make a sentence with these facts.",
    "Use all fields in one sentence.",
]


def repeat(rng: Random, pictures: list[str]) -> Conversation:
    """Say it again, once or several times; `pictures` are characters that occur nowhere else."""
    what = rng.choice(
        [
            invented(rng),
            person(rng),
            product(rng),
            simple_sentence(rng),
            rng.choice(OBJECTS),
            town(rng),
            " ".join(
                rng.choice(rng.choice([OBJECTS, ANIMALS, FOODS, COLOURS])) for _ in range(rng.randint(2, 6))
            ),
            str(rng.randint(0, 99999)),
        ]
    )
    if pictures and rng.random() < 0.4:
        what = rng.choice(["", " "]).join(rng.sample(pictures, min(len(pictures), rng.randint(1, 6))))
    style = rng.random()
    if style < 0.6:
        return chat(
            rng.choice(
                [
                    "Repeat: {}",
                    "Say: {}",
                    "Repeat after me: {}",
                    "Write this again: {}",
                    "Copy this: {}",
                    "Please say {}",
                    "Echo: {}",
                    "Repeat the following.\n\n{}",
                ]
            ).format(what),
            what,
        )
    if style < 0.8:
        count, word = rng.choice([(2, "two times"), (2, "twice"), (3, "three times"), (4, "four times")])
        return chat(
            rng.choice([f"Repeat {word}: {what}", f"Say {what} {word}.", f"Write {what} {word}."]),
            " ".join([what] * count),
        )
    items = [
        what,
        *(
            rng.choice([invented(rng), rng.choice(OBJECTS), *(rng.sample(pictures, 1) if pictures else [])])
            for _ in range(rng.randint(1, 3))
        ),
    ]
    rng.shuffle(items)
    place = rng.randrange(len(items))
    which = ["first", "second", "third", "fourth"][place]
    return chat(f"What is the {which} item: {', '.join(items)}?", f"The {which} item is {items[place]}.")


def _fields(rng: Random) -> tuple[dict[str, str], list[str]]:
    """(fields, sentences that use every value word for word)"""
    kind = rng.randrange(8)
    if kind == 0:
        v = {"Name": person(rng), "Place": town(rng)}
        return v, ["{Name} lives in {Place}.", "{Name} is in {Place}.", "{Name} comes from {Place}."]
    if kind == 1:
        v = {"Name": person(rng), "Job": rng.choice(JOBS), "Town": town(rng)}
        return v, ["{Name} is a {Job} in {Town}.", "{Name} works as a {Job} in {Town}."]
    if kind == 2:
        v = {
            "Title": f"The {rng.choice(ADJECTIVES)} {rng.choice(OBJECTS + ANIMALS)}".title(),
            "Author": person(rng),
        }
        return v, ["{Title} is a book by {Author}.", "{Author} wrote {Title}."]
    if kind == 3:
        v = {"Item": product(rng), "Price": f"{rng.randint(2, 900)} dollars"}
        return v, ["The {Item} costs {Price}.", "You can buy the {Item} for {Price}."]
    if kind == 4:
        v = {"Name": person(rng), "Age": str(rng.randint(3, 99)), "Hobby": rng.choice(HOBBIES)}
        return v, ["{Name} is {Age} years old and likes {Hobby}."]
    if kind == 5:
        v = {"Animal": rng.choice(ANIMALS), "Name": invented(rng), "Colour": rng.choice(COLOURS)}
        return v, ["{Name} is a {Colour} {Animal}.", "The {Colour} {Animal} is called {Name}."]
    about = described(rng)
    v = {
        rng.choice(["Product", "Thing", "Item"]): product(rng),
        rng.choice(["Description", "About", "Details"]): about,
    }
    first, second = v
    return v, [
        f"{{{first}}} is {{{second}}}.",
        f"The {{{first}}} is {{{second}}}.",
        f"Meet the {{{first}}}: {{{second}}}.",
        f"This is the {{{first}}}, {{{second}}}.",
    ]


def described(rng: Random) -> str:
    """A short description of a thing, such as: a light steel bottle that keeps water cold."""
    thing = rng.choice(
        [
            "bottle",
            "lamp",
            "chair",
            "bag",
            "pan",
            "speaker",
            "watch",
            "pillow",
            "desk",
            "tent",
            "mug",
            "bike",
            "jacket",
            "kettle",
            "camera",
            "notebook",
            "blanket",
            "helmet",
            "fan",
        ]
    )
    stuff = rng.choice(["", "", "steel ", "wooden ", "glass ", "cotton ", "leather ", "plastic "])
    what = article(f"{rng.choice(ADJECTIVES)} {rng.choice([rng.choice(COLOURS) + ' ', ''])}{stuff}{thing}")
    use = rng.choice(
        [
            "keeps drinks cold",
            "fits in every bag",
            "is easy to clean",
            "lasts for years",
            "folds in seconds",
            "weighs very little",
            "works without power",
            "is good for travel",
            "keeps you warm",
            "saves time",
            "is safe for children",
            "charges in an hour",
            "stays dry in the rain",
            "makes no noise",
            "shows the time",
        ]
    )
    tail = rng.choice(
        ["", "", f" for {rng.choice(HOBBIES)}", f" for {rng.choice(JOBS)}s", f" for the {rng.choice(PLACES)}"]
    )
    return f"{what} that {use}{tail}"


def fields(rng: Random) -> Conversation:
    """`Name: X` and `Place: Y` on lines of their own -> a sentence that holds both word for word."""
    values, lines = _fields(rng)
    prompt = with_fields(values)
    style = rng.random()
    if style < 0.3:
        prompt = f"{rng.choice(_WANTED)}\n{prompt}"
    elif style < 0.5:
        key = rng.choice(list(values))
        return chat(
            f"{prompt}\n\n{rng.choice(['What is the', 'Give me the', 'Tell me the'])} {key.lower()}?",
            f"The {key.lower()} is {values[key]}.",
        )
    return chat(prompt, sentence(rng.choice(lines).format(**values)))


def choose(rng: Random) -> Conversation:
    """Take from a list what was asked for: its length, its first, its last, the list as bullets."""
    items = [
        rng.choice([invented(rng), rng.choice(FOODS), rng.choice(OBJECTS), rng.choice(ANIMALS), person(rng)])
        for _ in range(rng.randint(3, 6))
    ]
    items = list(dict.fromkeys(items))
    style = rng.random()
    if style < 0.3:
        return chat(f"Turn this into a list: {listed(items)}", "\n".join(f"- {i}" for i in items))
    if style < 0.5:
        return chat(
            f"Number these: {', '.join(items)}", "\n".join(f"{n}. {i}" for n, i in enumerate(items, 1))
        )
    if style < 0.7:
        return chat(f"Join these into a sentence: {', '.join(items)}", f"There are {listed(items)}.")
    if style < 0.85:
        return chat(
            f"How many things are in this list? {', '.join(items)}",
            f"There are {NUMBERS[len(items)]} things in the list.",
        )
    return chat(f"What is the last thing in this list? {', '.join(items)}", f"The last thing is {items[-1]}.")
