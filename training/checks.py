"""Checks: what tells a right answer from a wrong one. They see text alone, never the model."""

import re
from collections import Counter
from collections.abc import Iterable
from math import ceil

_GREETING = re.compile(r"^(hi|hello|dear|good (morning|day|evening)|hey|ciao)\b", re.I | re.M)
# an order to the reader, so at the beginning of a sentence
_CALL = re.compile(
    r"(^|[.!?:,] +)(please |just |simply |so )?(order|buy|try|get|visit|see|download|reserve|book|shop|find"
    r"|start|join|discover|click|reply|answer|call|write|sign up|send)\b",
    re.I | re.M,
)
_SIGN_OFF = re.compile(r"^(\w+ ){0,3}(regards|wishes|cheers|sincerely|truly|soon|team|crew)\b", re.I | re.M)
_ARTICLES = {"a", "an", "the"}
# gemoji's aliases hold "it" for Italy and "on", "a", "us": words that any answer may have
_SAY_NOTHING = _ARTICLES | {"it", "on", "up", "us", "is", "of", "in", "to", "for", "and", "or"}


def words(text: str) -> list[str]:
    """In lower case, without punctuation."""
    return re.findall(r"\w+", text.lower().replace("’", "").replace("'", "").replace("_", " "))


def plain(text: str) -> list[str]:
    """As SQuAD compares answers: words without articles."""
    return [word for word in words(text) if word not in _ARTICLES]


def holds(answer: str, wanted: str) -> bool:
    """Whether the words of `wanted` stand in `answer`, one behind the other."""
    return bool(plain(wanted)) and f" {' '.join(plain(wanted))} " in f" {' '.join(plain(answer))} "


def is_exactly(answer: str, accepted: Iterable[str]) -> bool:
    """Whether the whole answer is one of `accepted`, but for case, articles and punctuation."""
    return plain(answer) in [plain(text) for text in accepted]


def f1(answer: str, reference: str) -> float:
    """SQuAD's token F1, 0 to 1."""
    got, wanted = plain(answer), plain(reference)
    common = sum((Counter(got) & Counter(wanted)).values())
    return 2 * common / (len(got) + len(wanted)) if common else 0.0


def emoji_names(row: dict) -> set[str]:
    """Everything that gemoji calls an emoji by: description, aliases, tags; of a flag the country too."""
    texts = [row["description"], *row["aliases"], *row["tags"]]
    texts += [row["description"].removeprefix("flag: ")]
    names = (" ".join(words(text)) for text in texts)
    return {name for name in names if len(name) > 1 and name not in _SAY_NOTHING}


def is_email(answer: str, product: str) -> bool:
    """Subject line, greeting, the product's name, a call to action and a sign-off."""
    head, _, body = answer.partition("\n")
    parts = all(part.search(body) for part in (_GREETING, _CALL, _SIGN_OFF))
    return head.startswith("Subject:") and holds(answer, product) and parts


def is_joke(answer: str) -> bool:
    """A first sentence that sets up, and something short behind it that does not just repeat it."""
    parts = [part for part in re.split(r"(?<=[?.!])\s+", answer.strip()) if words(part)]
    if not 2 <= len(parts) <= 5:
        return False
    opening, ending = words(parts[0]), words(parts[-1])
    return len(opening) >= 3 and len(ending) <= 20 and ending != opening


class Copies:
    """Finds what an answer has word for word from texts of the training."""

    def __init__(self, texts: Iterable[str]):
        told = [" ".join(words(text)) for text in texts]
        self._whole = set(told)
        # no run of words goes over a bar
        self._all = " | ".join(f" {text} " for text in told)

    def whole(self, answer: str) -> bool:
        """The answer is one of the texts."""
        return " ".join(words(answer)) in self._whole

    def mostly(self, answer: str, part: float = 0.8) -> bool:
        """A run of words that makes up at least `part` of the answer stands in one of the texts."""
        said = words(answer)
        length = ceil(part * len(said))
        runs = (said[at : at + length] for at in range(len(said) - length + 1))
        return bool(said) and any(f" {' '.join(run)} " in self._all for run in runs)
