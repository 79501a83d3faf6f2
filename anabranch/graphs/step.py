"""Answers one sub-question: a small graph, `route → solver | tool`, that callers may replace."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from anabranch.agents.ledger import Ledger, booking, current
from anabranch.agents.models import RoleModel
from anabranch.agents.solver import answer_step, read_answer, write_arguments
from anabranch.errors import BackendError, ModelError
from anabranch.graphs.bridge import Node
from anabranch.graphs.channels import Stored, plain
from anabranch.plan import SOLVE, Answer, SubQuestion, fill
from anabranch.tools.calling import call_tool
from anabranch.tools.catalogue import Catalogue

MAX_EVIDENCE_CHARS = 8_000


class StepState(TypedDict):
    """State of the step graph.

    Attributes:
        sub_question: what is asked.
        text: its text with the slots filled.
        answer: the answer; the graph must set it, or raise.
        evidence: what the tool returned, where the answer was read out of it.
    """

    sub_question: Annotated[SubQuestion, Stored]
    text: str
    answer: NotRequired[str]
    evidence: NotRequired[str]


def create_step_graph(solver: RoleModel, tools: Catalogue) -> "CompiledStateGraph[StepState, Any, Any, Any]":
    """The graph that answers one sub-question.

    A tool with `return_direct` gives the answer itself; from the result of any other tool the solver reads it.

    Args:
        solver: who answers what has no tool, writes tool arguments and reads results.
        tools: the tools that sub-questions may be routed to.
    """

    async def ask_solver(state: StepState) -> dict[str, Any]:
        return {"answer": await answer_step(solver, state["text"])}

    async def use_tool(state: StepState) -> dict[str, Any]:
        tool = tools[state["sub_question"].route]
        arguments = await write_arguments(solver, tool, state["text"])
        output = cut(await call_tool(tool, arguments))
        if tool.return_direct:
            return {"answer": output}
        return {"answer": await read_answer(solver, state["text"], output), "evidence": output}

    builder: StateGraph[StepState, Any, Any, Any] = StateGraph(StepState)
    builder.add_node("solver", Node(ask_solver, "solver"))
    builder.add_node("tool", Node(use_tool, "tool"))
    builder.add_conditional_edges(START, Node(_route, "route"), ["solver", "tool"])
    builder.add_edge("solver", END)
    builder.add_edge("tool", END)
    return builder.compile(name="step")


async def _route(state: StepState) -> str:
    return "solver" if state["sub_question"].route == SOLVE else "tool"


def cut(text: str) -> str:
    """The beginning of a text that is too long to be put into a prompt."""
    return text if len(text) <= MAX_EVIDENCE_CHARS else text[:MAX_EVIDENCE_CHARS] + " […]"


class StepRunner:
    """Runs the step graph for the scheduler: fills slots, times, limits and never lets a tool's failure escape.

    Args:
        graph: the step graph, ours or the caller's.
        timeout: seconds one sub-question may take, not counting the wait for its dependencies.
        concurrency: how many may run at once.
    """

    def __init__(self, graph: "CompiledStateGraph[Any, Any, Any, Any]", *, timeout: float, concurrency: int) -> None:
        self.graph = graph
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
            return await self._answer(question, fill(question.text, {k: a.text for k, a in inputs.items()}))

    async def _answer(self, question: SubQuestion, text: str) -> Answer:
        started, error = time.monotonic(), None
        result: dict[str, Any] = {}
        with booking(Ledger(parent=current())) as ledger:
            try:
                ledger.check()
                async with asyncio.timeout(self.timeout):
                    result = await self.graph.ainvoke({"sub_question": plain(question), "text": text})
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
            error=error,
            evidence=result.get("evidence"),
            usage=ledger.total,
            seconds=time.monotonic() - started,
        )


def one_line(error: BaseException) -> str:
    """An exception as one line of at most 300 characters."""
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    return text if isinstance(error, ModelError) and text else f"{name}: {text}" if text else name
