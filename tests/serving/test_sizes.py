"""Sizes of requests: what is too large is refused before more is made of it, and prompts stay within their limits."""

import tracemalloc
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from anabranch import bounds
from anabranch.serving.protocol import ChatRequest, PlansRequest
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json, search
from tests.serving import live
from tests.serving.conftest import Serve

USER: Any = {"role": "user", "content": "Why?"}
MOST = bounds.MAX_LISTED_CHARS + bounds.MAX_EVIDENCE_CHARS + bounds.MAX_UNDERSTOOD_CHARS
WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "anabranch", "messages": [USER], **fields}


def call(**fields: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}, **fields}


TOO_MUCH: dict[str, tuple[type[BaseModel], Any]] = {
    "no messages": (ChatRequest, chat(messages=[1] * 300_000)),
    "halves of messages": (ChatRequest, chat(messages=[{"role": "user"}] * 50_000)),
    "messages": (ChatRequest, chat(messages=[USER] * 20_000)),
    "parts": (ChatRequest, chat(messages=[{"role": "user", "content": [{}] * 300_000}])),
    "messages of parts": (ChatRequest, chat(messages=[{"role": "user", "content": [{}] * 900}] * 300)),
    "calls": (ChatRequest, chat(messages=[USER, {"role": "assistant", "tool_calls": [{}] * 300_000}])),
    "tools": (ChatRequest, chat(tools=[{}] * 300_000)),
    "a tool's description": (
        ChatRequest,
        chat(tools=[{"type": "function", "function": {"name": "a", "description": "word " * 100_000}}]),
    ),
    "a tool's parameters": (
        ChatRequest,
        chat(tools=[{"type": "function", "function": {"name": "a", "parameters": {"x-y": ["z"] * 200_000}}}]),
    ),
    "asked": (PlansRequest, {"question": "q?", "asked": [{}] * 300_000}),
    "answers": (PlansRequest, {"question": "q?", "answers": [{}] * 300_000}),
    "an asked text": (PlansRequest, {"question": "q?", "asked": [{"id": 1, "text": "x" * 100_000}]}),
}


@pytest.mark.parametrize(("kind", "body"), TOO_MUCH.values(), ids=list(TOO_MUCH))
def test_bodies_of_too_many_things_are_refused_at_the_first(kind: type[BaseModel], body: Any) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValidationError) as refused:
            kind.model_validate(body)
        assert refused.value.error_count() <= 2_000
        assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    finally:
        tracemalloc.stop()


def test_fields_that_nobody_reads_do_no_harm() -> None:
    request = ChatRequest.model_validate(chat(user="u" * 200_000, metadata={"a": "b" * 200_000}))
    assert len(request.model_dump_json()) < 2_000


@pytest.mark.parametrize(
    "part", [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500_001}}, {"type": "file"}]
)
def test_images_and_files_are_refused_without_being_shown_again(part: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        ChatRequest.model_validate(chat(messages=[{"role": "user", "content": [part]}]))
    assert all(len(str(error["msg"])) < 300 for error in refused.value.errors())


@pytest.mark.loopback
@pytest.mark.enable_socket
class TestOverHttp:
    def test_the_plan_that_took_a_server_down(self, serve: Serve) -> None:
        """A plan that refers 3,000 times to an answer of 700 kB."""
        deciding = ScriptedChatModel(script=live.always(plan_json()))
        url = serve(live.parts(deciding))
        asked = [{"id": 1, "text": "a?"}, {"id": 2, "text": "{1}" * 3_000, "depends_on": [1]}]
        body = {"question": "q?", "asked": asked, "answers": [{"id": 1, "text": "b" * 700_000}]}
        tracemalloc.start()
        try:
            assert httpx.post(f"{url}/v1/plans", json=body, timeout=30).status_code == 200
            assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
        finally:
            tracemalloc.stop()
        assert max(map(len, deciding.prompts)) <= MOST

    def test_results_and_answers_of_any_size_in_a_tool_turn(self, serve: Serve) -> None:
        plan = plan_json(("weather", "Warm?", []), ("solve", "{1}" * 3_000, [1]), ("weather", "And {1}?", [1]))
        solving = ScriptedChatModel(script=lambda prompt: "{}" if "JSON schema" in prompt else prompt[-300_000:] * 3)
        url = f"{serve(live.parts(plan, solving, [search]))}/v1/chat/completions"
        messages = [USER]
        for _ in range(2):
            reply = httpx.post(url, json=chat(messages=messages, tools=[WEATHER]), timeout=60).json()
            message = reply["choices"][0]["message"]
            assert message["content"] is None
            results = [
                {"role": "tool", "tool_call_id": each["id"], "content": "warm " * 150_000}
                for each in message["tool_calls"]
            ]
            messages = [USER, message, *results]
        assert max(map(len, solving.prompts)) <= MOST

    def test_calls_of_another_model_with_results_of_any_size(self, serve: Serve) -> None:
        solving = ScriptedChatModel(script=lambda prompt: "echo " * 100_000)
        url = f"{serve(live.parts(plan_json(), solving, [search]))}/v1/chat/completions"
        calls = [call(id=f"x{n}", function={"name": "weather", "arguments": "9" * 100_000}) for n in range(4)]
        results = [{"role": "tool", "tool_call_id": each["id"], "content": "warm " * 20_000} for each in calls]
        messages = [USER, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
        reply = httpx.post(url, json=chat(messages=messages, tools=[WEATHER]), timeout=60)
        assert reply.status_code == 200, reply.text
        assert max(map(len, solving.prompts)) <= MOST
