"""Word lists that the corpus generators draw from, and names that are put together and so must be copied."""

from random import Random

from training.embedded.table import table

_LISTS: dict[str, list[str]] = {name: text.split() for name, text in table("words").items()}
NAMES = _LISTS["names"]
CITIES = _LISTS["cities"]
COLOURS = _LISTS["colours"]
ANIMALS = _LISTS["animals"]
PETS = _LISTS["pets"]
FOODS = _LISTS["foods"]
DRINKS = _LISTS["drinks"]
OBJECTS = _LISTS["objects"]
JOBS = _LISTS["jobs"]
HOBBIES = _LISTS["hobbies"]
PLACES = _LISTS["places"]
ADJECTIVES = _LISTS["adjectives"]
FEELINGS = _LISTS["feelings"]
DAYS = _LISTS["days"]
MONTHS = _LISTS["months"]
SEASONS = _LISTS["seasons"]
NUMBERS = _LISTS["numbers"]

_ONSETS = _LISTS["onsets"]
_VOWELS = _LISTS["vowels"]
_CODAS = ["", "", "", "l", "m", "n", "r", "s", "t", "nd", "rk", "x", "ck", "ll", "st"]
_PLACE_ENDS = [
    "ton",
    "ville",
    "ford",
    "burg",
    "field",
    "mouth",
    "wick",
    "stad",
    "bridge",
    "port",
    " Bay",
    " Hill",
]
_MAKER_ENDS = ["ware", "tech", "co", "line", "works", "lab", "flow", "mate", "pro", "go", ""]
_MAKES = _LISTS["makes"]


def invented(rng: Random, syllables: int | None = None) -> str:
    """A name that is in no dictionary, such as Brelan or Skoomi."""
    count = syllables or rng.choice([1, 2, 2, 2, 3])
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count)]
    return "".join(parts).capitalize()


def person(rng: Random) -> str:
    """A first name, sometimes with a family name; a third of them are invented."""
    first = invented(rng) if rng.random() < 0.33 else rng.choice(NAMES)
    return f"{first} {invented(rng, 2)}" if rng.random() < 0.25 else first


def town(rng: Random) -> str:
    """A city of this world, or (more than half the time) one that is not."""
    if rng.random() < 0.45:
        return rng.choice(CITIES)
    return invented(rng, rng.choice([1, 2])) + (rng.choice(_PLACE_ENDS) if rng.random() < 0.7 else "")


def product(rng: Random) -> str:
    """A product's name, such as Lumaflow Kettle 3."""
    maker = invented(rng, rng.choice([1, 2])) + rng.choice(_MAKER_ENDS)
    if rng.random() < 0.2:
        maker = f"{rng.choice(ADJECTIVES + COLOURS).capitalize()}{rng.choice(_MAKES)}"
        return maker
    number = (
        f" {rng.choice(['2', '3', '4', '5', '7', '9', '10', '20', '100', '500', 'X', 'Mini', 'Plus', 'One'])}"
    )
    return f"{maker} {rng.choice(_MAKES)}{number if rng.random() < 0.35 else ''}"


def listed(items: list[str]) -> str:
    """a, b and c"""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def article(noun: str) -> str:
    """The noun with a or an."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def sentence(text: str) -> str:
    """The text with a capital letter first."""
    return text[:1].upper() + text[1:]
