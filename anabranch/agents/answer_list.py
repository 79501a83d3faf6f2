"""Sub-questions with their answers as a list, for a joiner or a decomposer, never longer than a prompt may hold."""

from collections.abc import Mapping, Sequence
from textwrap import indent

from anabranch.bounds import MAX_FILLED_CHARS, MAX_LISTED_CHARS, share, shorten
from anabranch.plan import Answer, SubQuestion, fill, slotted
from anabranch.slots import whole_length

_AROUND = 100
"""Characters of a line besides its texts: id, route, signs."""
_INDENTED = 4
_FAILED = "FAILED"


def answer_lines(sub_questions: Sequence[SubQuestion], answers: Mapping[int, Answer], *, flat: bool = True) -> str:
    """Sub-questions with their answers, one line each; line breaks become spaces, or an answer could pass for more.

    If they need not be `flat`, answers of several lines (lists, code) keep them, indented below the sub-question. Where
    all together are too long, the longest are cut.
    """
    texts = {id_: answer.text for id_, answer in answers.items() if answer.ok}
    asked = [slotted(question) for question in sub_questions]
    outcomes = [_outcome(answers.get(question.id)) for question in sub_questions]
    most = _most_of_each(asked, outcomes, texts)
    lines = []
    for question, text, told in zip(sub_questions, asked, outcomes, strict=True):
        room = max(most - _AROUND - len(told), most // 2)
        filled = shorten(fill(text, texts, min(room, MAX_FILLED_CHARS)), room)
        line = f"{question.id} [{question.route}] {filled} ="
        left = max(most - len(line), 0)
        if not flat and "\n" in told.strip():
            whole = shorten(told, left).strip("\n")
            lines += [" ".join(line.split()), shorten(indent(whole, " " * _INDENTED), left)]
        else:
            lines.append(" ".join(f"{line} {shorten(told, left)}".split()))
    return "\n".join(lines)


def _most_of_each(asked: Sequence[str], outcomes: Sequence[str], texts: Mapping[int, str]) -> int:
    """Most characters of each sub-question with its outcome."""
    longest = max(map(len, texts.values()), default=0)
    slots = sum(text.count("{") for text in asked)
    rough = len(asked) * _AROUND + slots * longest + sum(map(len, asked)) + (1 + _INDENTED) * sum(map(len, outcomes))
    if rough <= MAX_LISTED_CHARS:
        return MAX_LISTED_CHARS
    lengths = [
        _AROUND + whole_length(text, texts) + len(told) + _INDENTED * told.count("\n")
        for text, told in zip(asked, outcomes, strict=True)
    ]
    return share(lengths, MAX_LISTED_CHARS)


def _outcome(answer: Answer | None) -> str:
    if answer is None:
        return "not asked"
    return answer.text if answer.ok else f"{_FAILED} ({answer.error})"


def repeats_a_failure(reply: str, answers: Mapping[int, Answer]) -> bool:
    """Whether a reply is nothing but the mark of an answer that failed, with its reason or without."""
    bare = reply.strip(" \n\t.*!\"'`_")
    outcomes = {_outcome(answer) for answer in answers.values() if not answer.ok}
    return bare in outcomes or (bare == _FAILED and bool(outcomes))
