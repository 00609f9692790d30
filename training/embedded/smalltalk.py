"""Small talk: greetings, feelings, thanks, who the model is, and facts told earlier in the conversation."""

from random import Random
from typing import Any

from training.embedded.chat import Conversation, chat
from training.embedded.table import table
from training.embedded.words import (
    ANIMALS,
    CITIES,
    COLOURS,
    DRINKS,
    FEELINGS,
    FOODS,
    HOBBIES,
    JOBS,
    PETS,
    SEASONS,
    article,
    invented,
    person,
    town,
)

_PHRASES: dict[str, Any] = table("smalltalk")


def greeting(rng: Random) -> Conversation:
    """Hello and back; with a name about half the time."""
    hello = rng.choice(_PHRASES["greetings"])
    if rng.random() < 0.5:
        name = person(rng)
        asked = rng.choice(
            [
                f"{hello}, I am {name}.",
                f"{hello}! My name is {name}.",
                f"My name is {name}.",
                f"I am {name}.",
                f"{hello}, my name is {name}. What is your name?",
                f"{hello}! {name} here.",
            ]
        )
        answer = rng.choice(
            [
                f"Hello, {name}! How can I help you?",
                f"Nice to meet you, {name}!",
                f"Hi, {name}! It is nice to meet you.",
                f"Hello, {name}. What can I do for you?",
            ]
        )
        if "your name" in asked:
            answer = f"Nice to meet you, {name}! {_PHRASES['self'][0]}"
        return chat(asked, answer)
    return chat(f"{hello}{rng.choice(['', '.', '!'])}", rng.choice(_PHRASES["welcomes"]))


def courtesy(rng: Random) -> Conversation:
    """Set phrases that have a few set answers."""
    asked, answers = rng.choice(
        [
            (_PHRASES["how"], _PHRASES["well"]),
            (_PHRASES["who"], _PHRASES["self"]),
            (_PHRASES["who"], _PHRASES["self"]),
            (_PHRASES["can"], _PHRASES["able"]),
            (_PHRASES["thanks"], _PHRASES["pleasure"]),
            (_PHRASES["bye"], _PHRASES["farewell"]),
            (_PHRASES["private"], _PHRASES["privately"]),
        ]
    )
    question = rng.choice(asked)
    if rng.random() < 0.2:
        question = f"{rng.choice(_PHRASES['greetings'])}! {question}"
    return chat(question, rng.choice(answers))


def feeling(rng: Random) -> Conversation:
    """A feeling and some sympathy."""
    mood = rng.choice(FEELINGS)
    said = rng.choice(
        [
            "I am {}.",
            "I feel {}.",
            "I feel very {} today.",
            "I am so {}.",
            "Today I am a bit {}.",
            "I have been {} all day.",
            "I am feeling {} right now.",
        ]
    ).format(mood)
    if rng.random() < 0.25:
        other = person(rng)
        return chat(
            f"My friend {other} is {mood}.",
            {
                True: f"I am glad that {other} is {mood}.",
                False: f"I am sorry that {other} is {mood}.",
            }[mood in ("happy", "excited", "proud", "calm")],
        )
    return chat(said, rng.choice(_PHRASES["care"][mood]))


def opinion(rng: Random) -> Conversation:
    """Do you like X, or X or Y: the answer takes up the words of the question."""
    pool = rng.choice([ANIMALS, COLOURS, FOODS, DRINKS, HOBBIES, SEASONS, CITIES])
    one, two = rng.sample(pool, 2)
    if pool is ANIMALS:
        one, two = f"the {one}", f"the {two}"
    if rng.random() < 0.5:
        question = rng.choice(
            [
                "{} or {}?",
                "Which is better, {} or {}?",
                "Do you prefer {} or {}?",
                "Should I choose {} or {}?",
            ]
        ).format(one, two)
        pick = rng.choice([one, two])
        question = question[0].upper() + question[1:]
    else:
        pick = one
        question = rng.choice(
            ["Do you like {}?", "What do you think about {}?", "I like {}. Do you?"]
        ).format(one)
    if pool is FOODS:
        return chat(
            question,
            rng.choice([f"I like {pick}.", f"I would choose {pick}.", f"I think {pick} would be good."]),
        )
    return chat(question, rng.choice(_PHRASES["opinion"]).format(pick, pick[0].upper() + pick[1:]))


