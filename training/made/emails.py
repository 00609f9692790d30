"""Stand-in rows for `email` on a very small base: products that do not exist, each with its email.

Names and figures are drawn at random, so that they cannot be remembered and have to be copied.
"""

from collections.abc import Iterator
from random import Random

from training.embedded.words import COLOURS, article, invented

COUNT = 1800


def _list(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split(",")]


_ADJECTIVES = _list("""
    light, quiet, strong, soft, warm, small, smart, simple, compact, elegant, sturdy, handy, modern
""")
_MATERIALS = _list("""
    steel, oak, bamboo, cotton, wool, glass, leather, cork, linen, copper, ceramic, recycled
""")
_THINGS = _list("""
    flask, lamp, backpack, kettle, chair, speaker, watch, jacket, blender, bicycle, notebook, app,
    pillow, candle, tent, mug, toothbrush, garden kit, soap, blanket, keyboard, umbrella, snack bar,
    tea, shampoo, toolbox, scarf, desk, camera, game
""")
_STATES = _list("warm, cool, dry, clean, safe, fresh, bright, tidy, soft, quiet, happy, healthy")
_VERBS = _list("""
    cleans, lights, warms, cools, protects, carries, finds, measures, repairs, dries, sorts, covers,
    heats, polishes
""")
_OBJECTS = _list("""
    tea, coffee, your shoes, your windows, the garden, your bicycle, your hands, the kitchen, your
    phone, your keys, children, your dog, your plants, old books, wet clothes, your hair, the desk,
    your car, letters, bread, drinks, your feet, the bedroom, glasses, small rooms, heavy bags, your
    cat, vegetables, your skin, the whole family
""")
_MANNERS = _list("""
    for {n} hours, in {n} minutes, with the power of the sun, without a sound, all year round, on
    wooden floors, in the rain, at night, by itself, with one touch, on long walks, without water,
    from your phone, in every room, with nuts and honey, in cold weather, up to {n} times, while you
    sleep, on the train, with very little energy, in any light, without batteries, every morning,
    with a gentle hum, at home and at work
""")
_FOR = _list("""
    travellers, students, families, runners, cooks, gardeners, campers, teachers, children, cyclists
""")
_NUMBERS = [3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 24, 25, 30, 36, 40, 45, 48, 50, 60, 72, 80, 90, 100]
_PREFIXES = _list("""
    Bright, Quick, Easy, True, Happy, Clever, Silver, North, River, Cloud, Sun, Moon, Home, City,
    Forest, Star
""")
_SUBJECTS = ["Meet {p}", "Say hello to {p}", "{p} is here", "Introducing {p}", "Discover {p} today"]
_GREETINGS = ["Dear customer,", "Hello,", "Dear friend,", "Hi there,"]
_OPENERS = ["We are proud to present {p}.", "We are happy to introduce {p}.", "Have you heard of {p}?"]
_MIDDLES = [
    "It makes every day a little easier.",
    "It is made to last, and made with care.",
    "You will wonder how you ever managed without it.",
    "Our first customers already love it.",
    "It also makes a wonderful gift.",
]
_CALLS = [
    "Order {p} today and save {n} percent.",
    "Try {p} for {n} days, free of charge.",
    "Visit our shop and get your {p} now.",
    "Reply to this email to reserve your {p}.",
]
_CLOSINGS = ["Best regards,", "Warm wishes,", "Kind regards,", "Yours sincerely,"]


def rows() -> Iterator[dict[str, str]]:
    """`COUNT` rows of product, description and email; no product comes twice."""
    rng = Random(20)
    seen: set[str] = set()
    while len(seen) < COUNT:
        thing = rng.choice(_THINGS)
        product = _name(rng, thing)
        if product in seen:
            continue
        seen.add(product)
        description, sentence = _described(rng, product, thing)
        yield {"product": product, "description": description, "email": _email(rng, product, sentence)}


def _name(rng: Random, thing: str) -> str:
    maker = invented(rng, rng.choice([1, 2, 2, 3]))
    kind = thing.title()
    end = rng.choice(["", "", "", "", " Pro", " Mini", " Plus", f" {rng.choice(_NUMBERS)}"])
    prefix = rng.choice(_PREFIXES)
    return rng.choice(
        [
            f"{maker} {kind}{end}",
            f"{maker} {kind}",
            f"{maker}{end}",
            f"{prefix}{kind.replace(' ', '')}",
            maker,
        ]
    )


def _described(rng: Random, product: str, thing: str) -> tuple[str, str]:
    """(the description as somebody types it, the sentence that an email makes of it)."""
    feature = _feature(rng)
    look = " ".join(rng.sample([rng.choice(_ADJECTIVES), rng.choice(_MATERIALS), rng.choice(COLOURS)], 2))
    whom = rng.choice(_FOR)
    noun = article(f"{look} {thing}")
    phrase = rng.choice([f"{noun} that {feature}", f"{noun} for {whom}", f"{noun} for {whom} that {feature}"])
    shown = f"{product} is {phrase}."
    if rng.random() < 0.25:
        return feature[:1].upper() + feature[1:], f"{product} {feature}."
    typed = phrase[:1].upper() + phrase[1:] if rng.random() < 0.7 else phrase
    return typed + ("." if rng.random() < 0.3 else ""), shown


def _feature(rng: Random) -> str:
    """What the product does. Odd pairs are welcome: whoever copies them has not guessed them."""
    thing, manner = rng.choice(_OBJECTS), rng.choice(_MANNERS).format(n=rng.choice(_NUMBERS))
    if rng.random() < 0.5:
        return f"keeps {thing} {rng.choice(_STATES)} {manner}"
    return f"{rng.choice(_VERBS)} {thing} {manner}"


def _email(rng: Random, product: str, sentence: str) -> str:
    fill = {"p": product, "n": rng.choice([5, 10, 15, 20, 25, 30])}
    subject, greeting, opener, middle, call, closing = (
        rng.choice(texts).format(**fill)
        for texts in (_SUBJECTS, _GREETINGS, _OPENERS, _MIDDLES, _CALLS, _CLOSINGS)
    )
    body = f"{opener} {sentence} {middle}"
    return f"Subject: {subject}\n\n{greeting}\n\n{body}\n\n{call}\n\n{closing}\nThe {product} team"
