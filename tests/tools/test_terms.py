import pytest

from anabranch.tools.terms import STOP_WORDS, tokenize


def test_tokenize() -> None:
    assert tokenize("The Bridges, ÉCOLES & cities' 1,234.5") == ["the", "bridge", "ecole", "city", "1234", "5"]
    assert tokenize("bus glass species is 1990s") == ["bus", "glass", "specy", "is", "1990"]
    assert tokenize("東京都2020") == ["東京", "京都", "2020"]
    assert tokenize("東京", indexing=True) == ["東京", "東", "京"]
    assert tokenize("snake_case") == ["snake", "case"]
    assert {"what", "does", "was", "this"} - STOP_WORDS == {"does"}
    assert set(tokenize("what does this")) <= STOP_WORDS


@pytest.mark.parametrize(
    "character", "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u202b\u2066\u034f\ufe0f\x00\x02\u180e"
)
def test_invisible_characters_hide_no_word(character: str) -> None:
    assert tokenize(f"The light{character}house{character}") == tokenize("the lighthouse")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("مُحَمَّدٌ", "محمد"),
        ("القـــاهرة", "القاهرة"),
        ("أَحْمَد", "احمد"),
        ("ٱلرَّحْمَٰنِ", "ٱلرحمن"),
        ("שָׁלוֹם", "שלום"),
        ("ﬁsh", "fish"),
        ("Rødby Łódź Ærø Œuvre", "Rodby Lodz Aero Oeuvre"),
        ("مدرسة على", "مدرسه علي"),
        ("کتابی", "كتابي"),
        ("۱۹۱۱ ١٩١١ १९११ １９１１", "1911 1911 1911 1911"),
        ("1911² Vale¹²", "1911 2 Vale 12"),
        ("Ｆｅｒｒｙ", "ferry"),
        ("12\u202f500", "12500"),
        ("12’500", "12500"),
        ("12\u00a0500", "12,500"),
    ],
)
def test_signs_that_are_seldom_written_hide_no_word(written: str, plain: str) -> None:
    assert tokenize(written) == tokenize(plain)


@pytest.mark.parametrize("scripts", ["किताब", "がぎぐ", "กำลัง", "বাংলা", "한국어", "мой"])
def test_signs_that_make_another_word_stay(scripts: str) -> None:
    assert tokenize(scripts) != tokenize(scripts[0])
    assert "".join(tokenize("がぎ")) == "がぎ"


@pytest.mark.parametrize("end", ["-\n", "-\r\n  ", "\u2010\n", "¬\n", "\u00ad\n"])
def test_words_broken_at_the_end_of_a_line(end: str) -> None:
    assert "lighthouse" in tokenize(f"the light{end}house", indexing=True)
    assert "light" in tokenize("the light-\nhouse", indexing=True)
    assert "house" in tokenize("the light-\nhouse", indexing=True)


def test_words_broken_twice_and_scripts_without_hyphens() -> None:
    assert "internationally" in tokenize("inter-\nnation-\nally", indexing=True)
    assert "東京" in tokenize("大東\n京都", indexing=True)
    assert "大東" not in tokenize("大\n\n東", indexing=True)


def test_queries_give_no_words_of_two_lines() -> None:
    assert tokenize("light-\nhouse") == ["light", "house"]
