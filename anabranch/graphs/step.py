"""Answers one sub-question: `route → solver | tool`, which callers may replace by a graph of their own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, NotRequired

from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from anabranch.agents.ledger import Ledger, booking, current
from anabranch.agents.models import RoleModel
from anabranch.agents.solver import answer_step, read_answer, write_arguments
from anabranch.errors import BackendError, ModelError
from anabranch.graphs.channels import Stored, plain
from anabranch.plan import SOLVE, Answer, SubQuestion, fill, slots, slotted
from anabranch.tools.calling import call_tool
from anabranch.tools.catalogue import Catalogue

MAX_EVIDENCE_CHARS = 8_000


class StepState(TypedDict):
    """What answers a sub-question; the state of a graph that replaces `route → solver | tool`.

    Attributes:
        sub_question: what is asked.
        text: its text with the slots filled.
        inputs: text of the answers it depends on, by sub-question id.
        answer: the answer; must be set, unless something is raised.
        evidence: what the tool returned, where the answer was read out of it.
    """

    sub_question: Annotated[SubQuestion, Stored]
    text: str
    inputs: NotRequired[dict[int, str]]
    answer: NotRequired[str]
    evidence: NotRequired[str]


AnswerStep = Callable[[StepState], Awaitable[Mapping[str, Any]]]
"""Takes `sub_question` and `text`, gives `answer` and, if there is any, `evidence`."""


def by_route(solver: RoleModel, tools: Catalogue) -> AnswerStep:
    """Answers with the solver or the tool that a sub-question is routed to.

    A tool with `return_direct` gives the answer itself; from the result of any other tool the solver reads it.
    A function and not a graph: a graph of two nodes would take longer than all else that is done here.

    Args:
        solver: who answers what has no tool, writes tool arguments and reads results.
        tools: the tools that sub-questions may be routed to.
    """

    async def answer(state: StepState) -> Mapping[str, Any]:
        route, text = state["sub_question"].route, state["text"]
        if route == SOLVE:
            return {"answer": await answer_step(solver, text)}
        tool = tools[route]
        unfilled, inputs = slotted(state["sub_question"]), state.get("inputs", {})
        arguments = await write_arguments(solver, tool, text, unfilled=unfilled, answers=inputs)
        output = cut(await call_tool(tool, arguments))
        if tool.return_direct:
            return {"answer": output}
        return {"answer": await read_answer(solver, text, output), "evidence": output}

    return answer


def by_graph(graph: "CompiledStateGraph[Any, Any, Any, Any]") -> AnswerStep:
    """Answers with a graph over `StepState`."""

    async def answer(state: StepState) -> Mapping[str, Any]:
        result: dict[str, Any] = await graph.ainvoke({**state, "sub_question": plain(state["sub_question"])})
        return result

    return answer


def cut(text: str) -> str:
    """The beginning of a text that is too long to be put into a prompt."""
    return text if len(text) <= MAX_EVIDENCE_CHARS else text[:MAX_EVIDENCE_CHARS] + " […]"


class StepRunner:
    """Answers sub-questions for the scheduler: fills slots, times, limits, and never lets a tool's failure escape.

    Args:
        answer: answers one.
        timeout: seconds one sub-question may take, not counting the wait for its dependencies.
        concurrency: how many may run at once.
    """

    def __init__(self, answer: AnswerStep, *, timeout: float, concurrency: int) -> None:
        self.answer = answer
        self.timeout = timeout
        self.concurrency = concurrency

    async def __call__(self, question: SubQuestion, inputs: Mapping[int, Answer], slot: asyncio.Semaphore) -> Answer:
        """Answers one sub-question.

        Raises:
            BackendError: a model server is away; the run stops and can be resumed.
        """
        lost = [answer.id for answer in inputs.values() if not answer.ok]
        if lost:
            reason = f"sub-question {lost[0]}, which it needs, failed"
            return Answer(id=question.id, status="failed", route=question.route, error=reason)
        async with slot:
            return await self._answer(question, inputs)

    async def _answer(self, question: SubQuestion, inputs: Mapping[int, Answer]) -> Answer:
        text = told(question, inputs)
        started, error = time.monotonic(), None
        result: Mapping[str, Any] = {}
        with booking(Ledger(parent=current())) as ledger:
            try:
                ledger.check()
                async with asyncio.timeout(self.timeout):
                    known = {id_: answer.text for id_, answer in inputs.items()}
                    result = await self.answer({"sub_question": question, "text": text, "inputs": known})
            except (GraphBubbleUp, BackendError):
                raise
            except TimeoutError:
                error = f"no answer within {self.timeout:g} s"
            except Exception as failure:
                error = one_line(failure)
        answer = result.get("answer", "")
        if not error and not str(answer).strip():
            error = "the answer was empty"
        return Answer(
            id=question.id,
            text="" if error else str(answer),
            status="failed" if error else "done",
            route=question.route,
            question=text,
            error=error,
            evidence=result.get("evidence"),
            usage=ledger.total,
            seconds=time.monotonic() - started,
        )


def told(question: SubQuestion, inputs: Mapping[int, Answer]) -> str:
    """A sub-question with the answers it depends on: in their slots, and those without a slot after it."""
    text = slotted(question)
    unused = [answer for id_, answer in inputs.items() if id_ not in slots(text)]
    known = "; ".join(f"{answer.question} {answer.text}".strip() for answer in unused)
    filled = fill(text, {id_: answer.text for id_, answer in inputs.items()})
    return f"{filled} (known: {known})" if known else filled


def one_line(error: BaseException) -> str:
    """An exception as one line of at most 300 characters."""
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    told = isinstance(error, ModelError | ToolException)  # these are written to be read
    return text if told and text else f"{name}: {text}" if text else name
