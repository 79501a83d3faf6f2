"""Wall time of random plans against their critical path: the scheduler beside LangGraph's `Send` waves.

python -m benchmarks.scheduler [--plans 5] [--sizes 8 20 50 100]
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Mapping
from functools import partial
from operator import or_
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Send
from rich.console import Console
from rich.table import Table

from anabranch.graphs.bridge import Node
from anabranch.graphs.channels import plain
from anabranch.graphs.scheduler import execute
from anabranch.plan import Answer, Plan, SubQuestion


class State(TypedDict):
    answers: Annotated[dict[int, Any], or_]


Case = tuple[Plan, dict[int, float]]


def random_case(size: int, seed: int) -> Case:
    """A random plan whose sub-questions take 20 to 200 ms and depend on up to three of the eight before them."""
    rng = random.Random(seed)
    questions = []
    for id_ in range(1, size + 1):
        earlier = range(max(1, id_ - 8), id_)
        depends_on = tuple(rng.sample(earlier, min(len(earlier), rng.randint(0, 3))))
        questions.append(SubQuestion(id=id_, text="q", depends_on=depends_on))
    return Plan(sub_questions=tuple(questions)), {id_: rng.uniform(0.02, 0.2) for id_ in range(1, size + 1)}


def critical_path(plan: Plan, seconds: Mapping[int, float]) -> float:
    ends: dict[int, float] = {}
    for question in plan.sub_questions:
        ends[question.id] = seconds[question.id] + max((ends[d] for d in question.depends_on), default=0.0)
    return max(ends.values())


def ours(plan: Plan, seconds: Mapping[int, float]) -> Any:
    """A graph of one node that runs the plan with the scheduler."""

    async def answer(question: SubQuestion, _inputs: Mapping[int, Answer]) -> Answer:
        await asyncio.sleep(seconds[question.id])
        return Answer(id=question.id, text="x")

    async def run(_state: State, *, sync: bool) -> dict[str, Any]:
        return {"answers": plain(await execute(plan, {}, answer, sync=sync))}

    builder = StateGraph(State)
    body = Node(partial(run, sync=False), "execute", body_sync=partial(run, sync=True))
    builder.add_node("execute", body)
    builder.add_edge(START, "execute")
    return builder.compile().with_config(max_concurrency=400)


def waves(plan: Plan, seconds: Mapping[int, float]) -> Any:
    """A graph that sends all ready sub-questions at once and waits for the wave to end."""

    async def work(state: Any) -> dict[str, Any]:
        await asyncio.sleep(seconds[state["id"]])
        return {"answers": {state["id"]: "x"}}

    def ready(state: State) -> list[Send]:
        done = state["answers"]
        return [
            Send("work", {"id": q.id})
            for q in plan.sub_questions
            if q.id not in done and all(d in done for d in q.depends_on)
        ]

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_node("wave", lambda _state: {})
    builder.add_edge(START, "wave")
    builder.add_conditional_edges("wave", ready, ["work"])
    builder.add_edge("work", "wave")
    return builder.compile()


def timed(graph: Any, size: int, *, sync: bool = False) -> float:
    began = time.perf_counter()
    result = graph.invoke({"answers": {}}) if sync else asyncio.run(graph.ainvoke({"answers": {}}))
    elapsed = time.perf_counter() - began
    assert len(result["answers"]) == size
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 20, 50, 100])
    args = parser.parse_args()
    table = Table(
        title=f"wall time / critical path, median (worst) of {args.plans} random plans; tasks of 20 to 200 ms"
    )
    for column in ("sub-questions", "critical path, s", "anabranch async", "anabranch sync", "Send waves"):
        table.add_column(column, justify="right")
    timed(ours(*random_case(8, 0)), 8)
    timed(waves(*random_case(8, 0)), 8)
    for size in args.sizes:
        cases = [random_case(size, seed) for seed in range(1, args.plans + 1)]
        paths = [critical_path(*case) for case in cases]
        rows = {
            "async": [timed(ours(*case), size) for case in cases],
            "sync": [timed(ours(*case), size, sync=True) for case in cases],
            "waves": [timed(waves(*case), size) for case in cases],
        }
        ratios = {name: [w / p for w, p in zip(walls, paths, strict=True)] for name, walls in rows.items()}
        cells = [f"{statistics.median(r):.3f} ({max(r):.3f})" for r in ratios.values()]
        table.add_row(str(size), f"{statistics.median(paths):.2f}", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
