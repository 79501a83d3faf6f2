"""How a message leans on earlier turns."""

import pytest
from hypothesis import given

from anabranch.agents.leaning import Form, form_of
from tests.strategies import any_text

ALONE = [
    "How many people live in Trondheim?",
    "Who was the first architect of the Opera House in Sydney?",
    "can visitors park behind building C",
    "What does a ticket for children cost in winter?",
    "Wie viele Einwohner hat Graz?",
    "What is wrong with printers of Brackley?",
    "What does a heat pump actually do?",
    "Was kostet ein Ticket für Kinder?",
    "Combien de jours dure un visa de travail ?",
]
REFERRING = [
    "Which of the two is nearer?",
    "and how old is Tobias",
    "Is she the director?",
    "And how much does that one cost?",
    "What else did Petra Aalto write?",
    "Since when does she work there?",
    "Wie lange arbeitet er schon bei Halberg?",
    "Quand est-il mort ?",
    "他什么时候去的北京？",
    "Can you say that in other words?",
]
QUESTIONS = [
    "不锈钢会生锈吗？",
    "If somebody in Rena loses a phone on the bus, who keeps it?",
    "When did the company move?",
    "How long does the guarantee last?",
    "Was kostet der Eintritt?",
    "Où se trouve la cantine ?",
    "¿Cuándo ganó el premio Nobel de literatura?",
    "Can you explain your last answer in other words?",
]
FRAGMENTS = [
    "And Bergen?",
    "What about the red one?",
    "No, the red one.",
    "2021?",
    "Not March, April!",
    "I meant the office in Bergen.",
    "it's the red one actually",
    "That's wrong, I asked for the price.",
    "Nein, ich meinte den Bus.",
    "Und am Sonntag?",
    "Et le jeudi ?",
    "¿Y para los niños?",
    "周日呢？",
    "不，我说的是上海。",
    "shorter please",
]


@pytest.mark.parametrize(
    ("words", "form"),
    [
        *((words, "alone") for words in ALONE),
        *((words, "referring") for words in REFERRING),
        *((words, "question") for words in QUESTIONS),
        *((words, "fragment") for words in FRAGMENTS),
    ],
)
def test_a_message_is_told_by_its_words(words: str, form: Form) -> None:
    assert form_of(words, asked_back=False) == form


@pytest.mark.parametrize("words", ["the second", "Yes, please", "for four people at seven", "am Mittwoch", "3"])
def test_what_asks_nothing_may_answer_a_question_of_the_assistants(words: str) -> None:
    assert form_of(words, asked_back=True) == "reply"


@pytest.mark.parametrize(("words", "form"), [("How many people live in Trondheim?", "alone"), ("Why?", "fragment")])
def test_a_question_does_not_answer_one(words: str, form: Form) -> None:
    assert form_of(words, asked_back=True) == form


@given(any_text)
def test_any_text_has_a_form(text: str) -> None:
    assert form_of(text, asked_back=False) != "reply"
