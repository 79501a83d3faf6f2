"""Small talk, and what is said to it."""

import pytest

from anabranch.agents.small_talk import courtesy, is_small_talk


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Thanks!", "You are welcome."),
        ("ok, merci beaucoup", "Je vous en prie."),
        ("Teşekkürler", "Rica ederim."),
        ("谢谢你！", "不客气。"),
        ("감사합니다", "천만에요."),
        ("شكرا", "عفوا."),
    ],
)
def test_thanks_are_answered_in_their_language(text: str, reply: str) -> None:
    assert is_small_talk(text)
    assert courtesy(text) == reply


@pytest.mark.parametrize("text", ["Good night", "Guten Morgen!", "再见"])
def test_greetings_and_farewells_are_said_back(text: str) -> None:
    assert courtesy(f" {text}\n") == text
