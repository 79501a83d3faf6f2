"""Framework time of a question whose models and tools take none: four sub-questions, each a tool call and a reading,
beside LangChain's `create_agent` with as many look-ups; and what `PlannerMiddleware` adds where no plan is needed.

python -m benchmarks.overhead [--questions 200] [--at-once 500]
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console
from rich.table import Table

from anabranch.graphs.planner import Planner, create_planner
from anabranch.middleware import PlannerMiddleware
from tests.fakes import ScriptedChatModel

QUESTION = {"messages": [("user", "Which of the four is oldest?")]}


@tool
async def search(query: str) -> str:
    """Looks facts up."""
    return f"result of {query}"


def four_step_planner(route: str, **options: Any) -> Planner:
    """A planner over models that answer at once; two independent pairs of sub-questions."""
    steps = [(1, "first?", []), (2, "second?", []), (3, "after {1}?", [1]), (4, "after {2}?", [2])]
    items = [{"id": i, "route": route, "text": text, "depends_on": d} for i, text, d in steps]
    plan = json.dumps({"sub_questions": items})
    decomposer = ScriptedChatModel(script=lambda _prompt: plan)
    solver = ScriptedChatModel(script=lambda _prompt: "an answer")
    return create_planner(decomposer=decomposer, solver=solver, tools=[search], protocol="per_node", **options)


async def one_by_one(graph: Planner, count: int) -> list[float]:
    """Milliseconds of each question."""
    times = []
    for number in range(count + 5):
        began = time.perf_counter()
        result = await graph.ainvoke(QUESTION, {"configurable": {"thread_id": str(number)}})
        times.append((time.perf_counter() - began) * 1e3)
        assert result["answer"] == "an answer"
        assert len(result["answers"]) == 4
    return times[5:]


def synchronously(graph: Planner, count: int) -> list[float]:
    """Milliseconds of each question, through `invoke`."""
    times = []
    for _ in range(count + 5):
        began = time.perf_counter()
        assert graph.invoke(QUESTION)["answer"] == "an answer"
        times.append((time.perf_counter() - began) * 1e3)
    return times[5:]


async def an_agent(count: int, middleware: Sequence[PlannerMiddleware], question: str, **switch: bool) -> list[float]:
    """Milliseconds of each call of an agent whose model answers at once."""
    agent: Any = create_agent(ScriptedChatModel(script=lambda _prompt: "an answer"), middleware=middleware)
    times = []
    for _ in range(count + 5):
        began = time.perf_counter()
        result = await agent.ainvoke({"messages": [("user", question)]}, {"configurable": switch})
        times.append((time.perf_counter() - began) * 1e3)
        assert result["messages"][-1].text == "an answer"
        assert not result.get("todos")
    return times[5:]


async def agent_with_tools(count: int) -> list[float]:
    """Milliseconds of each question of `create_agent`: four look-ups one after the other, and an answer."""

    def reply(prompt: str) -> AIMessage | str:
        done = prompt.count("result of")
        call = {"name": "search", "args": {"query": "first?"}, "id": str(done)}
        return AIMessage("", tool_calls=[call]) if done < 4 else "an answer"

    agent: Any = create_agent(ScriptedChatModel(script=reply), tools=[search])
    times = []
    for _ in range(count + 5):
        began = time.perf_counter()
        result = await agent.ainvoke(QUESTION)
        times.append((time.perf_counter() - began) * 1e3)
        assert len(result["messages"]) == 10
    return times[5:]


async def agents(count: int) -> dict[str, list[float]]:
    """Milliseconds of each call of an agent that needs no plan, without the middleware and with it."""
    nothing = ScriptedChatModel(script=lambda _prompt: '{"sub_questions": []}')
    planner = create_planner(decomposer=nothing, solver=nothing, tools=[search], final_answer=False)
    planning = [PlannerMiddleware(planner)]
    question = "Which of the four is oldest, and how old is it?"
    return {
        "agent": await an_agent(count, [], question),
        "agent, middleware switched off": await an_agent(count, planning, question, plan=False),
        "agent, middleware, told by the gate": await an_agent(count, planning, "Thanks!"),
        "agent, middleware, told by the decomposer": await an_agent(count, planning, question),
    }


async def at_once(graph: Planner, count: int) -> tuple[int, float]:
    """How many of `count` simultaneous questions were answered in full, and the seconds it took."""
    began = time.perf_counter()
    results = await asyncio.gather(*(graph.ainvoke(QUESTION) for _ in range(count)))
    whole = [result for result in results if len(result["answers"]) == 4 and result["answer"] == "an answer"]
    return len(whole), time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=500)
    args = parser.parse_args()
    runs = {
        "create_agent, four look-ups": asyncio.run(agent_with_tools(args.questions)),
        "solver only": asyncio.run(one_by_one(four_step_planner("solve"), args.questions)),
        "tool and solver": asyncio.run(one_by_one(four_step_planner("search"), args.questions)),
        "tool and solver, invoke()": synchronously(four_step_planner("search"), args.questions),
        "tool and solver, in-memory threads": asyncio.run(
            one_by_one(four_step_planner("search", checkpointer=InMemorySaver()), args.questions)
        ),
        **asyncio.run(agents(args.questions)),
    }
    title = "framework time of a question with four sub-questions, and of an agent's call that needs none"
    table = Table(title=f"{title}, ms (n = {args.questions})")
    for column in ("", "median", "p95", "/ create_agent"):
        table.add_column(column, justify="right")
    peer = statistics.median(next(iter(runs.values())))
    for name, times in runs.items():
        median = statistics.median(times)
        table.add_row(name, f"{median:.1f}", f"{statistics.quantiles(times, n=20)[-1]:.1f}", f"{median / peer:.2f}")
    console = Console()
    console.print(table)
    answered, seconds = asyncio.run(at_once(four_step_planner("search"), args.at_once))
    console.print(f"{answered} of {args.at_once} questions at once answered in {seconds:.1f} s, one process")


if __name__ == "__main__":
    main()
