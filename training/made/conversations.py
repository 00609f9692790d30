"""Stand-in rows for `finetome` on a very small base: polite chats of several turns in ShareGPT form.

A third are about a topic (explained, then tips, then in short). The others tell a name or a fact first and
ask for it later, with something else in between. Held out by topic, and by what was told.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from training.embedded.words import FOODS, HOBBIES, JOBS, NAMES, PETS, article, invented, town
from training.made.topics import TOPICS, Topic

TOPIC_CHATS_EACH = 44
RECALL_CHATS = 900
_SURE = ["Sure!", "Of course!", "Certainly!", "Great question!"]
_MORE = ["Let me know if you would like to know more.", "Would you like some tips?", "I hope that helps!"]
_EXPLAIN = [
    "What is {t}?",
    "Can you explain {t}?",
    "Tell me about {t}.",
    "Please explain {t} to me.",
    "I would like to know more about {t}.",
    "Could you explain {t} to me?",
    "What can you tell me about {t}?",
]
_TIPS = [
    "Can you give me some tips?",
    "Do you have any tips?",
    "Yes, please give me some tips.",
    "How do I start?",
]
_SHORT = ["Can you say that in one sentence?", "Please say that in short.", "Can you summarise that?"]
_THANKS = ["Thank you!", "Thanks, that helps.", "Great, thank you very much."]
_ABOUT = ["What were we talking about?", "What was my first question about?"]
_FILLERS = [
    ("How are you?", "I am doing well, thank you for asking! How can I help you today?"),
    (
        "What can you do?",
        "I can explain things, give tips and remember what you told me in this conversation.",
    ),
    ("Tell me something nice.", "Of course! Somebody smiled today because of you."),
    ("What is the capital of France?", "The capital of France is Paris. It lies on the river Seine."),
    ("How many days has a week?", "A week has seven days, from Monday to Sunday."),
    ("What colour is the sky?", "On a clear day the sky is blue, because air scatters blue light most."),
    ("Can you help me with something later?", "Of course! I will be glad to help you."),
]


def rows() -> Iterator[dict[str, Any]]:
    """Rows of `conversations` and `group`."""
    rng = Random(21)
    for topic in TOPICS:
        for _ in range(TOPIC_CHATS_EACH):
            yield _row(_topic_chat(rng, topic), f"topic {topic.name}")
    for _ in range(RECALL_CHATS):
        turns, told = _recall_chat(rng)
        yield _row(turns, f"told {told}")


Turns = list[tuple[str, str]]


def _row(turns: Turns, group: str) -> dict[str, Any]:
    values = [("human", asked) for asked, _ in turns], [("gpt", answer) for _, answer in turns]
    both = [{"from": who, "value": text} for pair in zip(*values, strict=True) for who, text in pair]
    return {"conversations": both, "group": group}


def _topic_chat(rng: Random, topic: Topic) -> Turns:
    turns = [_explained(rng, topic)]
    later = [
        (rng.choice(_TIPS), _tips(topic)),
        (rng.choice(_SHORT), f"In short: {topic.short}"),
        (
            rng.choice(_ABOUT),
            f"We were talking about {topic.name}. Is there anything else you would like to know?",
        ),
        (rng.choice(_THANKS), f"You are welcome! Feel free to ask me more about {topic.name}."),
    ]
    wanted = sorted(rng.sample(range(len(later)), rng.choice([0, 1, 2, 3])))
    if rng.random() < 0.15:
        return [(f"Give me three tips about {topic.name}.", _tips(topic))]
    return turns + [later[i] for i in wanted]


def _explained(rng: Random, topic: Topic) -> tuple[str, str]:
    asked = rng.choice(_EXPLAIN).format(t=topic.name)
    return asked, f"{rng.choice(_SURE)} {topic.short} {topic.more} {rng.choice(_MORE)}"


def _tips(topic: Topic) -> str:
    listed = "\n".join(f"{number}. {tip}" for number, tip in enumerate(topic.tips, start=1))
    return f"Here are three tips about {topic.name}:\n{listed}"


def _recall_chat(rng: Random) -> tuple[Turns, str]:
    """Something told, something else, then asked for again; the answer stands in the first turn."""
    told, (first, question, answer) = _fact(rng)
    between = rng.sample(_FILLERS, rng.choice([0, 1, 1, 2]))
    if rng.random() < 0.3:
        between.append(_explained(rng, rng.choice(TOPICS[::3])))
        rng.shuffle(between)
    turns = [first, *between, (question, answer)]
    if rng.random() < 0.35:
        other, (second, again, back) = _fact(rng)
        turns = [first, second, *between, (question, answer), (again, back)]
        if again == question:
            turns = [first, *between, (question, answer)]
    if rng.random() < 0.2:
        turns.append(("Thank you!", "You are welcome! Is there anything else I can do for you?"))
    return turns, told


def _fact(rng: Random) -> tuple[str, tuple[tuple[str, str], str, str]]:
    """(what is told, ((the user tells it, the answer), the question later, its answer))."""
    name = invented(rng, 2) if rng.random() < 0.5 else rng.choice(NAMES)
    place, pet, food = town(rng), rng.choice(PETS), rng.choice(FOODS)
    job, hobby, called = article(rng.choice(JOBS)), rng.choice(HOBBIES), invented(rng, 2)
    kinds = [
        (
            name,
            rng.choice(
                [
                    "My name is {v}.",
                    "Hello! My name is {v}. Please remember it.",
                    "Hello, my name is {v}.",
                    "Hi, I am {v}.",
                    "I am called {v}.",
                ]
            ),
            "Nice to meet you, {v}! How can I help you today?",
            rng.choice(["What is my name?", "Do you remember my name?", "What am I called?"]),
            "Your name is {v}, as you told me earlier.",
        ),
        (
            place,
            rng.choice(["I live in {v}.", "Hello, I live in {v}.", "My home is in {v}."]),
            "Thank you for telling me! I hope you like living in {v}.",
            rng.choice(["Where do I live?", "Do you remember where I live?", "Which town do I live in?"]),
            "You live in {v}, as you told me earlier.",
        ),
        (
            called,
            rng.choice([f"I have a {pet} called {{v}}.", f"My {pet} is called {{v}}."]),
            f"How lovely! {{v}} is a nice name for a {pet}.",
            rng.choice([f"What is my {pet} called?", f"What is the name of my {pet}?"]),
            f"Your {pet} is called {{v}}, as you told me earlier.",
        ),
        (
            food,
            rng.choice(["I like {v}.", "My favourite food is {v}.", "I love to eat {v}."]),
            "That sounds delicious! Many people enjoy {v}.",
            rng.choice(["What food do I like?", "What is my favourite food?", "What do I like to eat?"]),
            "You like {v}, as you told me earlier.",
        ),
        (
            job,
            rng.choice(["I am {v}.", "I work as {v}.", "By the way, I am {v}."]),
            "That is an interesting job! How long have you been {v}?",
            rng.choice(["What is my job?", "What do I do for a living?", "Do you remember my job?"]),
            "You are {v}, as you told me earlier.",
        ),
        (
            hobby,
            rng.choice(["My hobby is {v}.", "I enjoy {v}.", "I like {v} in my free time."]),
            "How nice! {v} is a wonderful way to relax.",
            rng.choice(["What is my hobby?", "What do I do in my free time?", "Do you remember my hobby?"]),
            "Your hobby is {v}, as you told me earlier.",
        ),
    ]
    value, tells, reply, question, answer = rng.choices(kinds, weights=[4, 3, 3, 1, 1, 1])[0]
    reply = reply.format(v=value)
    spoken = (tells.format(v=value), reply[:1].upper() + reply[1:])
    return value, (spoken, question, answer.format(v=value))
