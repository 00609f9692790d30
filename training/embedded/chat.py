"""A conversation of the corpus, before it is tokens."""

from models.request import Message

Conversation = list[Message]


def chat(question: str, answer: str) -> Conversation:
    """One question and its answer."""
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]
