"""What of a model's reply the user gets: the answer, whole or while it is written.

`read` decides over a whole reply. `AnswerStream` lets through, while the reply is written, what `read` will take for
the answer whatever follows, so that a streamed answer is the answer.
"""

import re
from dataclasses import dataclass
from typing import Literal

import regex

from anabranch.replies import (
    MARK,
    OPEN_ON_A_LINE,
    TAG,
    closing_of,
    fenced,
    final_answer,
    last_mark,
    replan_line,
    replan_reason,
    split_thoughts,
    unopened_thoughts,
)

Reading = Literal["short", "whole", "marked", "joined"]
"""How a reply is read. `short`: the short answer in it, as `final_answer` takes it. `whole`: all of it. `marked`: what
follows `Final answer:`; it comes after reasoning. `joined`: all of it, unless it asks for a new plan."""

HELD_CHARS = 120
"""So much of a reply is held back where it may still turn out to be no answer: before a tool call, before `REPLAN:`."""
_MARK_AT_START = regex.compile(MARK.pattern, regex.IGNORECASE)
_FINAL_MARK = re.compile(
    r"^[^\w\n]*(?:(?:the|my) )?final answer[*_]*(?:\s*[:：][*_]*[ \t]*|[ \t]*$)", re.IGNORECASE | re.MULTILINE
)
"""`Final answer:`, or a heading that says so."""
_BOLD = regex.compile(r"\*\*([^*\n]+)\*\*")
_LONGEST_TAG = len("</reasoning>")
_TAG_BEGUN = re.compile(r"</?[a-z]{0,9}$", re.IGNORECASE)
_REPLAN_BEGUN = re.compile(r"(?:^|\n)[\W_]*(?:R(?:E(?:P(?:L(?:A(?:N)?)?)?)?)?)?[\W_]*$")


@dataclass(frozen=True)
class Reply:
    """A reply, taken apart.

    Attributes:
        answer: what the user gets; empty if the reply is none.
        working: what else the reply says: the reasoning before the answer, or all of a reply that is no answer.
        thoughts: what a reasoning model thought.
        unopened: whether the reply begins with thoughts whose `<think>` is missing.
    """

    answer: str
    working: str = ""
    thoughts: str = ""
    unopened: bool = False


def read(text: str, reading: Reading, *, calls_tools: bool = False) -> Reply:
    """Takes a whole reply apart.

    Args:
        text: the reply.
        reading: how it is to be read.
        calls_tools: whether it calls tools; a few words before a tool call are no answer.
    """
    thoughts, said = split_thoughts(text)
    answer, working = _answer_and_working(said, reading, calls_tools)
    return Reply(answer, working, thoughts, unopened_thoughts(text) is not None)


def _answer_and_working(said: str, reading: Reading, calls_tools: bool) -> tuple[str, str]:
    if calls_tools and (reading in ("short", "marked") or len(said) <= HELD_CHARS):
        return "", said
    if reading == "short":
        answer = final_answer(said)
        return answer, said if answer != said else ""
    if reading == "marked":
        mark = _final_mark(said) or last_mark(said)
        answer = _plain(said[mark.end() :].strip(), mark[0]) if mark else ""
        return (answer, said[: mark.start()].strip()) if mark and answer else (_plain(said), "")
    if calls_tools:
        return f"{_whole(said)}\n\n", ""  # and goes on after the tools' results
    if reading == "joined" and (kept := _before_replan(said)) != said:
        return _whole(kept), said
    begin = _joined_begin(said) if reading == "joined" else 0
    return _whole(said[begin:]), said[:begin].strip()


def _final_mark(said: str) -> re.Match[str] | None:
    """The first `Final answer:` outside fenced code."""
    is_fenced = fenced(said)
    return next((mark for mark in _FINAL_MARK.finditer(said) if not is_fenced(mark.start())), None)


def _before_replan(said: str) -> str:
    """What comes before a request for a new plan; nothing, if that is only a few words."""
    if replan_reason(said[:HELD_CHARS]) is not None:
        return ""
    line = replan_line(said)
    return said[: line[0]].rstrip() if line else said


def _joined_begin(said: str) -> int:
    """Where a joiner's answer begins that has `Answer:` soon after a few words of reasoning."""
    mark = MARK.search(said, 0, HELD_CHARS)
    led = mark and said[: mark.start()].rstrip(" *\n").endswith("?")  # the first of several questions, with its answer
    return 0 if mark is None or led else mark.start()


def _whole(said: str) -> str:
    mark = MARK.match(said)
    rest = said[mark.end() :].strip() if mark else ""
    return _plain(rest, mark[0]) if mark and rest else _plain(said)


def _plain(answer: str, mark: str = "") -> str:
    """The answer without bold type around all of it, which may have begun within the mark."""
    answer = f"**{answer}" if answer and mark.count("**") % 2 else answer
    bold = _BOLD.fullmatch(answer)
    return str(bold[1]).strip() if bold else answer


@dataclass(frozen=True)
class Delta:
    """What a token adds to the answer, and to the reasoning before it."""

    content: str = ""
    reasoning: str = ""


