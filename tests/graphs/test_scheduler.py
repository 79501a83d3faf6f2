import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from anabranch.graphs.bridge import Node
from anabranch.graphs.channels import plain
from anabranch.graphs.scheduler import execute
from anabranch.plan import Answer, Plan, SubQuestion

AnswerOne = Callable[[SubQuestion, Mapping[int, Answer]], Awaitable[Answer]]


class State(TypedDict):
    answers: Any


class Lab:
    """A one-node graph around the scheduler that records when each sub-question started and ended."""

    def __init__(self, plan: Plan, seconds: Mapping[int, float] | None = None) -> None:
        self.plan = plan
        self.seconds = seconds or {}
        self.failing: set[int] = set()
        self.started: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.runs: list[int] = []
        builder = StateGraph(State)
        body = Node(partial(self._node, sync=False), "execute", body_sync=partial(self._node, sync=True))
        builder.add_node("execute", body)
        builder.add_edge(START, "execute")
        self.graph = builder.compile(checkpointer=InMemorySaver()).with_config(max_concurrency=200)

    async def _node(self, _state: State, *, sync: bool) -> dict[str, Any]:
        return {"answers": plain(await execute(self.plan, {}, self._answer, sync=sync))}

    async def _answer(self, question: SubQuestion, inputs: Mapping[int, Answer]) -> Answer:
        self.runs.append(question.id)
        self.started[question.id] = time.monotonic()
        await asyncio.sleep(self.seconds.get(question.id, 0.0))
        if question.id in self.failing:
            raise ConnectionError(f"server away for {question.id}")
        self.ended[question.id] = time.monotonic()
        return Answer(id=question.id, text=f"{question.id}({','.join(inputs[d].text for d in question.depends_on)})")

    def run(self, given: Any, *, sync: bool) -> dict[int, str]:
        config: Any = {"configurable": {"thread_id": "t"}}
        result = self.graph.invoke(given, config) if sync else asyncio.run(self.graph.ainvoke(given, config))
        return {int(key): value["text"] for key, value in result["answers"].items()}


def diamond() -> Plan:
    questions = [(1, ()), (2, ()), (3, (1,)), (4, (2, 3)), (5, ())]
    return Plan(sub_questions=tuple(SubQuestion(id=i, text=f"q{i}", depends_on=d) for i, d in questions))


DIAMOND = {1: "1()", 2: "2()", 3: "3(1())", 4: "4(2(),3(1()))", 5: "5()"}


@pytest.mark.parametrize("sync", [True, False])
def test_every_sub_question_gets_the_answers_it_depends_on(sync: bool) -> None:
    assert Lab(diamond()).run({"answers": {}}, sync=sync) == DIAMOND


@pytest.mark.parametrize("sync", [True, False])
def test_a_dependent_of_a_fast_one_starts_before_a_slow_sibling_ends(sync: bool) -> None:
    lab = Lab(diamond(), {1: 0.02, 2: 0.4})
    lab.run({"answers": {}}, sync=sync)
    assert lab.started[3] < lab.ended[2]


@pytest.mark.parametrize("sync", [True, False])
def test_resume_repeats_only_what_failed_and_swaps_no_answers(sync: bool) -> None:
    # 5 ends first and 2 last, so completion order is not plan order; 3 fails, and 4 waits for it.
    lab = Lab(diamond(), {1: 0.06, 2: 0.12, 3: 0.01, 5: 0.01})
    lab.failing = {3}
    with pytest.raises(ConnectionError):
        lab.run({"answers": {}}, sync=sync)
    assert sorted(lab.runs) == [1, 2, 3, 5]
    lab.failing, lab.runs = set(), []
    assert lab.run(None, sync=sync) == DIAMOND
    assert lab.runs == [3, 4]


def test_a_run_that_began_synchronously_goes_on_asynchronously() -> None:
    lab = Lab(diamond(), {1: 0.03})
    lab.failing = {3}
    with pytest.raises(ConnectionError):
        lab.run({"answers": {}}, sync=True)
    lab.failing, lab.runs = set(), []
    assert lab.run(None, sync=False) == DIAMOND
    assert lab.runs == [3, 4]


def test_a_failure_lets_running_siblings_finish_and_be_recorded() -> None:
    lab = Lab(diamond(), {1: 0.0, 2: 0.15, 3: 0.0})
    lab.failing = {1}
    with pytest.raises(ConnectionError):
        lab.run({"answers": {}}, sync=False)
    lab.failing, lab.runs = set(), []
    lab.run(None, sync=False)
    assert 2 not in lab.runs


def test_more_sub_questions_than_threads_still_run_side_by_side() -> None:
    plan = Plan(sub_questions=tuple(SubQuestion(id=i, text="q") for i in range(1, 61)))
    lab = Lab(plan, dict.fromkeys(plan.ids, 1.0))  # 60 s one after the other
    lab.run({"answers": {}}, sync=True)
    assert max(lab.started.values()) < min(lab.ended.values())


@st.composite
def dags(draw: st.DrawFn) -> Plan:
    size = draw(st.integers(1, 12))
    questions = []
    for id_ in range(1, size + 1):
        earlier = st.lists(st.integers(1, id_ - 1), max_size=3) if id_ > 1 else st.just([])
        questions.append(SubQuestion(id=id_, text="q", depends_on=tuple(draw(earlier))))
    return Plan(sub_questions=tuple(questions))


@settings(max_examples=30)
@given(plan=dags(), failing=st.sets(st.integers(1, 12), max_size=3), sync=st.booleans())
def test_any_dag_is_answered_in_dependency_order_also_after_failures(plan: Plan, failing: set[int], sync: bool) -> None:
    expected: dict[int, str] = {}
    for question in plan.sub_questions:
        expected[question.id] = f"{question.id}({','.join(expected[d] for d in question.depends_on)})"
    lab = Lab(plan)
    lab.failing = failing & set(plan.ids)
    given: Any = {"answers": {}}
    if lab.failing:
        with pytest.raises(ConnectionError):
            lab.run(given, sync=sync)
        given = None
    done, lab.failing, lab.runs = set(lab.ended), set(), []
    assert lab.run(given, sync=sync) == expected
    assert not done & set(lab.runs)
