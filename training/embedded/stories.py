"""Short stories of a few plain sentences that hang together, and descriptions."""

from random import Random

from training.embedded.chat import Conversation, chat
from training.embedded.words import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    DAYS,
    FEELINGS,
    FOODS,
    HOBBIES,
    JOBS,
    OBJECTS,
    PLACES,
    SEASONS,
    article,
    person,
    sentence,
    town,
)

_PROBLEMS = [
    ("lost the {o}", "looked for it everywhere", "found the {o} under a tree"),
    ("wanted to learn {h}", "practised every day", "could do it at last"),
    ("was very hungry", "asked a friend for help", "got some {f} to eat"),
    ("could not find the way home", "walked along the river", "saw the lights of the {p}"),
    ("heard a strange noise", "went to see what it was", "found a small {a} in the grass"),
    ("wanted to make a gift", "worked all day", "finished a {j} {o}"),
    ("was afraid of the dark", "took a small lamp along", "was not afraid any more"),
    ("broke the {o}", "felt bad and told the truth", "mended it together with a friend"),
    ("wished for a friend", "said hello to everybody", "met a kind {a}"),
    ("saw that it was raining", "waited in the {p}", "saw a rainbow in the sky"),
]
_MOODS = ["quiet", "lovely", "full of people", "very beautiful"]
_ENDS = [
    "Everybody was happy.",
    "After that, {n} slept very well.",
    "From that day on, they were good friends.",
    "It was a good day.",
    "And {n} never forgot that day.",
    "Then {n} went home and told the story.",
    "{n} smiled all the way home.",
    "Kind words had helped.",
]


def _when(rng: Random) -> str:
    return rng.choice(["day", "morning", "evening", rng.choice(DAYS), f"{rng.choice(SEASONS)} day"])


def story(rng: Random) -> Conversation:
    """A hero, a wish or a trouble, help, and a good end."""
    animal = rng.random() < 0.5
    kind = rng.choice(ANIMALS if animal else JOBS)
    name, trait, place = (
        person(rng),
        rng.choice(ADJECTIVES[:6] + ["kind", "clever", "shy", "brave"]),
        rng.choice(PLACES),
    )
    value = {
        "n": name,
        "o": rng.choice(OBJECTS),
        "h": rng.choice(HOBBIES),
        "f": rng.choice(FOODS),
        "p": rng.choice(PLACES),
        "a": rng.choice(ANIMALS),
        "j": rng.choice(ADJECTIVES),
    }
    trouble, deed, luck = rng.choice(_PROBLEMS)
    helper = person(rng)
    hero = f"the {kind}"
    lines = [
        rng.choice(
            [
                "Once there was {a} called {n}.",
                "There was once {a}. The name of the {k} was {n}.",
                "{n} was {a}.",
            ]
        ).format(a=article(f"{trait} {kind}"), n=name, k=kind),
        rng.choice(["{n} lived near a {p}.", "{n} lived in {t}.", "Every day {n} went to the {p}."]).format(
            n=name, p=place, t=town(rng)
        ),
        f"One {_when(rng)}, {name} {trouble.format(**value)}.",
        f"{name} was {rng.choice(FEELINGS[1:9])}.",
        rng.choice([f"So {hero} {deed}.", f"But {name} did not give up and {deed}.", f"Then {name} {deed}."]),
        rng.choice(
            [
                f"{helper} came and helped.",
                f"A friend called {helper} came along.",
                f'"I will help you," said {helper}.',
                f'"Do not worry," said {helper}.',
            ]
        ),
        rng.choice(
            [
                f"In the end, {name} {luck.format(**value)}.",
                f"At last {hero} {luck.format(**value)}.",
                f"Soon {name} {luck.format(**value)}.",
            ]
        ),
        rng.choice(_ENDS).format(n=name),
    ]
    for drop in sorted(rng.sample([1, 3, 5], rng.randint(0, 2)), reverse=True):
        del lines[drop]
    about = article(kind)
    asked = rng.choice(
        [
            f"Tell me a story about {about}.",
            f"Write a short story about {about}.",
            f"Tell me a short story about {about} called {name}.",
            f"Write a story about {name} the {kind}.",
            f"Can you tell me a story about {about}?",
            "Tell me a story.",
            f"Make up a story with {about} and {article(value['o'])}.",
        ]
    )
    if "called" in asked or f"{name} the" in asked or "{o}" in trouble + luck or "Make up" not in asked:
        return chat(asked, " ".join(lines))
    return chat(f"Tell me a story about {about}.", " ".join(lines))


