"""The final answer out of the tokens of a run, while it is written."""

import re
from dataclasses import dataclass

from anabranch.replies import REPLAN

_MARK = re.compile(r"(?:^|\n)[^\w\n]*(?:final )?answer\**\s*[:：]\**\s*", re.IGNORECASE)
_JOINED = (REPLAN.casefold(), "answer:", "final answer:")
"""What may stand before, or in place of, a joiner's answer."""


@dataclass(frozen=True)
class Delta:
    """What a token adds to the `content` that the client sees, or to the `reasoning` before it."""

    content: str = ""
    reasoning: str = ""


class FinalAnswer:
    """Takes the replies of solver and joiner as they are written, and lets through what is the answer.

    A solver reasons first and writes the answer after `Answer:`. A joiner writes `Answer:` and the answer, or
    asks for another plan.
    What cannot be told yet is held back; `rest` has it once the planner has settled on the answer.
    """

    def __init__(self) -> None:
        self._message: str | None = None
        self._text = ""
        self._start: int | None = None
        self._line = 0
        self._reasoned = 0
        self._sent = ""

    def take(self, node: str, message: str | None, text: str) -> Delta:
        """Takes a token.

        Args:
            node: the planner's node that writes: `solve` or `join`.
            message: id of the message that it writes.
            text: the token.
        """
        if message != self._message:
            self._message, self._text, self._start, self._line, self._reasoned = message, "", None, 0, 0
        self._text += text
        if self._start is None:
            self._start = self._found(node)
        if self._start is None:
            return self._reasoning(len(self._text)) if node == "solve" else Delta()
        before = self._reasoning(self._start) if node == "solve" else Delta()
        visible = self._text[self._start :].strip()
        # Bold type around the whole answer is dropped, so it is not shown before its end is known.
        if visible.startswith("*") or not visible.startswith(self._sent):
            return before
        fresh, self._sent = visible[len(self._sent) :], visible
        return Delta(fresh, before.reasoning)

    def rest(self, answer: str) -> str:
        """What is missing for the client to have the whole answer."""
        if answer.startswith(self._sent):
            return answer[len(self._sent) :]
        return "" if self._sent.endswith(answer) else f"\n\n{answer}"

    def _found(self, node: str) -> int | None:
        if node == "solve":
            # Only the last line: long reasoning would be searched from its beginning with every token.
            mark = _MARK.search(self._text, self._line)
            self._line = max(self._text.rfind("\n"), 0)
            return mark.end() if mark else None
        answer = self._text.lstrip()
        mark = _MARK.match(answer)
        answer = answer[mark.end() :] if mark else answer
        head = answer.strip(" \n*").casefold()
        if any(begun.startswith(head[: len(begun)]) for begun in ((REPLAN.casefold(),) if mark else _JOINED)):
            return None
        return len(self._text) - len(answer)

    def _reasoning(self, end: int) -> Delta:
        fresh, self._reasoned = self._text[self._reasoned : end], max(end, self._reasoned)
        return Delta(reasoning=fresh)