def _facts(rng: Random) -> list[tuple[str, str, str, str]]:
    """(what a person says, reply, later question, later answer)"""
    name, city, job, colour = person(rng), town(rng), rng.choice(JOBS), rng.choice(COLOURS)
    pet, called, food, hobby = rng.choice(PETS), invented(rng), rng.choice(FOODS), rng.choice(HOBBIES)
    age, friend, number = rng.randint(7, 90), person(rng), rng.randint(2, 999)
    return [
        (
            rng.choice(
                ["My name is {}.", "I am {}.", "Hello, I am {}.", "Hi! My name is {}.", "Please call me {}."]
            ).format(name),
            rng.choice(["Nice to meet you, {}!", "Hello, {}!", "Hi, {}! How can I help you?"]).format(name),
            rng.choice(["What is my name?", "Do you remember my name?", "Who am I?", "What am I called?"]),
            rng.choice(["Your name is {}.", "You are {}.", "Yes, your name is {}."][:2]).format(name),
        ),
        (
            rng.choice(["I live in {}.", "My home is in {}.", "I am from {}."]).format(city),
            rng.choice(
                ["{} sounds like a nice place.", "I would like to hear more about {}.", "How do you like {}?"]
            ).format(city),
            rng.choice(["Where do I live?", "Where am I from?", "What is my home town?"]),
            rng.choice(["You live in {}.", "Your home is in {}."]).format(city),
        ),
        (
            rng.choice(["I am {}.", "I work as {}.", "My job is to be {}."]).format(article(job)),
            rng.choice(["Being {} sounds interesting.", "It must be nice to be {}."]).format(article(job)),
            rng.choice(["What is my job?", "What do I do?", "What do I work as?"]),
            f"You are {article(job)}.",
        ),
        (
            rng.choice(["My favourite colour is {}.", "I like the colour {} best."]).format(colour),
            rng.choice(["{} is a nice colour.", "{} is a good choice."]).format(colour.capitalize()),
            rng.choice(["What is my favourite colour?", "Which colour do I like?"]),
            f"Your favourite colour is {colour}.",
        ),
        (
            rng.choice(["I have a {} called {}.", "My {} is called {}."]).format(pet, called),
            rng.choice(["{} is a lovely name for a {}.", "I hope that {} is a happy {}."]).format(
                called, pet
            ),
            rng.choice(
                [f"What is my {pet} called?", f"What is the name of my {pet}?", "What is my pet called?"]
            ),
            f"Your {pet} is called {called}.",
        ),
        (
            f"I like {food}.",
            rng.choice([f"I hear that {food} can be very good.", "That sounds tasty."]),
            rng.choice(["What do I like to eat?", "Which food do I like?"]),
            f"You like {food}.",
        ),
        (
            rng.choice(["I love {}.", "My hobby is {}.", "I like {} in my free time."]).format(hobby),
            rng.choice(["That is a good hobby.", f"{hobby.capitalize()} is good fun."]),
            rng.choice(["What is my hobby?", "What do I like to do?"]),
            f"Your hobby is {hobby}.",
        ),
        (
            rng.choice([f"I am {age} years old.", f"My age is {age}."]),
            rng.choice(["Thank you for telling me.", f"{age} is a good age."]),
            rng.choice(["How old am I?", "What is my age?"]),
            f"You are {age} years old.",
        ),
        (
            rng.choice([f"My best friend is {friend}.", f"My friend is called {friend}."]),
            f"{friend} must be a good friend.",
            rng.choice(["Who is my friend?", "What is my friend called?"]),
            f"Your friend is called {friend}.",
        ),
        (
            rng.choice([f"My lucky number is {number}.", f"Please remember the number {number}."]),
            f"I will remember {number}.",
            rng.choice(["What is my number?", "Which number did I tell you?"]),
            f"Your number is {number}.",
        ),
    ]


def recall(rng: Random) -> Conversation:
    """Something told in one turn and asked for in a later one, with other turns between."""
    told = rng.sample(_facts(rng), rng.randint(1, 3))
    talk: Conversation = []
    for said, reply, _, _ in told:
        talk += chat(said, reply)
    if rng.random() < 0.5:
        talk += rng.choice([courtesy, feeling, opinion])(rng)
    for _, _, question, answer in rng.sample(told, rng.randint(1, len(told))):
        talk += chat(question, answer)
    return talk


def recall_at_once(rng: Random) -> Conversation:
    """Told and asked in the same message, the smallest form of copying."""
    told = rng.sample(_facts(rng), rng.randint(1, 3))
    _, _, question, answer = rng.choice(told)
    return chat(" ".join([t[0] for t in told] + [question]), answer)
