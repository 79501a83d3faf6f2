"""References to earlier answers in the text of a sub-question: slots, `{1}`.

Filling is by slot and in one pass: an answer is never scanned again, and everything that is not exactly `{digits}` is
literal text. A literal `{1}` is written `{{1}}`. Where a sub-question depends on 1 and has no slot for it, `{{1}}` and
`{ 1 }` are read as one: models write them out of habit.
"""

import re
from collections.abc import Collection, Mapping

from anabranch.bounds import MAX_FILLED_CHARS, MAX_LITERAL_CHARS, MIN_SHARE_CHARS, share, shorten

_SLOT = re.compile(r"\{\{([0-9]{1,6})\}\}|\{([0-9]{1,6})\}")
_LOOSE_SLOT = re.compile(r"\{\{ ?([0-9]{1,6}) ?\}\}|\{ ?([0-9]{1,6}) ?\}")


def slots(text: str) -> set[int]:
    """Ids of the earlier answers a text refers to."""
    return {int(match[2]) for match in _SLOT.finditer(text) if match[2]} if "{" in text else set()


def fill(text: str, answers: Mapping[int, str], limit: int = MAX_FILLED_CHARS) -> str:
    """Puts answers into the slots of a text, in one pass.

    Args:
        text: a sub-question's text.
        answers: answer text by sub-question id; a slot without an entry stays as it is.
        limit: most characters of the result, where `text` itself has not more. Long answers are cut to fit in; where
            there is hardly any room for them, the slots stay as they are.
    """
    if "{" not in text:
        return text
    most = _share(text, answers, limit)

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return f"{{{match[1]}}}"
        answer = answers.get(int(match[2]))
        if answer is None or (len(answer) > most and most < MIN_SHARE_CHARS):
            return match[0]
        return shorten(answer, most)

    return _SLOT.sub(replace, text)


def renamed(text: str, ids: Mapping[int, int]) -> str:
    """A text whose slots stand for other ids; those without an entry stay as they are.

    Args:
        text: a sub-question's text.
        ids: the new id by the old one.
    """

    def replace(match: re.Match[str]) -> str:
        return f"{{{ids.get(int(match[2]), match[2])}}}" if match[2] else match[0]

    return _SLOT.sub(replace, text)


def whole_length(text: str, answers: Mapping[int, str]) -> int:
    """Characters that a text would have with all of its answers put in whole; a few more, since slots are counted."""
    found = (answers.get(int(match[2])) for match in _SLOT.finditer(text) if match[2])
    return len(text) + sum(len(answer) for answer in found if answer)


def has_room(text: str, answers: Mapping[int, str], limit: int = MAX_FILLED_CHARS) -> bool:
    """Whether `fill` puts something in all slots of a text that have an answer."""
    if "{" not in text:
        return True
    most = _share(text, answers, limit)
    return most >= MIN_SHARE_CHARS or all(len(answers.get(id_) or "") <= most for id_ in slots(text))


def _share(text: str, answers: Mapping[int, str], limit: int) -> int:
    """Most characters of each answer in the slots of a text."""
    longest = max(map(len, answers.values()), default=0)
    if len(text) + text.count("{") * longest <= limit:
        return max(longest, MIN_SHARE_CHARS)
    found = (answers.get(int(match[2])) for match in _SLOT.finditer(text) if match[2])
    return share([len(answer) for answer in found if answer is not None], limit - len(text))


def loose_slots(text: str) -> set[int]:
    """Ids in what looks like a slot but is not written as one: `{{1}}`, `{ 1 }`."""
    return {_id(match) for match in _LOOSE_SLOT.finditer(text)} - slots(text) if "{" in text else set()


def meant_slots(text: str, depends_on: Collection[int]) -> str:
    """A text with what is meant as a slot written as one: `{{1}}`, `{ 1 }`."""
    meant = set(depends_on) and set(depends_on) & loose_slots(text)
    if not meant:
        return text
    return _LOOSE_SLOT.sub(lambda m: f"{{{_id(m)}}}" if _id(m) in meant else m[0], text)


def _id(slot: re.Match[str]) -> int:
    return int(slot[1] or slot[2])


def literal(question: str) -> str:
    """A whole question as the text of a sub-question, in which nothing is a slot; a long one is cut."""
    return escape(shorten(question, MAX_LITERAL_CHARS))


def escape(text: str) -> str:
    """Makes literal text safe to use as a sub-question's text: `{1}` becomes `{{1}}`."""
    return _SLOT.sub(lambda match: f"{{{match[0]}}}", text)