def describe(rng: Random) -> Conversation:
    """Two or three sentences about a thing, a place or a day."""
    look, colour, thing, place = (
        rng.choice(ADJECTIVES),
        rng.choice(COLOURS),
        rng.choice(OBJECTS),
        rng.choice(PLACES),
    )
    style = rng.random()
    if style < 0.35:
        lines = [
            f"The {thing} is {look} and {colour}.",
            rng.choice(
                [
                    "It stands on the table.",
                    "It belongs to my friend.",
                    "It is very useful.",
                    "I use it every day.",
                ]
            ),
            rng.choice(
                [f"I bought it in {town(rng)}.", f"It was a gift from {person(rng)}.", "Everybody likes it."]
            ),
        ]
        return chat(
            rng.choice(
                [
                    f"Describe {article(f'{look} {colour} {thing}')}.",
                    f"Write about {article(f'{look} {colour} {thing}')}.",
                ]
            ),
            " ".join(lines),
        )
    if style < 0.7:
        season = rng.choice(SEASONS)
        weather = {
            "spring": "The flowers bloom and the birds sing.",
            "summer": "The sun shines and the days are long.",
            "autumn": "The leaves fall and the wind blows.",
            "winter": "It is cold and there is snow.",
        }[season]
        lines = [
            f"In {season}, the {place} is {rng.choice(_MOODS)}.",
            weather,
            rng.choice(
                [
                    "People come to walk.",
                    "Children play there.",
                    f"You can see {article(rng.choice(ANIMALS))} there.",
                    "I like to sit there and think.",
                ]
            ),
        ]
        return chat(
            rng.choice(
                [
                    f"Describe the {place} in {season}.",
                    f"What is the {place} like in {season}?",
                    f"Write about {season} at the {place}.",
                ]
            ),
            " ".join(lines),
        )
    name, job, day = person(rng), rng.choice(JOBS), rng.choice(DAYS)
    lines = [
        f"On {day}, {name} gets up early.",
        f"{sentence(name)} works as {article(job)} at the {place}.",
        f"At noon {name} eats {rng.choice(FOODS)}.",
        f"In the evening {name} enjoys {rng.choice(HOBBIES)}.",
        f"Then {name} goes to bed.",
    ]
    return chat(
        rng.choice(
            [f"Describe a day of {name} the {job}.", f"What does {name} the {job} do on {day}?"]
        ).replace(f"on {day}", f"on {day}"),
        " ".join(lines),
    )


def rhyme(rng: Random) -> Conversation:
    """A little verse of two or four lines."""
    ends = rng.sample(
        [
            ("tree", "see"),
            ("day", "play"),
            ("sun", "run"),
            ("light", "night"),
            ("sky", "fly"),
            ("rain", "train"),
            ("blue", "you"),
            ("hill", "still"),
        ],
        2,
    )
    thing = rng.choice(ANIMALS)
    first, second = ends
    ways = {
        "tree": ("The {t} sits below the tree,", "and looks at all there is to see."),
        "day": ("The {t} wakes up to greet the day,", "and then goes out to laugh and play."),
        "sun": ("The {t} lies sleeping in the sun,", "and soon it will get up and run."),
        "light": ("The {t} walks in the morning light,", "and slowly leaves behind the night."),
        "sky": ("The {t} looks up into the sky,", "and sees the little swallows fly."),
        "rain": ("The {t} goes out into the rain,", "and listens to the passing train."),
        "blue": ("The {t} looks at the sea so blue,", "and thinks about the likes of you."),
        "hill": ("The {t} is up upon the hill,", "and all the world is calm and still."),
    }
    lines = [*ways[first[0]], *(ways[second[0]] if rng.random() < 0.6 else [])]
    return chat(
        rng.choice(
            [
                "Write a poem about {}.",
                "Write a short poem about {}.",
                "Tell me a rhyme about {}.",
                "Can you write a verse about {}?",
            ]
        ).format(article(thing)),
        "\n".join(lines).format(t=thing),
    )
