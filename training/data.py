"""A recipe's sources -> conversations -> split by group -> token rows with all but the answers masked."""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from models.prompt import encode_example
from models.request import Message
from training.forms import Conversation, read_row, same
from training.recipe import Recipe, Source
from training.sources import DataError, open_source
from training.split import held_out


@dataclass
class Split:
    """Conversations to learn from and conversations held out; no group stands in both."""

    train: list[Conversation] = field(default_factory=list)
    test: list[Conversation] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """Names the conversations themselves: not their order, nor where they came from."""
        digest = sha256()
        for side in (self.train, self.test):
            for line in sorted(json.dumps(_plain(c), ensure_ascii=False) for c in side):
                digest.update(line.encode() + b"\n")
            digest.update(b"\0")
        return digest.hexdigest()


@dataclass(frozen=True)
class TokenRows:
    """Rows for the trainer, and how many conversations were longer than `length` tokens and left out."""

    rows: Dataset
    too_long: int


def read_split(recipe: Recipe) -> Split:
    """All conversations of a recipe. DataError names file, row and field of what cannot be used."""
    split = Split()
    for source in recipe.data:
        for conversation in _conversations(source, recipe.train.seed):
            if held_out(conversation.group):
                split.test.append(_with_system(conversation, recipe.system))
            else:
                split.train += [_with_system(conversation, recipe.system)] * source.repeat
    if not split.train:
        raise DataError(f"Recipe {recipe.name}: its sources give no conversation to train on.")
    split.test = _first_of_each(split.test)
    return split


def _conversations(source: Source, seed: int) -> list[Conversation]:
    opened = open_source(source.source, source.obtain)
    found: list[Conversation] = []
    for number, row in opened.rows:
        try:
            made = read_row(source.form, row)
        except ValueError as error:
            raise DataError(f"{opened.where}, row {number}: {error}.") from None
        if source.group:
            if source.group not in row:
                raise DataError(f"{opened.where}, row {number}: the group field '{source.group}' is missing.")
            made = [replace(c, group=same(str(row[source.group]))) for c in made]
        found.append(made)
    if not found:
        raise DataError(f"{opened.where}: no rows.")
    if source.take is not None and source.take < len(found):
        random.Random(seed).shuffle(found)
        found = found[: source.take]
    return [c for made in found for c in made if not source.only or c.group in source.only]


def _with_system(conversation: Conversation, system: str | None) -> Conversation:
    if not system or conversation.messages[0].role == "system":
        return conversation
    return replace(conversation, messages=(Message(role="system", content=system), *conversation.messages))


def _first_of_each(conversations: list[Conversation]) -> list[Conversation]:
    """A held-out conversation counts once, however often the data repeat it."""
    return list(dict.fromkeys(conversations))


def token_rows(
    tokenizer: PreTrainedTokenizerBase, conversations: Iterable[Conversation], length: int
) -> TokenRows:
    """Token ids and labels, -100 wherever the token is not an answer's. Encoded by `models.prompt` alone."""
    ids: list[list[int]] = []
    labels: list[list[int]] = []
    too_long = 0
    for conversation in conversations:
        example = encode_example(tokenizer, conversation.messages)
        if len(example.ids) > length:
            too_long += 1
            continue
        ids.append(example.ids)
        labels.append([i if learn else -100 for i, learn in zip(example.ids, example.mask, strict=True)])
    return TokenRows(Dataset.from_dict({"input_ids": ids, "labels": labels}), too_long)


def _plain(conversation: Conversation) -> list[dict[str, str]]:
    return [message.model_dump() for message in conversation.messages]
