"""Text between people, models and Gradio's Markdown, which would render HTML that stands in it."""

import html
import re
from collections.abc import Callable

# Code needs no escaping: Markdown shows it as it is.
_CODE = re.compile(r"(```[\s\S]*?(?:```|$)|`[^`\n]+`)")
_RISKY = re.compile(r"<(?=[a-zA-Z/!?])|&(?=#?\w+;)|!\[")
_SAFE = {"<": "&lt;", "&": "&amp;", "![": "&#33;&#91;"}
_BACK = re.compile("|".join(_SAFE.values()))


def shown(text: str) -> str:
    """For the chat window: Markdown stays, HTML is seen as text, images (which would be fetched) as well."""
    return _outside_code(lambda part: _RISKY.sub(lambda m: _SAFE[m[0]], part), text)


def original(text: str) -> str:
    """The reverse of `shown`. page.js does the same for the copy button."""
    return _outside_code(lambda part: _BACK.sub(lambda m: html.unescape(m[0]), part), text)


def label(text: str) -> str:
    """A title or a message in a place that takes HTML or Markdown: nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]~])", r"\\\1", html.escape(text, quote=False))


def _outside_code(change: Callable[[str], str], text: str) -> str:
    parts = _CODE.split(text)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))
