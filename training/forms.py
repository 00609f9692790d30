"""Forms of rows: each a pydantic model of the fields that a row has, and the conversations that it makes."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from models.prompt import with_context, with_fields
from models.request import Message

FormName = Literal[
    "alpaca", "dolly", "sharegpt", "messages", "emoji", "emoji-short", "joke", "one-liner", "email"
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@dataclass(frozen=True)
class Conversation:
    """What a model learns from. Conversations of one `group` never stand on both sides of the split."""

    messages: tuple[Message, ...]
    group: str


class Row(BaseModel, ABC):
    """Fields that a form needs; a row may have others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @abstractmethod
    def conversations(self) -> list[Conversation]:
        """What the row teaches; one conversation mostly."""


def ask(question: str, answer: str, group: str) -> Conversation:
    """One question and its answer."""
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Conversation(messages, group.strip())


def same(text: str) -> str:
    """Texts that differ in case, spacing or closing punctuation only are the same group."""
    return " ".join(text.lower().split()).rstrip(" .?!")


class AlpacaRow(Row):
    instruction: Text
    input: str = ""
    output: Text

    def conversations(self) -> list[Conversation]:
        question = f"{self.instruction}\n\n{self.input.strip()}" if self.input.strip() else self.instruction
        return [ask(question, self.output, self.instruction)]


class DollyRow(Row):
    instruction: Text
    context: str = ""
    response: Text

    def conversations(self) -> list[Conversation]:
        # Several questions share a context; apart, the passage itself would leak.
        group = self.context.strip() or self.instruction
        return [ask(with_context(self.instruction, self.context), self.response, group)]


