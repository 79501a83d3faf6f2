"""Follow-up questions over HTTP and MCP: what was said before comes with the request."""

from typing import Any

import openai
import pytest
from mcp import Client

from anabranch.serving.mcp import build_mcp
from anabranch.serving.service import Service
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, reader
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

EARLIER: Any = [
    {"role": "user", "content": "Who founded Craigslist?"},
    {"role": "assistant", "content": "Craig Newmark."},
]
FOLLOW_UP = "And when was he born?"
WHOLE = "When was Craig Newmark born?"
PLAN = plan_json(("search", WHOLE, []))
WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def solver(prompt: str) -> Reply:
    if "Last message: " in prompt:
        return f"QUESTION: {WHOLE}"
    return "{}" if "JSON schema of the arguments" in prompt else reader(prompt)


def rewritten(model: ScriptedChatModel) -> int:
    return sum("Last message: " in prompt for prompt in model.prompts)


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def test_over_http_the_planner_sees_the_whole_question_and_the_client_is_told(serve: Serve) -> None:
    decomposer = ScriptedChatModel(script=live.always(PLAN))
    client = client_of(serve(live.parts(decomposer, solver)))
    asked: Any = {"model": "anabranch", "messages": [*EARLIER, {"role": "user", "content": FOLLOW_UP}]}
    asked |= {"extra_body": {"anabranch": {"include_plan": True}}}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.content == "In 1952"
    assert (whole.model_extra or {})["anabranch"]["question"] == WHOLE
    assert f"Question: {WHOLE}" in decomposer.prompts[0]
    chunks = list(client.chat.completions.create(**asked, stream=True))
    events = [(chunk.model_extra or {}).get("anabranch") for chunk in chunks]
    assert {"type": "question", "asked": FOLLOW_UP, "question": WHOLE} in events


def test_a_plan_that_waits_for_the_client_keeps_the_question_that_was_understood(serve: Serve) -> None:
    plan = plan_json(("weather", "What was the weather when Craig Newmark was born?", []))
    solving = ScriptedChatModel(script=solver)
    client = client_of(serve(live.parts(plan, solving)))
    messages: list[Any] = [*EARLIER, {"role": "user", "content": FOLLOW_UP}]
    first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    calls: Any = first.choices[0].message.tool_calls
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": calls[0].id, "content": "born in rain"}]
    second = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "In 1952"
    assert rewritten(solving) == 1
    assert f"Question: {WHOLE}" in solving.prompts[-1]


async def test_over_mcp_earlier_turns_are_an_argument() -> None:
    decomposer = ScriptedChatModel(script=live.always(PLAN))
    told: list[str | None] = []

    async def collect(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with Client(build_mcp(Service(live.parts(decomposer, solver)))) as client:
        arguments = {"question": FOLLOW_UP, "history": EARLIER}
        found: Any = await client.call_tool("ask", arguments, progress_callback=collect)
        assert found.structured_content["question"] == WHOLE
        assert found.structured_content["answer"] == "In 1952"
        assert f"understood as: {WHOLE}" in told
        wrong: Any = await client.call_tool("ask", {"question": "Why?", "history": [{"role": "tool", "content": "x"}]})
        assert wrong.is_error