class AnswerStream:
    """Takes a reply as it is written, and lets through what belongs to the answer for certain.

    One thing cannot be certain: a server's template may swallow the `<think>` that a reply begins with. If that is not
    known of the model, what was let through before `</think>` is followed by the answer.

    Args:
        reading: how the reply is to be read.
        tools: whether it may call tools.
        thinks: whether it is known to begin with thoughts whose `<think>` is missing.
    """

    def __init__(self, reading: Reading, *, tools: bool = False, thinks: bool = False) -> None:
        self._thinks = thinks
        self._reading = reading
        self._tools = tools
        self._text = ""
        self._tagged = False
        self._begin = -1
        self._answer = ""
        self._reasoning = ""

    def take(self, text: str) -> Delta:
        """Takes a token."""
        self._text += text
        if self._thinks and not unopened_thoughts(self._text):
            return Delta()
        thoughts, said = self._apart(len(self._text) - len(text))
        answer = self._certain(said)
        shown = said if self._reading in ("short", "marked") and not answer else ""
        if self._reading == "marked" and answer:
            shown = said[: max(self._begin, 0)]
        return Delta(self._added(answer), self._reasoned(thoughts, shown))

    def _apart(self, before: int) -> tuple[str, str]:
        """Thoughts and the rest, as far as they are settled; `before` characters were there before."""
        # Texts without such tags, code and HTML too, are not searched from their beginning with every token.
        self._tagged = self._tagged or bool(TAG.search(self._text, max(0, before - _LONGEST_TAG)))
        if self._tagged:
            return split_thoughts(_settled(self._text))
        begun = _TAG_BEGUN.search(self._text, max(0, len(self._text) - _LONGEST_TAG))
        return "", (self._text[: begun.start()] if begun else self._text).strip()

    def end(self, *, calls_tools: bool = False) -> tuple[Delta, Reply]:
        """Ends the reply: what is missing for the whole answer, and the reply taken apart."""
        reply = read(self._text, self._reading, calls_tools=calls_tools)
        if reply.answer.startswith(self._answer):
            return Delta(reply.answer[len(self._answer) :]), reply
        return Delta(f"\n\n{reply.answer}" if reply.answer else ""), reply

    def _added(self, answer: str) -> str:
        if not answer.startswith(self._answer):
            return ""
        fresh, self._answer = answer[len(self._answer) :], answer
        return fresh

    def _reasoned(self, thoughts: str, working: str) -> str:
        reasoning = "\n\n".join(filter(None, [thoughts, working]))
        if not reasoning.startswith(self._reasoning):
            return ""
        fresh, self._reasoning = reasoning[len(self._reasoning) :], reasoning
        return fresh

    def _certain(self, said: str) -> str:
        """The part of the answer that is certain."""
        if self._reading == "short":
            return ""
        if self._reading == "marked":
            return "" if self._tools else self._after_mark(said)
        if len(said) <= HELD_CHARS and (self._tools or self._reading == "joined"):
            return ""
        if self._reading == "joined":
            said = _before_replan(said)
            tail = said[-HELD_CHARS:]
            begun = _REPLAN_BEGUN.search(tail)
            said = said[: len(said) - len(tail) + begun.start()] if begun else said
            said = said[_joined_begin(said) :]
        mark = _MARK_AT_START.match(said, partial=True)
        if mark and (mark.partial or mark.end() == len(said)):
            return ""
        return self._unless_bold(said[mark.end() :] if mark else said, mark[0] if mark else "")

    def _after_mark(self, said: str) -> str:
        if self._begin < 0:
            mark = _final_mark(said) if "nal answer" in said.lower() else None
            if not mark or mark.end() == len(said):
                return ""
            self._begin = mark.start()
        mark = _FINAL_MARK.match(said, self._begin)
        return self._unless_bold(said[mark.end() :], mark[0]) if mark else ""

    @staticmethod
    def _unless_bold(answer: str, mark: str) -> str:
        answer = answer.strip()
        answer = f"**{answer}" if answer and mark.count("**") % 2 else answer
        # Bold type around the whole answer is dropped, so it is not shown before its end is known.
        return "" if answer.startswith("*") and _BOLD.fullmatch(answer, partial=True) else answer


def _settled(text: str) -> str:
    """The part of a reply that what follows cannot make a part of a thought."""
    if begun := _TAG_BEGUN.search(text):
        text = text[: begun.start()]
    is_fenced, place = fenced(text), 0
    while tag := OPEN_ON_A_LINE.search(text, place):
        if is_fenced(tag.start()):
            place = tag.end()
        elif closing := closing_of(tag):
            place = closing.start()
        else:
            # A block at the beginning is a thought before it ends.
            before = text[: tag.start("name") - 1]
            return text if not before.strip() else text[: tag.start()]
    return text


def rest_of(answer: str, sent: str) -> str:
    """What is missing of an answer after what was sent; what was sent and is no part of it stays before it."""
    if answer.startswith(sent):
        return answer[len(sent) :]
    return "" if sent.rstrip().endswith(answer) else f"\n\n{answer}"
