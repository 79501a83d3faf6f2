"""A budget's time ends what is under way, and what was found until then is the answer."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from anabranch import Budget, Plan, SubQuestion, create_planner
from anabranch.agents.decomposer import GivenPlan
from anabranch.agents.models import RoleModel
from anabranch.config import Price
from anabranch.errors import BudgetExceededError, CallTimeoutError, ConfigurationError
from anabranch.graphs.planner import Planner
from anabranch.plan import SOLVE
from tests.fakes import Reply, ScriptedChatModel

QUESTION = {"messages": [("user", "Who opened the mill at Orsay, and when was that?")]}
FOR_EVER = 600.0
"""Seconds, far more than the time that pytest gives a test: what is waited for fails it."""


@tool
def register(query: str) -> str:
    """Looks up who opened what."""
    return "The mill was opened by Ida Brask."


@tool
async def slow_register(query: str) -> str:
    """Looks up when what was opened, and never ends."""
    await asyncio.sleep(FOR_EVER)
    return "1911"


@tool
async def stubborn_register(query: str) -> str:
    """Looks up when what was opened, never ends, and does not let itself be cancelled."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(until - time.monotonic())
    raise ValueError("it was not waited for")


@tool
def blocking_register(query: str) -> str:
    """Looks up when what was opened, and never ends."""
    time.sleep(FOR_EVER)
    return "1911"


class Slow(ScriptedChatModel):
    """Takes for ever over prompts that have this word in them."""

    word: str

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        if any(self.word in message.text for message in messages):
            await asyncio.sleep(FOR_EVER)
        return await super()._agenerate(messages, *args, **kwargs)


class Blocking(BaseChatModel):
    """A model without asynchronous calls."""

    seconds: float

    @property
    def _llm_type(self) -> str:
        return "blocking"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        time.sleep(self.seconds)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Answer: Ida"))])


def plan(*items: tuple[str, str]) -> GivenPlan:
    questions = [SubQuestion(id=place, text=text, route=route) for place, (text, route) in enumerate(items, 1)]
    return GivenPlan(Plan(sub_questions=tuple(questions)))


TWO = (("Who opened the mill?", "register"), ("When was it opened?", "slow_register"))


def reader(prompt: str) -> Reply:
    return "Ida Brask" if "Ida Brask" in prompt else "nothing is known"


def planner(items: Any, solver: BaseChatModel | RoleModel, **options: Any) -> Planner:
    tools = [register, slow_register, blocking_register, stubborn_register]
    return create_planner(decomposer=plan(*items), solver=solver, tools=tools, gate="always", max_replans=0, **options)


async def ask(graph: Planner, how: str) -> dict[str, Any]:
    if how == "invoke":
        return await asyncio.to_thread(graph.invoke, QUESTION)
    if how == "ainvoke":
        return await graph.ainvoke(QUESTION)
    seen: list[Any] = [part async for part in graph.astream(QUESTION, stream_mode=["messages", "values"])]
    return dict(next(data for mode, data in reversed(seen) if mode == "values"))


HOW = ["invoke", "ainvoke", "stream"]


def without_end(how: str) -> ScriptedChatModel:
    """A model whose reply has no end; it comes word by word where somebody listens."""
    if how == "stream":
        return ScriptedChatModel(script=lambda _prompt: "on and on " * 5000, word_delay=0.01)
    return ScriptedChatModel(script=["late"], delay=FOR_EVER)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("slow", ["slow_register", "blocking_register", "stubborn_register", SOLVE])
async def test_what_was_found_is_the_answer_when_the_time_is_up(how: str, slow: str) -> None:
    solver = Slow(script=reader, word="When was it opened?")
    graph = planner((TWO[0], ("When was it opened?", slow)), solver, budget=Budget(max_seconds=1.5))
    result = await ask(graph, how)
    assert "Ida Brask" in result["answer"]
    assert not result["answers"][2].ok


@pytest.mark.parametrize("how", HOW)
async def test_a_joiner_without_end_is_done_without(how: str) -> None:
    joiner = without_end(how)
    graph = planner(TWO[:1], ScriptedChatModel(script=reader), joiner=joiner, budget=Budget(max_seconds=1.5))
    assert (await ask(graph, how))["answer"] == "Ida Brask"


async def test_a_joiner_that_takes_too_long_for_one_call_is_done_without() -> None:
    joiner = ScriptedChatModel(script=["late"], delay=FOR_EVER)
    graph = planner(TWO[:1], ScriptedChatModel(script=reader), joiner=joiner, budget=Budget(call_timeout=0.6))
    assert (await graph.ainvoke(QUESTION))["answer"] == "Ida Brask"


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_solver_that_says_nothing_ends_in_time(how: str) -> None:
    graph = planner((), without_end(how), budget=Budget(max_seconds=0.2))
    with pytest.raises(BudgetExceededError, match=r"max_seconds=0\.2"):
        await ask(graph, how)


