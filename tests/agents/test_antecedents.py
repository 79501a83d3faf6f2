"""Which words of a message stand for something said before it."""

import pytest
from hypothesis import given

from anabranch.agents.antecedents import own_names, settle
from anabranch.agents.small_talk import words_of
from tests.strategies import any_text


@pytest.mark.parametrize(
    ("words", "settled"),
    [
        # Who is meant stands in the message.
        ("When did Marie Curie get her first prize?", "When did Marie Curie get x first prize?"),
        ("What did Einstein do after he left Germany?", "What did Einstein do after x left Germany?"),
        ("Why do cats purr when they are happy?", "Why do cats purr when x are happy?"),
        ("What happens if an employee loses their laptop?", "What happens if an employee loses x laptop?"),
        ("Tom has a sister. How old is she?", "Tom has a sister. How old is x?"),
        ("Wo hat Goethe seine Kindheit verbracht?", "Wo hat Goethe x Kindheit verbracht?"),
        # It may be another.
        ("Is Mina Dahl her boss?", "Is Mina Dahl her boss?"),
        ("Did Pierre work with her?", "Did Pierre work with her?"),
        ("Where did she go to school in Oslo?", "Where did she go to school in Oslo?"),
        ("Does Tobias know that she is on leave?", "Does Tobias know that she is on leave?"),
        # Nothing is meant.
        ("Is it legal to fly a drone?", "Is x legal to fly a drone?"),
        ("How long does it take to learn Japanese?", "How long does x take to learn Japanese?"),
        ("Is it true that honey never spoils?", "Is x true x honey never spoils?"),
        ("What time is it in Sydney when it is noon in Rome?", "What time is x in Sydney when x is noon in Rome?"),
        ("How many moons are there around Saturn?", "How many moons are x around Saturn?"),
        ("Find a hotel that takes dogs", "Find a hotel x takes dogs"),
        ("How many seconds are in one day?", "How many seconds are in x day?"),
        ("Is this year a leap year?", "Is x year a leap year?"),
        ("How old is my son in May?", "How old is my x in May?"),
        ("Combien de temps faut-il pour aller à Turin ?", "Combien de temps faut-x pour aller à Turin ?"),
        ("Are both rivers, the Inn and the Enns, long?", "Are x rivers, the Inn and the Enns, long?"),
        ("Was Bo born in the same year as Al?", "Was Bo born in the x year as Al?"),
        ("Are Lund and Visby in the same country?", "Are Lund and Visby in the x country?"),
        ("When did the war that Ida fought in end?", "When did the war x Ida fought in end?"),
        # Something is.
        ("Are both open?", "Are both open?"),
        ("Do they have the same nationality?", "Do they have the same nationality?"),
        ("Did the shop close that day in May?", "Did the shop close that day in May?"),
        ("Is it easy to clean?", "Is it easy to clean?"),
        ("How much does it cost to get in?", "How much does it cost to get in?"),
        ("How many moons are there?", "How many moons are there?"),
        ("Can I buy that newspaper?", "Can I buy that newspaper?"),
        ("Which one is cheaper?", "Which one is cheaper?"),
    ],
)
def test_words_that_stand_for_nothing_said_before_are_taken_out(words: str, settled: str) -> None:
    assert settle(words) == settled


def test_what_is_quoted_is_one_word() -> None:
    assert words_of(settle('What does "they bit it" mean?')) == ["what", "does", "quoted", "mean"]


def test_names_have_capitals_but_not_at_the_beginning_and_are_no_months() -> None:
    assert own_names("Does Lena Fuchs come to Oslo in May or on Monday?") == ["Lena", "Fuchs", "Oslo"]


@given(any_text)
def test_any_text_is_settled(text: str) -> None:
    assert len(settle(text)) <= 8 * len(text) + 8
