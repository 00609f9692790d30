"""Rows of public data: short, plain text only, and nothing that an adapter is to teach.

Of Dolly only the passages are read, with questions of reading.py: its own questions are the adapter's.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

from models.request import Message
from training.embedded import reading
from training.embedded.chat import Conversation, chat
from training.split import held_out

FILES = (
    "databricks-dolly-15k.jsonl",
    "instruction-data-1100.json",
    "guanaco-llama2-1k.jsonl",
    "self-instruct-seed-tasks.jsonl",
    "gsm8k-train.jsonl",
)
_PLAIN = re.compile(r"[\x20-\x7e\n]*")
# The roles teach these; a base that knew them already would make their adapters look good for nothing.
ADAPTERS_OWN = re.compile(r"\bjok(e|es|ing)\b|\be-?mails?\b|\bemojis?\b|\bpuns?\b", re.IGNORECASE)
_OTHER_MODELS = re.compile(
    r"vicuna|chatgpt|openai|open assistant|\bas an? ai\b|language model", re.IGNORECASE
)
_LONGEST_ANSWER = 600
_LONGEST = 1600
_LONGEST_SUM = 450


def allowed(talk: Conversation) -> bool:
    """Plain ASCII, short, nothing of the adapters' subjects and no other model's name."""
    texts = [message.content for message in talk]
    whole = "\n".join(texts)
    return (
        all(text.strip() for text in texts)
        and len(whole) <= _LONGEST
        and all(len(m.content) <= _LONGEST_ANSWER for m in talk if m.role == "assistant")
        and _PLAIN.fullmatch(whole) is not None
        and "<|" not in whole
        and not ADAPTERS_OWN.search(whole)
        and not _OTHER_MODELS.search(whole)
    )


def rows(data: Path) -> Iterator[tuple[str, Conversation]]:
    """(group, conversation) of every usable row under `data`; files that are not there are passed over."""
    for source in (_passages, _alpaca, _guanaco, _seeds, _sums):
        for group, talk in source(data):
            if allowed(talk):
                yield group, talk


def split(data: Path) -> tuple[list[Conversation], list[Conversation]]:
    """(training, held out) conversations; a group is wholly on one side."""
    sides: tuple[list[Conversation], list[Conversation]] = ([], [])
    seen: set[str] = set()
    for group, talk in rows(data):
        key = "\n".join(m.content for m in talk)
        if key not in seen:
            sides[held_out(group)].append(talk)
            seen.add(key)
    return sides


def _lines(file: Path) -> Iterator[dict]:
    if file.exists():
        with file.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines if line.strip())


def _passages(data: Path) -> Iterator[tuple[str, Conversation]]:
    # The passage is the group of its rows in the Dolly recipe too: what that holds out is held out here.
    for group in sorted({row["context"].strip() for row in _lines(data / FILES[0])}):
        sentences = reading.sentences(group)
        rng = Random(group)
        for _ in range(min(4, len(sentences))):
            yield group, reading.conversation(rng, sentences)


def _alpaca(data: Path) -> Iterator[tuple[str, Conversation]]:
    file = data / FILES[1]
    for row in json.loads(file.read_text(encoding="utf-8")) if file.exists() else []:
        yield row["instruction"], chat(f"{row['instruction']}\n\n{row['input']}".strip(), row["output"])


def _seeds(data: Path) -> Iterator[tuple[str, Conversation]]:
    for row in _lines(data / FILES[3]):
        for case in row["instances"]:
            yield row["instruction"], chat(f"{row['instruction']}\n\n{case['input']}".strip(), case["output"])


def _guanaco(data: Path) -> Iterator[tuple[str, Conversation]]:
    for row in _lines(data / FILES[2]):
        turns = re.findall(r"\[INST\](.*?)\[/INST\](.*?)(?=</s>|<s>|\Z)", row["text"], re.DOTALL)
        talk = [
            Message(role=role, content=text.strip())
            for turn in turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        if talk:
            yield talk[0].content, talk


def _sums(data: Path) -> Iterator[tuple[str, Conversation]]:
    for row in _lines(data / FILES[4]):
        if len(row["question"]) + len(row["answer"]) > _LONGEST_SUM:
            continue  # beyond what so small a model follows
        steps, _, result = re.sub(r"<<.*?>>", "", row["answer"]).partition("\n#### ")
        yield row["question"], chat(row["question"], f"{steps}\nThe answer is {result}.")
