"""Real passages with questions that need no author: their answers are copied from them word for word."""

import re
from random import Random

from models.prompt import with_context
from training.embedded.chat import Conversation, chat

_LONGEST = 900  # characters of a passage; with a question it fits into a short row
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"0-9])")
_NAME = re.compile(r"(?<![.!?\"] )(?<!^)\b[A-Z][a-z]{2,}(?: [A-Z][a-z]+){0,3}\b")
_NUMBER = re.compile(r"\b\d[\d,]*(?:\.\d+)?\b")

Sentences = list[str]


def sentences(text: str) -> Sentences:
    """The sentences of a passage, without footnote marks; those not in plain ASCII are left out."""
    text = re.sub(r"\[\d+\]|\s*\([^()]*[^\x20-\x7e][^()]*\)", "", text)
    for fancy, plain in (("\u2019", "'"), ("\u2018", "'"), ("\u201c", '"'), ("\u201d", '"'), ("\u2013", "-")):
        text = text.replace(fancy, plain)
    found = (" ".join(part.split()) for part in _SENTENCE_END.split(text))
    return [s for s in found if 20 <= len(s) <= 300 and s.isascii() and s[-1] in ".!?" and _whole(s)]


def _whole(sentence: str) -> bool:
    return sentence.count("(") == sentence.count(")") and sentence.count('"') % 2 == 0


def conversation(rng: Random, passage: Sentences) -> Conversation:
    """A stretch of the passage, and one to three questions about it."""
    part = _stretch(rng, passage)
    questions = [_question(rng, part) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.25 and len(part) > 3:
        half = rng.randint(1, len(part) - 2)
        return chat(f"{rng.choice(_GO_ON)}\n\n{' '.join(part[:half])}", " ".join(part[half : half + 4]))
    (first, answer), *others = questions
    talk = chat(with_context(first, " ".join(part)), answer)
    for question, reply in others:
        talk = talk + chat(question, reply)
    return talk


_GO_ON = [
    "Continue this text.",
    "Go on with this.",
    "Write what comes next.",
    "What comes next in this text?",
]


def _stretch(rng: Random, passage: Sentences) -> Sentences:
    start = rng.randrange(max(1, len(passage) - 2))
    part: Sentences = []
    for sentence in passage[start:]:
        if part and sum(map(len, part)) + len(sentence) > _LONGEST:
            break
        part.append(sentence)
    return part


def _question(rng: Random, part: Sentences) -> tuple[str, str]:
    """(question, answer)"""
    sentence = rng.choice(part)
    makers = rng.sample([_complete, _about, _about, _name_of, _number_in, _gap, _gap], 3)
    for maker in makers:
        if made := maker(rng, sentence):
            return made
    place, which = rng.choice([(0, "first"), (-1, "last")])
    asked = ["What is the {} sentence of the text?", "Give me the {} sentence.", "Repeat the {} sentence."]
    return rng.choice(asked).format(which), part[place]


def _complete(rng: Random, sentence: str) -> tuple[str, str] | None:
    words = sentence.split()
    if len(words) < 7:
        return None
    start = " ".join(words[: rng.randint(3, 5)])
    asked = rng.choice(
        ["Complete the sentence: {}", "How does this sentence end? {}", "Finish this sentence: {}"]
    )
    return asked.format(f"{start} ..."), sentence


def _about(rng: Random, sentence: str) -> tuple[str, str] | None:
    subjects = _NAME.findall(sentence)
    if not subjects:
        return None
    asked = [
        "What does the text say about {}?",
        "What is said about {}?",
        "What do we learn about {}?",
        "Which sentence is about {}?",
        "Tell me about {}.",
        "Who or what is {}?",
    ]
    return rng.choice(asked).format(rng.choice(subjects)), sentence


def _gap(rng: Random, sentence: str) -> tuple[str, str] | None:
    """A word left out; the answer is that word alone, as in a short reply to a real question."""
    found = _NAME.findall(sentence) + _NUMBER.findall(sentence) + re.findall(r"\b[a-z]{6,}\b", sentence)
    if not found:
        return None
    word = rng.choice(found)
    asked = rng.choice(["Fill the gap: {}", "Which word is missing? {}", "What is missing here? {}"])
    return asked.format(sentence.replace(word, "___", 1)), rng.choice([word, f"{word}.", f'"{word}"'])


def _name_of(rng: Random, sentence: str) -> tuple[str, str] | None:
    names = list(dict.fromkeys(_NAME.findall(sentence)))
    if not names:
        return None
    asked = ["Which names are in this sentence? {}", "Which names occur here? {}", "List the names: {}"]
    return rng.choice(asked).format(sentence), ", ".join(names)


def _number_in(rng: Random, sentence: str) -> tuple[str, str] | None:
    numbers = list(dict.fromkeys(_NUMBER.findall(sentence)))
    if not numbers:
        return None
    asked = ["Which numbers are in this sentence? {}", "List the numbers: {}", "Find the numbers: {}"]
    return rng.choice(asked).format(sentence), ", ".join(numbers)
