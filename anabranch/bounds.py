"""How long texts may get: what people, models and tools write, and what is put together of it.

A text that comes in is held to its limit there, and one that is put together is measured before it is: so no product
comes about of one text's size and of how often it is used. What is cut says so where it was cut, and how long it was;
where a part would be wrong instead of incomplete (an expression, an action), nothing is cut and the step fails.
"""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from anabranch.addresses import masked
from anabranch.characters import whole_characters

MAX_ANSWER_CHARS = 50_000
"""Most characters of the answer to a sub-question."""
MAX_EVIDENCE_CHARS = 200_000
"""Most characters of a tool's result that go into a prompt, however many the tool says there may be."""
MAX_RESULT_CHARS = 2_000_000
"""Most characters of a tool's result that are looked at."""
MAX_FILLED_CHARS = 40_000
"""Most characters of a sub-question with answers in its slots."""
MAX_KNOWN_CHARS = 20_000
"""Most characters of answers that are told with a sub-question without having a slot in it."""
MAX_TOLD_CHARS = MAX_FILLED_CHARS + MAX_KNOWN_CHARS + 100
"""Most characters of a sub-question as it is asked."""
MAX_UNDERSTOOD_CHARS = 50_000
"""Most characters of a question as one that stands by itself, with what was pasted into it."""
MAX_LITERAL_CHARS = 10_000
"""Most characters of a question that becomes a sub-question as it is; its slots are escaped, which makes it longer."""
MAX_LISTED_CHARS = 200_000
"""Most characters of a list of sub-questions, with their answers, in one prompt."""
MAX_PLAN_CHARS = 400_000
"""Most characters of all texts of a plan, and of a plan as it is written."""
MAX_PLAN_SIZE = 1_000
"""Most sub-questions of a plan, whatever else is allowed."""
MAX_ARGUMENTS_CHARS = 100_000
"""Most characters of the arguments of a tool call."""
MAX_FEEDBACK_CHARS = 2_000
"""Most characters of a model's reason why another plan is needed."""
MAX_REPLY_CHARS = 1_000_000
"""Most characters of a model's reply, and of its thoughts."""
MAX_REPLY_BYTES = 16 * 2**20
"""Most bytes of the reply of a server, of models or of tools."""
ANSWER_TOKENS = 16_384
"""Most tokens of a reply where nothing is said: models that reason write their thoughts, too."""
CALL_SECONDS = 300.0
"""Most seconds of one model call where nothing is said."""
MAX_LINE_CHARS = 1_000_000
"""Most characters of one line, or of one question, that is read from a file or from standard input."""
MAX_DOCUMENT_CHARS = 50_000_000
"""Most characters of the text of a document, with the names of columns and fields in it."""
MAX_TITLE_CHARS = 200
"""Most characters of a title, of a heading and of the name of a column, where they stand beside what is below them."""
MAX_NAME_CHARS = 200
"""Most characters of a thread's name."""
MIN_SHARE_CHARS = 100
"""Fewest characters to which a text is cut where several share what room there is; with less, none is put in."""

LEFT_OUT = "[… the middle is left out: "
"""Where a text was cut, it goes on with this."""


def shorten(text: str, limit: int) -> str:
    """A text of at most `limit` characters: a longer one without its middle, which says how long it was."""
    if len(text) <= limit:
        return text
    note = f" {LEFT_OUT}there were {len(text):,} characters …] "
    kept = limit - len(note)
    if kept <= 0:
        return text[: max(limit, 0)]
    tail = kept // 4
    return f"{text[: kept - tail]}{note}{text[len(text) - tail :]}"


def is_shortened(text: str) -> bool:
    """Whether a text, or one that was put into it, was cut."""
    return LEFT_OUT in text


def share(lengths: Iterable[int], room: int) -> int:
    """The limit that makes texts fit into `room` together: long ones are cut, short ones stay.

    Args:
        lengths: their lengths.
        room: most characters of all of them.
    """
    ascending = sorted(lengths)
    for place, length in enumerate(ascending):
        left = len(ascending) - place
        if length * left > room:
            return max(room, 0) // left
        room -= length
    return max(ascending, default=0)


def fits(value: Any, limit: int) -> bool:
    """Whether a JSON value takes at most about `limit` characters; looked at no further than that.

    Values inside others are counted as often as they occur.
    """
    waiting, size = [value], 0
    while waiting:
        item = waiting.pop()
        size += len(item) + 2 if isinstance(item, str | bytes) else 4
        if isinstance(item, int) and not isinstance(item, bool):
            size += item.bit_length() // 4
        elif isinstance(item, Mapping):
            waiting += [part for pair in item.items() for part in pair] if size + len(item) <= limit else []
            size += len(item)
        elif isinstance(item, Sequence) and not isinstance(item, str | bytes):
            waiting += item if size + len(item) <= limit else []
            size += len(item)
        if size > limit:
            return False
    return True


def words_of_error(error: BaseException, limit: int = 300) -> str:
    """What an exception says, in one line of at most `limit` characters; empty if it says nothing.

    An argument that is no text is not rendered whole: what a tool raises may hold anything.
    """
    plain = type(error).__str__ in (BaseException.__str__, KeyError.__str__)
    strange = plain and not all(isinstance(arg, str) for arg in error.args)
    try:
        said = ", ".join(map(_shown.repr, error.args)) if strange else str(error)
    except Exception:  # its own `__str__` fails, or an integer has too many digits
        return ""
    return " ".join(said[: 20 * limit].split())[:limit]


def one_line(error: BaseException, *secrets: str, named: bool = True) -> str:
    """An exception in one line: the name of its type, and at most 300 characters of its words, without secrets.

    Args:
        error: the exception.
        secrets: texts that must not be told, besides what `masked` knows.
        named: whether the name is told where there are words; errors that are written to be read need none.
    """
    words = whole_characters(masked(words_of_error(error, 1000), *secrets)[:300])
    name = type(error).__name__
    return name if not words else f"{name}: {words}" if named else words


_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 300
