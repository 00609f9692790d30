"""What the browser keeps, and how it is shown: plain values, no browser needed."""

import json
import stat
from pathlib import Path

import pytest

from models.request import Usage
from ui import conversation as module
from ui.conversation import Book, Conversation, Turn
from ui.home import browser_secret
from ui.text import original, shown
from ui.transcript import chat_messages, footer, place

_USAGE = Usage(40, 24, 256, 0, 0.0, 0.21, 31.0)


def _talk(*texts: str, key: str = "") -> Conversation:
    turns = [
        Turn(role="assistant", text=t, label="Red", finish="stop", usage=_USAGE)
        if i % 2
        else Turn(role="user", text=t)
        for i, t in enumerate(texts)
    ]
    conversation = Conversation.new().with_turns(turns)
    return conversation.model_copy(update={"id": key}) if key else conversation


def _said(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation.messages()]


def test_the_model_is_given_the_texts_and_nothing_else() -> None:
    talk = _talk("Hi", "Hello", "And?").model_copy(update={"system": "Be kind."})
    assert _said(talk) == ["Be kind.", "Hi", "Hello", "And?"]
    assert [m.role for m in talk.messages()] == ["system", "user", "assistant", "user"]


def test_a_question_that_got_no_answer_is_not_given_to_the_model() -> None:
    assert _said(_talk("Hi", "", "And?")) == ["And?"]
    assert _said(_talk("Hi", "Hello", "So", "  ", "And?")) == ["Hi", "Hello", "And?"]
    assert _said(_talk("Hi", "")) == []


def test_a_book_survives_the_browser() -> None:
    book = Book().put(_talk("Hi", "Hello", key="a")).put(_talk("Yes", "No", key="b"))
    assert Book.parse(json.loads(json.dumps(book.model_dump(mode="json")))) == book
    assert book.current.id == "b" and [c.id for c in book.conversations] == ["b", "a"]


@pytest.mark.parametrize("value", [None, "text", [], {"version": 2}, {"conversations": [{"id": 3}]}])
def test_a_damaged_book_counts_as_empty(value: object) -> None:
    assert Book.parse(value) == Book()


def test_the_oldest_conversations_leave_a_book_that_grows_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 3000)
    book = Book()
    for key in "abcdef":
        book = book.put(_talk("x" * 300, "y" * 300, key=key))
    kept = [c.id for c in book.conversations]
    assert kept == list("fedcba")[: len(kept)] and 1 < len(kept) < 6
    assert [c.id for c in book.put(_talk("z" * 9000, key="huge")).conversations] == ["huge"]


def test_search_rename_and_remove() -> None:
    book = Book().put(_talk("Buy milk", "Done", key="a")).put(_talk("Buy bread", "No", key="b"))
    assert [c.id for c in book.search("BUY done")] == ["a"]
    renamed = book.rename("a", " Shopping ")
    assert [c.name for c in renamed.conversations] == ["Buy bread", "Shopping"]
    assert [c.id for c in renamed.search("shopping")] == ["a"]
    assert book.remove("b").open == "" and book.at("a").remove("b").open == "a"


def test_exports_name_the_roles() -> None:
    talk = _talk("Hi", "Hello").model_copy(update={"system": "Be kind."})
    assert "**You**\n\nHi\n\n**Red**\n\nHello" in talk.markdown()
    messages = json.loads(talk.json_text())["messages"]
    assert messages[0] == {"role": "system", "content": "Be kind."}
    assert messages[2] == {"role": "assistant", "content": "Hello", "name": "Red"}


def test_the_chat_window_shows_a_line_about_each_answer() -> None:
    talk = _talk("Hi", "Hello", "And?", "So")
    assert [m["role"] for m in chat_messages(talk.turns)] == ["user", *["assistant"] * 2] * 2
    assert [place(talk.turns, i) for i in range(6)] == [0, 1, 1, 2, 3, 3]
    line = footer(talk.turns[1])
    assert line == "**Red** · 24 tokens · 31.0 tokens/s · first token 0.21 s · context 64 of 256 (25%)"


def test_the_line_says_what_was_left_out_and_why_it_ended() -> None:
    usage = Usage(200, 24, 256, 3, 0.0, 0.2, 30.0)
    line = footer(Turn(role="assistant", text="x", label="*R*", finish="length", usage=usage))
    assert line.startswith(r"**\*R\*** · cut off") and "oldest 3 messages no longer fit" in line
    assert "stopped" in footer(Turn(role="assistant", text="x", label="R", finish="cancelled"))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<b>x</b> & y < 3", "&lt;b>x&lt;/b> & y < 3"),
        ("`<b>` <i>", "`<b>` &lt;i>"),
        ("```html\n<b>\n``` <!-- x -->", "```html\n<b>\n``` &lt;!-- x -->"),
        ("```\n<unfinished", "```\n<unfinished"),
        ("![x](http://y/z.png) &lt; &#33;", "&#33;&#91;x](http://y/z.png) &amp;lt; &amp;#33;"),
        ("**bold** stays!", "**bold** stays!"),
    ],
)
def test_html_is_shown_as_text_and_comes_back_as_it_was(text: str, escaped: str) -> None:
    assert shown(text) == escaped
    assert original(escaped) == text


def test_the_secret_outlives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TROUPE_SECRET", raising=False)
    secret = browser_secret()
    assert len(secret) > 30 and browser_secret() == secret
    assert stat.S_IMODE((tmp_path / "home" / "secret").stat().st_mode) == 0o600
    monkeypatch.setenv("TROUPE_SECRET", "mine")
    assert browser_secret() == "mine"
