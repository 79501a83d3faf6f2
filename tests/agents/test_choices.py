"""Replies that pick one of the things offered, by its place."""

import pytest

from anabranch.agents.choices import chosen

SYSTEMS = "Which system do you use?\n1. Windows\n2. macOS\n3. Linux"


@pytest.mark.parametrize(
    ("words", "question", "picked"),
    [
        ("The second.", "Which harbour do you mean: Hollin, Vardø or Kestrel?", "Vardø"),
        ("the third one please", "Which cabin: Larch, Birch, or Juniper?", "Juniper"),
        ("the first", "Do you mean Hollin or Vardø?", "Hollin"),
        ("the latter", "We have two. Is it for lunch or for dinner?", "for dinner"),
        ("2", SYSTEMS, "macOS"),
        ("number three", SYSTEMS, "Linux"),
        ("the last one", "Please choose:\n- the red lamp,\n- the blue lamp.", "the blue lamp"),
        ("Das zweite.", "Welches Büro meinen Sie: Kiel oder Bonn?", "Bonn"),
        ("Le dernier.", "De quel magasin parlez-vous : Lyon, Nantes ou Lille ?", "Lille"),
        ("la segunda", "¿Para cuál: la torre, el faro o el puerto?", "el faro"),
        ("第二个", "您是指上海博物馆还是南京博物馆？", "南京博物馆"),
    ],
)
def test_a_place_picks_what_stands_there(words: str, question: str, picked: str) -> None:
    assert chosen(words, question) == picked


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("the first", "How old is it?"),
        ("2", "For how many: two, three or four?"),
        ("two", "In May or in June?"),
        ("the second train to Hollin", "To Hollin or to Vardø?"),
        ("the fourth", "To Hollin or to Vardø?"),
        ("Vardø", "To Hollin or to Vardø?"),
        ("4", SYSTEMS),
        ("", SYSTEMS),
    ],
)
def test_what_is_no_place_picks_nothing(words: str, question: str) -> None:
    assert chosen(words, question) is None