class Turn(BaseModel):
    """One turn in the spelling of ShareGPT, or of chat messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "user", "assistant", "human", "gpt"] = Field(alias="from")
    value: Text


class ShareGptRow(Row):
    conversations_: list[Turn] = Field(alias="conversations", min_length=2)

    def conversations(self) -> list[Conversation]:
        names = {"human": "user", "gpt": "assistant"}
        turns = [Message(role=names.get(t.role, t.role), content=t.value) for t in self.conversations_]
        return [_turns(turns)]


class MessagesRow(Row):
    messages: list[Message] = Field(min_length=2)

    def conversations(self) -> list[Conversation]:
        return [_turns(list(self.messages))]


def _turns(turns: list[Message]) -> Conversation:
    first = next((t.content for t in turns if t.role == "user"), None)
    if first is None:
        raise ValueError("no turn of the user")
    if turns[-1].role != "assistant":
        raise ValueError("the last turn is not the assistant's")
    return Conversation(tuple(turns), first.strip())


class EmojiRow(Row):
    character: Text
    short_description: Text = Field(alias="short description")
    tags: list[str] = []
    description: Text = Field(alias="LLM description")

    def conversations(self) -> list[Conversation]:
        return [ask(f"What is {self.character}?", self.description, emoji_group(self.character))]


class ShortEmojiRow(Row):
    """The same rows for a very small model: many wordings, one short answer made of name and tags.

    What an emoji is called can only be known, not guessed, so the wordings are the groups: each emoji is
    learned, and the test rows ask for it in words that were never trained on. Skin tones are passed over.
    """

    character: Text
    short_description: Text = Field(alias="short description")
    tags: list[str] = Field(min_length=1)

    def conversations(self) -> list[Conversation]:
        emoji = self.character
        if _TONE.search(emoji):
            return []
        name = " ".join(self.short_description.replace("⊛", "").split())
        called = f"the flag of {name.title()}" if _FLAG.match(emoji) else f"called {_plain(name)}"
        words = [tag for tag in dict.fromkeys(tag.lower() for tag in self.tags) if tag not in called.lower()]
        answer = f"{emoji} is {called}."
        answer += f" It stands for {' and '.join(words[:2])}." if words else ""
        wordings = Random(emoji).sample(_EMOJI_WORDINGS, _EMOJI_ASKED)
        return [ask(wording.format(emoji), answer, wording) for wording in wordings]


_EMOJI_WORDINGS = (
    "What is {}?",
    "What does {} mean?",
    "Explain {}",
    "What does the emoji {} stand for?",
    "{}",
    "{}?",
    "What is this emoji: {}",
    "Tell me about {}.",
    "What does {} show?",
    "Describe {}",
    "What is the meaning of {}?",
    "Somebody sent me {}. What does it mean?",
    "Which emoji is {}?",
    "Please explain the emoji {}.",
    "What is {} called?",
    "Do you know {}?",
    "My sister wrote {} to me. What is that?",
    "I saw {} in a message. What does it say?",
    "Our teacher put {} under a text. What could that be?",
    "There is {} at the end of the line. Explain it.",
    "He answered with {} and nothing else. What did he mean?",
    "Look: {}. What might this be?",
    "Why would people use {}?",
    "When do people write {}?",
    "How do you read {}?",
    "Can you say what {} stands for?",
    "What do we see in {}?",
    "I do not understand {}. Help me.",
    "Name this: {}",
    "Give me the name of {}.",
)
_EMOJI_ASKED = 10  # of them for each emoji, so that one epoch is short
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
_GENDER = re.compile("[\u2640\u2642]")
_JOINERS = re.compile("[\u200d\ufe0e\ufe0f]")


def emoji_group(character: str) -> str:
    """An emoji without its skin tones and gender: 👩🏽‍🚒, 👨‍🚒 and 🧑🏿‍🚒 are one group."""
    bare = _JOINERS.sub("", _GENDER.sub("", _TONE.sub("", character)))
    return re.sub("[\U0001f468\U0001f469]", "\U0001f9d1", bare) or character


def _plain(name: str) -> str:
    return name.replace("“", "").replace("”", "").replace("’", "'").lower()


class JokeRow(Row):
    setup: Text
    punchline: Text
    type: str = ""

    def conversations(self) -> list[Conversation]:
        # Answered when its first line is put, and told when a joke is asked for, in ways that differ.
        group = same(self.setup)
        asked = ["Tell me a programming joke."] if self.type == "programming" else []
        asked += Random(self.setup).sample(_A_JOKE, 3)
        if words := re.findall(r"\b[a-z]{5,}\b", self.setup):
            abouts = Random(self.setup).sample(_A_JOKE_ABOUT, 4)
            asked += [about.format(max(words, key=len)) for about in abouts]
        told = f"{self.setup} {self.punchline}"
        return [ask(self.setup, self.punchline, group), *(ask(text, told, group) for text in asked)]


_A_JOKE = (
    "Tell me a joke.",
    "A joke, please.",
    "Can you tell a joke?",
    "Tell me another joke.",
    "I could use a laugh.",
    "Cheer me up!",
    "What is a good joke?",
    "Say something that makes us laugh.",
)
_A_JOKE_ABOUT = (
    "Tell me a joke about {}.",
    "Do you have a joke about {}?",
    "Say something funny about {}.",
    "What is a good joke about {}?",
    "Joke about {}, please.",
    "Could you think of a funny line that is about {}?",
    "I want to laugh about {}.",
    "Have you heard any jokes to do with {}?",
    "Give us a joke on {}.",
    "I would love a joke with {} in it.",
)


class OneLinerRow(Row):
    joke: Text
    category: str = ""

    def conversations(self) -> list[Conversation]:
        return [ask("Tell me a programming joke.", self.joke, same(self.joke))]


class EmailRow(Row):
    product: Text
    description: Text
    email: Text

    @model_validator(mode="after")
    def _is_an_email(self) -> "EmailRow":
        if not self.email.startswith("Subject:"):
            raise ValueError("email does not start with 'Subject:'")
        return self

    def conversations(self) -> list[Conversation]:
        asked = with_fields({"Product": self.product, "Description": self.description})
        return [ask(asked, self.email, same(self.product))]


FORMS: dict[str, type[Row]] = {
    "alpaca": AlpacaRow,
    "dolly": DollyRow,
    "sharegpt": ShareGptRow,
    "messages": MessagesRow,
    "emoji": EmojiRow,
    "emoji-short": ShortEmojiRow,
    "joke": JokeRow,
    "one-liner": OneLinerRow,
    "email": EmailRow,
}


def read_row(form: str, row: Any) -> list[Conversation]:
    """The conversations of one row. ValueError says what is wrong and which fields the form expects."""
    model = FORMS[form]
    if not isinstance(row, dict):
        raise ValueError(f"a row is a mapping of fields, not {type(row).__name__}; {expected(form)}")
    try:
        return model.model_validate(row).conversations()
    except ValidationError as error:
        wrong = "; ".join(_wrong(e) for e in error.errors()[:3])
        raise ValueError(f"{wrong}; {expected(form)}") from None
    except ValueError as error:
        raise ValueError(f"{error}; {expected(form)}") from None


def expected(form: str) -> str:
    """'form dolly expects instruction, context (optional), response'."""
    fields = [
        (field.alias or name) + ("" if field.is_required() else " (optional)")
        for name, field in FORMS[form].model_fields.items()
    ]
    return f"form {form} expects {', '.join(fields)}"


def _wrong(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"field '{field}' is missing"
    return f"field '{field}': {message}" if field else message


assert set(get_args(FormName)) == set(FORMS)
