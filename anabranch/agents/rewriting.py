"""What is checked of a question that a model wrote for a message, and what a message says by itself."""

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from anabranch.agents.leaning import (
    MARKS,
    Form,
    asks_something,
    begins_with_a_question_word,
    content_of,
    definite,
    is_task,
    new_names,
    references,
    rewords,
    says_what_differs,
    speaks_of_somebody,
)
from anabranch.agents.small_talk import has_small_talk, words_of
from anabranch.tools.terms import UNSPACED

MIN_TOPIC_STEMS = 2
MIN_OWN_WORDS = 4
"""Fewest words, besides those of closed classes, that make a message a question of its own whatever the model says."""
MIN_OWN_WORDS_OF_REQUESTS = 2
"""As `MIN_OWN_WORDS`, of tasks and of what begins with a question word."""

_WORD = re.compile(r"[^\W_]+")
NUMBER = re.compile(r"\d+")
IN_PAIRS = re.compile(f"[{UNSPACED}\uac00-\ud7a3]")
_CLAUSE_ENDS = re.compile(r"[,;.!]\s+")
_STEM = 4
KEPT = 0.5


def can_be(question: str, words: str, turns: Sequence[BaseMessage]) -> bool:
    """Whether a rewritten question can be one: of a sensible length, a question, in the conversation's words."""
    repeated = any(same(question, str(turn.text)) for turn in turns)
    if not question or repeated or len(question) > 2 * len(words) + 300:
        return False
    said = f"{words} {_said(turns)}"
    numbers, told = set(NUMBER.findall(question)), {n for n in NUMBER.findall(words) if len(n) > 1}
    if not numbers <= set(NUMBER.findall(said)) or (told and not told & numbers):
        return False
    if question[-1] not in MARKS:
        wanted = any(mark in words for mark in MARKS)
        if wanted or not (asks_back(turns) or stems_of(question) & stems_of(words)):
            return False
    stems = stems_of(question)
    return len(stems & stems_of(said)) >= 0.5 * len(stems)


def adds(question: str, words: str, turns: Sequence[BaseMessage]) -> bool:
    """Whether a rewritten message has anything of earlier turns that the message itself has not."""
    before = set[str]().union(*(stems_of(str(turn.text), shortest=2) for turn in turns))
    return bool((stems_of(question, shortest=2) - stems_of(words, shortest=2)) & before)


def only_says_which(question: str, words: str, turns: Sequence[BaseMessage]) -> bool:
    """Whether a rewritten message says which thing is meant, and changes nothing else: a message that had its own
    subject may only have "the X" replaced, and one that names something new nothing added.
    """
    lost = stems_of(content_of(words), shortest=3) - stems_of(question, shortest=3)
    if lost:
        return lost <= stems_of(" ".join(definite(words)), shortest=3)
    return not new_names(words, _said(turns))


def has_new_topic(words: str, turns: Sequence[BaseMessage], form: Form) -> bool:
    """Whether a few words say what they are about, as "weather Oslo June": a new name, and more that was not said."""
    if form != "fragment" or says_what_differs(words) or rewords(words):
        return False
    names = new_names(words, _said(turns))
    others = stems_of(content_of(words), shortest=3) - stems_of(" ".join(names), shortest=3)
    return bool(names) and len(others) >= MIN_TOPIC_STEMS and says_nothing_said(words, turns)


def asks_its_own(words: str, turns: Sequence[BaseMessage], *, begun: bool = True) -> bool:
    """Whether a message asks for what nobody spoke of: "could you tell me how bees find their way?".

    Args:
        words: the message.
        turns: the turns before it.
        begun: whether two words of its own are enough where it begins as tasks and questions do.
    """
    task = is_task(words)
    asks = task or asks_something(words) or not (speaks_of_somebody(words) or has_small_talk(words))
    begins = task or begins_with_a_question_word(words)
    fewest = MIN_OWN_WORDS_OF_REQUESTS if begins and begun else MIN_OWN_WORDS
    return asks and not rewords(words) and own_words_in(words, turns) >= fewest


def says_nothing_said(words: str, turns: Sequence[BaseMessage]) -> bool:
    """Whether a message has several words, and none that was said before."""
    said = stems_of(_said(turns), shortest=3)
    told = stems_of(content_of(words), shortest=3)
    return len(told) >= MIN_TOPIC_STEMS and told.isdisjoint(said)


def own_words_in(words: str, turns: Sequence[BaseMessage]) -> int:
    """Number of words of a message, besides those of closed classes, that nobody said before."""
    said = stems_of(_said(turns), shortest=3)
    return sum(not stems_of(word, shortest=3) <= said for word in content_of(words).split())


def _said(turns: Sequence[BaseMessage]) -> str:
    return " ".join(str(turn.text) for turn in turns)


def says_it(question: str, words: str) -> bool:
    """Whether a rewritten message has at least half of what the message says, and fewer words for earlier turns."""
    pointing = references(words)
    # "Oops, I typed that wrong, I meant the other": what is meant comes last.
    meant = _CLAUSE_ENDS.split(words.rstrip(" .!"))[-1] if says_what_differs(words) else words
    kept = keeps(question, words) or keeps(question, meant)
    return kept and (not pointing or references(question) < pointing)


def keeps(question: str, words: str) -> bool:
    """Whether a rewritten message has at least half of what was said."""
    told = stems_of(content_of(words), shortest=3)
    return len(told & stems_of(question, shortest=3)) >= KEPT * len(told)


def stems_of(text: str, *, shortest: int = _STEM) -> set[str]:
    """The beginnings of the longer words of a text; of Korean and of scripts without spaces, pairs of characters."""
    stems = set[str]()
    for word in words_of(text):
        if IN_PAIRS.search(word):
            stems |= {word[place : place + 2] for place in range(max(1, len(word) - 1))}
        elif len(word) >= shortest or word.isdigit():
            stems.add(word[:_STEM])
    return stems


def same(text: str, other: str) -> bool:
    """Whether two texts have the same words."""
    return _WORD.findall(text.lower()) == _WORD.findall(other.lower())


def asks_back(turns: Sequence[BaseMessage]) -> bool:
    """Whether the assistant's last words were a question, so that "ok" may be its answer."""
    return str(turns[-1].text).rstrip(" *)\"'").endswith(tuple(MARKS))
