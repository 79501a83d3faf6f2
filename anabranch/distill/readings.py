"""Training rows for reading: questions about made-up documents with the passages that the search tool finds.

The passages are those that `document_search` finds in files as people have them, in its own words, so a row's prompt
has the bytes that the product's has. A third of the questions is not answered by what is shown.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from anabranch.agents import prompts
from anabranch.distill.page_files import write_set
from anabranch.distill.pages import NO_WORDINGS, Asked
from anabranch.distill.records import Demonstration
from anabranch.distill.render import as_messages
from anabranch.distill.solving import PASSAGES, Row, row
from anabranch.plan import fill, slots
from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.passage_index import PassageIndex
from anabranch.tools.search import shown

ABSENT_SHARE = 1 / 3
_A_SET = 30
"""Questions asked of one set of documents."""
_SHUFFLED = 0.4
_TAKEN_AWAY = 0.08
_FILLED_UP = 0.6


def drawn_rows(
    random: Random,
    count: int,
    *,
    tables: Sequence[str] = (),
    wordings: Mapping[str, Sequence[str]] = NO_WORDINGS,
) -> Iterator[Row]:
    """Rows over made-up sets of documents.

    Args:
        random: source of chance.
        count: how many.
        tables: the tables to choose from, as lines of `pages.txt`; all if empty.
        wordings: other wordings of the questions in `pages.txt`, for example a teacher's.
    """
    number = 0
    while number < count:
        with TemporaryDirectory() as folder:
            asked = write_set(Path(folder), random, tables, wordings)
            passages = split_passages(load_documents(folder).documents)
        for found in readings(asked, passages, random):
            yield row_of(f"drawn/{number}", "read_drawn", found)
            number += 1
            if number == count:
                return


def row_of(id_: str, source: str, reading: tuple[str, str, str]) -> Row:
    """A row of a question, its answer and what the search shows."""
    question, answer, evidence = reading
    return row(id_, source, as_messages(prompts.read_messages(question, evidence)), answer)


def readings(asked: Sequence[Asked], passages: Sequence[Document], random: Random) -> Iterator[tuple[str, str, str]]:
    """Questions with answers, and what the search shows for them.

    Args:
        asked: what can be asked of the documents.
        passages: the documents' passages.
        random: source of chance.
    """
    index = PassageIndex(passages)
    there = [each for each in asked if each.answer]
    absent = [each for each in asked if not each.answer]
    wanted = min(len(there), round(_A_SET * (1 - ABSENT_SHARE)))
    chosen = random.sample(there, wanted)
    chosen += random.sample(absent, min(len(absent), round(wanted * ABSENT_SHARE / (1 - ABSENT_SHARE))))
    random.shuffle(chosen)
    for each in chosen:
        question = random.choice(each.questions)
        found = index.search(question, PASSAGES + 2)
        if len(found) < PASSAGES and random.random() < _FILLED_UP:
            # Made-up pages share fewer words with a question than people's do.
            others = [p for p in passages if all(p is not each for each in found)]
            found += random.sample(others, min(len(others), PASSAGES - len(found)))
        told = answered_by(each, found, random)
        if told is not None and told[1]:
            yield _spoken(question, random), told[0], shown(told[1])


def answered_by(each: Asked, found: Sequence[Document], random: Random) -> tuple[str, list[Document]] | None:
    """The answer that some passages give, and these; None where it cannot be told.

    At times the passage with the answer is taken away; at times the passages are in another order.
    """
    holding = [p for p in found if each.answer and _holds(p, each.marks)]
    shown_ = [p for p in found if p not in holding] if random.random() < _TAKEN_AWAY else list(found)
    shown_ = shown_[:PASSAGES]
    if random.random() < _SHUFFLED:
        random.shuffle(shown_)
    if any(p in holding for p in shown_):
        return each.answer, shown_
    if not each.answer and each.marks and any(_holds(p, each.marks) for p in found):
        return None  # it is said elsewhere
    if each.answer and any(_plain(each.answer) in _plain(p.page_content) for p in shown_):
        return None
    return prompts.NOT_FOUND, shown_


def _holds(passage: Document, marks: Sequence[str]) -> bool:
    text = _plain(passage.page_content)
    return all(_plain(mark) in text for mark in marks)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _spoken(question: str, random: Random) -> str:
    """A question as people type it: now and then without its capital or its mark, or more politely."""
    chance = random.random()
    if chance < 0.05:
        return question[0].lower() + question[1:].rstrip("?")
    if chance < 0.08:
        return f"Please tell me: {question[0].lower()}{question[1:]}"
    return question


def reasoned_rows(demonstrations: Iterable[Demonstration]) -> Iterator[Row]:
    """Steps that reason over earlier answers, read out of these as `grounded` planners have it."""
    for demonstration in demonstrations:
        known: dict[int, str] = {}
        for number, step in enumerate(demonstration.steps, 1):
            needed = sorted(slots(step.text))
            if step.kind == "logic" and step.answer and needed and set(needed) <= known.keys():
                evidence = "\n".join(known[place] for place in needed)
                messages = as_messages(prompts.read_messages(fill(step.text, known), evidence))
                yield row(f"{demonstration.id}/{number}/read", "read_reasoned", messages, step.answer)
            if step.answer is not None:
                known[number] = step.answer


_TALK = {
    "hello|hi|hey|hi there|hello there|good morning|good afternoon|good evening|good day|greetings|hey there|hiya": (
        "Hello! What would you like to know?",
        "Hello! How can I help you?",
        "Hi! What can I do for you?",
    ),
    "thanks|thank you|thanks a lot|many thanks|thank you very much|thanks so much|cheers|thank you for your help|"
    "great, thanks|perfect, thank you|ok thanks": (
        "You're welcome! Is there anything else you would like to know?",
        "You're welcome!",
        "You're welcome. I'm glad to help.",
    ),
    "bye|goodbye|good bye|see you|see you later|thanks, bye|good night|take care|have a nice day": (
        "Goodbye! Have a nice day.",
        "Goodbye, and take care!",
    ),
    "ok|okay|great|perfect|cool|nice|fine|all right|alright|got it|sure|yes|no|please|sorry": (
        "All right. What else would you like to know?",
        "Good. Just ask if there is anything else.",
    ),
    "nice to meet you": ("Nice to meet you, too! How can I help you?",),
    "hallo|guten morgen|guten tag|moin|servus": ("Hallo! Wie kann ich helfen?",),
    "danke|danke schön|vielen dank": ("Gern geschehen!",),
    "bonjour|salut|bonsoir": ("Bonjour ! Comment puis-je vous aider ?",),
    "merci|merci beaucoup": ("Je vous en prie !",),
    "hola|buenos días|buenas tardes": ("¡Hola! ¿En qué puedo ayudar?",),
    "gracias|muchas gracias": ("¡De nada!",),
    "ciao|buongiorno": ("Buongiorno! Come posso aiutare?",),
    "grazie|grazie mille": ("Prego!",),
}


def talk_rows(random: Random, turns: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """Greetings, thanks and farewells, answered directly, with and without earlier turns.

    Args:
        random: source of chance.
        turns: questions with answers that may have gone before.
    """
    number = 0
    for said, replies in _TALK.items():
        for words in said.split("|"):
            for form in (words, words.capitalize(), f"{words.capitalize()}!", f"{words.capitalize()}."):
                for grounded in (False, True):
                    earlier = random.sample(turns, random.choice((0, 0, 1, 2)))
                    history: list[BaseMessage] = []
                    for question, answer in earlier:
                        history += [HumanMessage(question), AIMessage(answer)]
                    if grounded:
                        history.append(SystemMessage(prompts.GROUNDED_TALK_INSTRUCTION))
                    prompt = prompts.with_history(prompts.direct_messages(form, "short"), history)
                    yield row(f"talk/{number}", "talk", as_messages(prompt), random.choice(replies))
                    number += 1