@pytest.mark.parametrize("how", HOW)
async def test_a_solver_that_blocks_is_not_waited_for(how: str) -> None:
    with pytest.raises(BudgetExceededError):
        await ask(planner((), Blocking(seconds=FOR_EVER), budget=Budget(max_seconds=0.2)), how)
    assert (await ask(planner((), Blocking(seconds=0)), how))["answer"] == "Ida"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("items", [(), (("Who?", SOLVE),)], ids=["direct", "guided"])
async def test_what_a_solver_has_written_when_the_time_is_up_is_a_part_of_an_answer(how: str, items: Any) -> None:
    solver = without_end("stream")
    graph = planner(items, solver, budget=Budget(max_seconds=1.5), protocol="guided")
    result = await ask(graph, how)
    assert result["status"] == "partial"
    assert result["answer"].startswith("on and on")
    assert result["messages"][-1].response_metadata["finish_reason"] == "length"
    assert result["usage"]["solver"].calls == 1
    assert result["usage"]["solver"].estimated


@pytest.mark.parametrize("budget", [Budget(max_seconds=1.5), Budget(call_timeout=1.5)], ids=["all", "one call"])
async def test_what_was_streamed_until_the_time_was_up_is_the_answer(budget: Budget) -> None:
    streamed, result = "", {}
    parts: Any = planner((), without_end("stream"), budget=budget).astream(QUESTION, stream_mode=["messages", "values"])
    async for mode, data in parts:
        if mode == "messages":
            streamed += str(data[0].text)
        else:
            result = data
    assert streamed == result["answer"]
    assert result["status"] == "partial"


async def test_a_step_whose_call_takes_too_long_has_failed_and_the_others_go_on() -> None:
    solver = Slow(script=reader, word="When was it opened?")
    graph = planner((TWO[0], ("When was it opened?", SOLVE)), solver, budget=Budget(call_timeout=0.6))
    result = await graph.ainvoke(QUESTION)
    assert result["answers"][1].text == "Ida Brask"
    assert "did not end its reply within 0.6 s" in result["answers"][2].error


async def test_a_direct_answer_that_takes_too_long() -> None:
    solver = ScriptedChatModel(script=["late"], delay=FOR_EVER)
    with pytest.raises(CallTimeoutError, match="raise call_timeout"):
        await planner((), solver, budget=Budget(call_timeout=0.1)).ainvoke(QUESTION)


async def test_a_decomposer_without_end_is_ended() -> None:
    decomposer = ScriptedChatModel(script=["late"], delay=FOR_EVER)
    graph = create_planner(
        decomposer=decomposer, solver=ScriptedChatModel(script=[]), gate="always", budget=Budget(max_seconds=0.2)
    )
    with pytest.raises(BudgetExceededError):
        await graph.ainvoke(QUESTION)


@pytest.mark.parametrize("limit", [2, 3, 5])
async def test_calls_at_the_same_time_are_never_more_than_allowed(limit: int) -> None:
    solver = ScriptedChatModel(script=lambda _prompt: "Ida", delay=0.02)
    items = [(f"Question {number}?", SOLVE) for number in range(8)]
    result = await planner(items, solver, protocol="per_node", budget=Budget(max_calls=limit)).ainvoke(QUESTION)
    assert len(solver.prompts) == limit
    assert sum(answer.ok for answer in result["answers"].values()) == limit
    assert sum(usage.calls for usage in result["usage"].values()) == limit


# Tokens


class Limited(ScriptedChatModel):
    """A model with LangChain's standard field for the most tokens of a reply."""

    max_tokens: int | None = None

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return await super()._agenerate(*args, most=self.max_tokens, **kwargs)


async def test_the_final_answer_of_one_run_may_be_shorter() -> None:
    solver = Limited(script=reader)
    graph = planner(TWO[:1], solver, budget=Budget(max_answer_tokens=200))
    await graph.ainvoke(QUESTION, {"configurable": {"max_answer_tokens": 20}})
    await graph.ainvoke(QUESTION, {"configurable": {"max_answer_tokens": 900}})
    assert [bound["most"] for bound in solver.bound] == [200, 20, 200, 200]


def test_a_budget_of_dollars_needs_a_price() -> None:
    with pytest.raises(ConfigurationError, match="no model's price is known"):
        planner(TWO, ScriptedChatModel(script=[]), budget=Budget(max_usd=1))
    planner(TWO, RoleModel(ScriptedChatModel(script=[]), Price(input=1, output=1)), budget=Budget(max_usd=1))


async def test_a_token_budget_holds_where_nothing_is_counted() -> None:
    solver = Blocking(seconds=0)
    items = [(f"Question {number}?", SOLVE) for number in range(8)]
    graph = planner(items, solver, protocol="per_node", budget=Budget(max_tokens=60), max_concurrency=1)
    result = await graph.ainvoke(QUESTION)
    assert 0 < sum(usage.calls for usage in result["usage"].values()) < 4
    assert result["usage"]["solver"].estimated
