"""Tokens -> text that may be shown: whole characters, no stop strings, the spaces that belong there."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from models.text import TextStream
from tests.tiny import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def pieces(stream: TextStream, tokens: list[int]) -> list[str]:
    return [stream.push(token) for token in tokens]


def test_an_emoji_comes_whole_or_not_at_all(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "medal 🥇, family 👨‍👩‍👧, 日本"
    tokens = tokenizer.encode(text)
    shown = pieces(TextStream(tokenizer, []), tokens)
    assert "".join(shown) == text
    assert not any("�" in piece for piece in shown)
    assert len(tokens) > len([piece for piece in shown if piece])


def test_special_tokens_are_not_shown(tokenizer: PreTrainedTokenizerFast) -> None:
    assert pieces(TextStream(tokenizer, []), tokenizer.encode("a<|user|>b")) == ["a", "", "b"]


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("one two three", ("two",), "one "),
        ("one two three", ("three", "two"), "one "),
        ("END", ("END",), ""),
        ("ENEND of it", ("END",), "EN"),
        ("almost EN but no", ("END",), "almost EN but no"),
        ("nothing here", ("", "zzz"), "nothing here"),
        ("ends in a beginning EN", ("END",), "ends in a beginning EN"),
    ],
)
def test_stop_strings(
    tokenizer: PreTrainedTokenizerFast, text: str, stop: tuple[str, ...], shown: str
) -> None:
    stream = TextStream(tokenizer, [], stop)
    said = ""
    for token in tokenizer.encode(text):
        said += stream.push(token)
        assert not any(word and word in said for word in stop)
        if stream.stopped:
            break
    assert stream.stopped == (text != shown)
    assert said + stream.rest() == shown


def test_a_tokenizer_that_marks_words_keeps_the_space_when_an_answer_is_continued() -> None:
    words = {"▁the": 0, "▁capital": 1, "▁of": 2, "▁France": 3, "<unk>": 4}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    assert "".join(pieces(TextStream(tokenizer, []), [2, 3])) == "of France"
    assert "".join(pieces(TextStream(tokenizer, [0, 1]), [2, 3])) == " of France"
