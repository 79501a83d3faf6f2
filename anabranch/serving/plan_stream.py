"""A plan, line by line while it is written."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableLambda

from anabranch.agents.decomposer import Decomposer, Draft, PlanRequest, decompose
from anabranch.agents.ledger import Ledger, booking
from anabranch.characters import WholeStream, whole_characters, whole_data
from anabranch.codecs import decode_line
from anabranch.config import Budget
from anabranch.errors import ModelError, PlanError
from anabranch.plan import Plan, SubQuestion, Usage
from anabranch.serving.metrics import Metrics

REPAIRS = 1
_JSON = json.JSONDecoder()


@dataclass(frozen=True)
class Written:
    """A sub-question as the decomposer wrote it; the plan it belongs to is not checked yet."""

    question: SubQuestion


@dataclass(frozen=True)
class Restarted:
    """The draft so far would not do: forget it, another is being written."""


@dataclass(frozen=True)
class Planned:
    """The whole plan, checked; `new` are the sub-questions that were added."""

    plan: Plan
    new: tuple[int, ...]
    problems: tuple[str, ...]
    usage: Usage


PlanItem = Written | Restarted | Planned


class Reader:
    """Finds sub-questions in a text that grows: lines, or objects in JSON."""

    def __init__(self) -> None:
        self._text = ""
        self._whole = WholeStream()
        self._place = 0
        self._json: bool | None = None

    def take(self, token: str) -> list[SubQuestion]:
        """Takes a token; gives the sub-questions that are complete with it."""
        return self._take(self._whole.take(token))

    def _take(self, token: str) -> list[SubQuestion]:
        self._text += token
        if self._json is None and self._text.strip():
            self._json = not self._text.lstrip()[0].isdigit()
        found = []
        while (piece := self._object() if self._json else self._line()) is not None:
            found += _read(piece)
        return found

    def end(self, text: str) -> list[SubQuestion]:
        """Takes the whole text; gives what was not complete before: the last line, or all of it if nothing came."""
        found = self._take(whole_characters(text)[len(self._text) :])
        return found if self._json else [*found, *_read(self._text[self._place :])]

    def _line(self) -> str | None:
        end = self._text.find("\n", self._place)
        if end < 0:
            return None
        line, self._place = self._text[self._place : end], end + 1
        return line

    def _object(self) -> dict[str, Any] | None:
        """The next object inside the array of sub-questions."""
        if self._place == 0:
            start = self._text.find("[", self._text.find('"sub_questions"') + 1)
            if start < 0 or '"sub_questions"' not in self._text:
                return None
            self._place = start + 1
        start = self._text.find("{", self._place)
        if start < 0 or "]" in self._text[self._place : start]:
            return None
        try:
            value, self._place = _JSON.raw_decode(self._text, start)
            value = whole_data(value)
        except (ValueError, RecursionError):  # not complete yet
            return None
        return value if isinstance(value, dict) else None


def _read(piece: str | dict[str, Any]) -> list[SubQuestion]:
    # What cannot be read is not lost: the whole text is read again at its end, and then the reason is told.
    try:
        return [decode_line(piece) if isinstance(piece, str) else SubQuestion.model_validate(piece)]
    except (PlanError, ValueError):
        return []


async def write_plan(
    decomposer: Decomposer,
    request: PlanRequest,
    budget: Budget | None,
    metrics: Metrics,
    emit: Callable[[PlanItem], Awaitable[None]],
) -> None:
    """Has a plan written and emits it piece by piece, and then as a whole.

    Args:
        decomposer: who writes.
        request: what is asked.
        budget: hard limits.
        metrics: where plans and tokens are counted.
        emit: takes the items.

    Raises:
        ModelError: no draft was a plan that can run.
        BudgetExceededError, EndpointError: as model calls do.
    """
    ledger = Ledger(budget=budget)

    async def draft(_: object) -> Draft:
        return await decompose(decomposer, request, repairs=REPAIRS)

    reader, drafts, result = Reader(), 0, Draft(request.asked)
    try:
        with booking(ledger):
            # Events of LangChain, as this makes the model stream under `ainvoke`, which is how decomposers call it.
            async for event in RunnableLambda(draft).astream_events(None, version="v2"):
                if event["event"] == "on_chat_model_start":
                    drafts += 1
                    reader = Reader()
                    if drafts > 1:
                        await emit(Restarted())
                elif event["event"] == "on_chat_model_stream":
                    for question in reader.take(str(event["data"]["chunk"].text)):
                        await emit(Written(question))
                elif event["event"] == "on_chat_model_end":
                    for question in reader.end(str(event["data"]["output"].text)):
                        await emit(Written(question))
                elif event["event"] == "on_chain_end" and isinstance(event["data"].get("output"), Draft):
                    result = event["data"]["output"]
    finally:
        metrics.spent(ledger.by_role)
    if len(result.problems) > REPAIRS:
        raise ModelError(
            f"the decomposer wrote no plan that can run: {result.problems[-1]}; try again or ask differently"
        )
    new = result.plan.ids[len(request.asked.sub_questions) :]
    metrics.planned(new=len(new), problems=len(result.problems))
    await emit(Planned(result.plan, new, (*result.notes, *result.problems), ledger.total))
