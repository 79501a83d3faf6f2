"""How a message leans on earlier turns."""

import pytest
from hypothesis import given

from anabranch.agents.leaning import Form, definite, form_of, new_names, stands_without_opening
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
    "When did Marie Curie get her first Nobel Prize?",
    "Is it legal to fly a drone over a city in Italy?",
    "Are there bears in Slovenia?",
    "Which animals have a heart that has three chambers?",
    "What is the speed limit on motorways in France?",
    "What is the tallest building in the world?",
    "How far away is the Moon?",
    'What does "they bit the dust" mean?',
    "Something else: who won the Eurovision Song Contest in 2012?",
    "Thanks, that helps. What is the boiling point of nitrogen?",
    "Great. Now tell me who built the Eiffel Tower.",
    "Write a haiku about autumn rain.",
    "Can you recommend a book that explains quantum physics to beginners?",
    "Explain how vaccines work.",
    "Convert 72 degrees Fahrenheit to Celsius.",
    "Nenne drei Flüsse in Spanien.",
    "请写一首关于春天的诗。",
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
    "Is Mina Dahl her boss?",
    "Did Pierre work with her?",
    "Is it safe to clean with vinegar?",
    "How many moons are there?",
    "Is there a swimming pool?",
    "Can I buy that newspaper from Norway there?",
    "What time is it there?",
    "By the way, how old is she?",
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
    "What's the weather like in May?",
    "Who is the editor in chief?",
    "Write a short letter to the landlord.",
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
    "How many in 1950?",
    "Translate it into French.",
    "Give me three more examples.",
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


def test_a_task_of_its_own_does_not_answer_a_question_of_the_assistants() -> None:
    assert form_of("Write a poem about rain.", asked_back=True) == "alone"
    assert form_of("Write it in Danish.", asked_back=True) == "reply"


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        ("And what is the capital of Mongolia?", True),
        ("Ok. And why is the sky blue?", True),
        ("And how many assists?", False),
        ("and what is the price?", False),
        ("And?", False),
    ],
)
def test_what_stands_by_itself_behind_an_and(words: str, stands: bool) -> None:
    assert stands_without_opening(words) is stands


def test_the_words_that_may_be_meant_by_the() -> None:
    assert definite("How old is the director of the zoo?") == ["director", "of", "the", "zoo"]


def test_new_names_are_none_in_german() -> None:
    assert new_names("What is Lena's phone number in Oslo?", "Who is Lena?") == ["Oslo"]
    assert new_names("Wo ist der Schalter?") == []


@given(any_text)
def test_any_text_has_a_form(text: str) -> None:
    assert form_of(text, asked_back=False) != "reply"
