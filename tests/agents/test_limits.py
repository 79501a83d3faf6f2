import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.answering import AnsweringModel
from anabranch.agents.ledger import Ledger
from anabranch.agents.limits import answer_limit, ended, limited, usage_metadata, usage_of
from anabranch.agents.wire import whole_number, whole_usage
from anabranch.bounds import ANSWER_TOKENS
from anabranch.config import LAST_ANSWER_TOKENS, Budget, Price
from anabranch.plan import Usage
from tests.fakes import ScriptedChatModel

PROMPT = [HumanMessage("Who opened the mill at Orsay, and when was that?")]
INF = float("inf")


class Standard(ScriptedChatModel):
    script: Any = None
    max_tokens: int | None = None


class Gemini(ScriptedChatModel):
    script: Any = None
    max_output_tokens: int | None = None


class Ollama(ScriptedChatModel):
    script: Any = None
    num_predict: int | None = None


def openai(**options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url="http://127.0.0.1:1/v1", api_key=SecretStr("k"), **options)


@pytest.mark.parametrize(
    ("model", "wanted", "left", "told"),
    [
        (Standard(), None, INF, ANSWER_TOKENS),
        (Standard(), 50, INF, 50),
        (Standard(), 50, 20, 20),
        (Standard(max_tokens=30_000), None, INF, None),
        (Standard(max_tokens=30), 50, INF, None),
        (Standard(max_tokens=30_000), 50, INF, 50),
        (Standard(max_tokens=30_000), None, 70, 70),
        (Standard(profile={"max_output_tokens": 4096}), None, INF, 4096),
        (Standard().bind(max_tokens=9), None, INF, None),
        (Standard().bind(max_tokens=9), 50, INF, None),
        (Standard().bind(max_tokens=900), 50, INF, 50),
        (Ollama(num_predict=-1), None, INF, ANSWER_TOKENS),
        (Ollama(num_predict=128), None, INF, None),
        (RunnableLambda(str), 50, INF, None),
    ],
    ids=str,
)
def test_the_lowest_limit_is_told(model: Any, wanted: int | None, left: float, told: int | None) -> None:
    assert answer_limit(model, wanted, left) == told


@pytest.mark.parametrize(
    ("model", "field"), [(Standard(), "max_tokens"), (Gemini(), "max_output_tokens"), (Ollama(), "num_predict")]
)
def test_a_model_is_told_by_the_field_it_has(model: Any, field: str) -> None:
    assert getattr(limited(model, 7, at_call=False), field) == 7
    bound: Any = limited(model.bind(stop=["x"]), 7, at_call=False)
    assert getattr(bound.bound, field) == 7
    assert bound.kwargs == {"stop": ["x"]}
    assert getattr(model, field) is None


def test_a_model_with_openais_api_is_told_with_the_call() -> None:
    bound: Any = limited(openai().bind(stop=["x"]), 7, at_call=True)
    assert bound.kwargs == {"stop": ["x"], "max_tokens": 7}


def test_a_model_that_knows_no_limit_is_left_alone() -> None:
    model = ScriptedChatModel(script=[])
    assert limited(model, 7, at_call=False) is model


def test_a_stand_in_passes_the_limit_on() -> None:
    told: Any = limited(Standard(), 7, at_call=False)
    stand_in: Any = AnsweringModel.over(told, "whole")
    assert stand_in.inner.max_tokens == 7


# Time


async def test_a_task_that_does_not_heed_its_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while lost < 3:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                lost += 1
        await asyncio.sleep(30)

    task = asyncio.create_task(stubborn())
    assert not await ended(task, 0.01)
    assert (lost, task.cancelled()) == (3, True)


async def test_a_task_that_never_heeds_it_is_left() -> None:
    stop = asyncio.Event()

    async def deaf() -> None:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    assert not await asyncio.wait_for(ended(task, 0.01), 5)
    stop.set()
    await asyncio.wait({task})


async def test_who_waits_may_be_cancelled_too() -> None:
    task = asyncio.create_task(asyncio.sleep(30))
    waiting = asyncio.create_task(ended(task, 30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert task.cancelled()


# Tokens


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(ANYTHING)
def test_a_number_of_tokens_is_whole_or_none(value: Any) -> None:
    number = whole_number(value)
    assert number is None or (type(number) is int and number >= 0)


@given(st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details"]), ANYTHING))
def test_a_usage_has_whole_numbers_alone(usage: dict[str, Any]) -> None:
    for name, value in (whole_usage(usage) or {}).items():
        assert type(value) is (dict if name.endswith("_details") else int)


@given(ANYTHING, ANYTHING)
def test_usage_is_read_or_estimated(read: Any, written: Any) -> None:
    message = AIMessage("Ida Brask, in 1911.")
    message.usage_metadata = {"input_tokens": read, "output_tokens": written, "total_tokens": 0}
    usage = usage_of(message, Price(input=1, output=1), PROMPT)
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    assert usage.estimated == (not whole_number(read) or not whole_number(written))


@pytest.mark.parametrize(
    ("details", "cached", "reasoning"),
    [
        ({}, None, None),
        ({"input_token_details": None, "output_token_details": {"audio": 1}}, None, None),
        ({"input_token_details": {"cache_read": 2}, "output_token_details": {"reasoning": 1}}, 2, 1),
        ({"input_token_details": {"cache_read": 0}, "output_token_details": {"reasoning": "no"}}, 0, None),
        # No part is more than the whole.
        ({"input_token_details": {"cache_read": 99}, "output_token_details": {"reasoning": 99}}, 7, 3),
    ],
)
def test_what_is_told_of_caches_and_reasoning(details: Any, cached: int | None, reasoning: int | None) -> None:
    told: Any = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, **details}
    message = AIMessage("a").model_copy(update={"usage_metadata": told})
    usage = usage_of(message, None)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (cached, reasoning)
    assert usage + Usage() == usage
    again = usage_of(AIMessage("a", usage_metadata=usage_metadata(usage)), None)
    assert again == usage


def test_texts_in_other_scripts_have_more_tokens_a_letter() -> None:
    latin, chinese = (usage_of(AIMessage(letter * 400), None).output_tokens for letter in ("a", "中"))
    assert 90 < latin < 120
    assert chinese > 2.5 * latin


def test_estimates_stay_marked_when_they_are_added() -> None:
    known, guessed = Usage(input_tokens=1), Usage(input_tokens=1, estimated=True)
    assert not (known + known).estimated
    assert (known + guessed).estimated
    assert (guessed + known).estimated


def test_what_is_under_way_is_counted_while_it_is() -> None:
    budget = Budget(max_tokens=1000, max_calls=3)
    ledger = Ledger({"solver": Usage(input_tokens=100, calls=1)}, budget=budget)
    part = Ledger(parent=ledger)
    with part.calling(lambda: Usage(input_tokens=300, calls=1)):
        assert ledger.tokens_left() == part.tokens_left() == 600
        with ledger.calling(lambda: Usage(input_tokens=590, calls=1)):
            assert part.tokens_left() == LAST_ANSWER_TOKENS
    assert ledger.tokens_left() == 900


async def test_a_loop_that_was_blocked_is_no_slow_task() -> None:
    async def in_steps(seconds: float) -> str:
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
        return "done"

    async def elsewhere() -> None:
        time.sleep(0.8)  # noqa: ASYNC251

    tasks = [asyncio.create_task(work) for work in (in_steps(0.3), elsewhere())]
    assert await ended(tasks[0], 0.5)
    assert not await ended(asyncio.create_task(in_steps(5)), 0.3)
