"""What counts as right in an evaluation: each check on answers that are, and that are not."""

import pytest

from training.oracles import _is_email, _is_joke, _names_one

EMAIL = (
    "Subject: Meet SunCup\n\nDear reader,\n\nSunCup is warm.\n\nOrder yours today.\n\nKind regards,\nThe team"
)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (EMAIL, True),
        (EMAIL.replace("SunCup", "MoonCup"), False),
        (EMAIL.replace("Subject: ", ""), False),
        (EMAIL.replace("Dear reader,", ""), False),
        (EMAIL.replace("Order yours today.", ""), False),
        (EMAIL.replace("Kind regards,\nThe team", ""), False),
    ],
)
def test_an_email_has_all_of_its_parts(answer: str, right: bool) -> None:
    assert _is_email(answer, "SunCup") is right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Why did the cow sing? It knew the words.", True),
        ("A horse walks into a bar. The barman asks why.", True),
        ("I do not know.", False),
        ("What? No.", False),
        ("", False),
    ],
)
def test_a_joke_has_a_set_up_and_a_punchline(answer: str, right: bool) -> None:
    assert _is_joke(answer) is right


def test_an_emoji_is_named_by_whole_words() -> None:
    assert _names_one("🐱 shows cat face.", {"cat", "pet"})
    assert not _names_one("It stands for a catalogue.", {"cat"})
