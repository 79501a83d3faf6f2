"""What servers send in other forms than OpenAI."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import SecretStr

from anabranch.agents.endpoint import EndpointChatModel
from anabranch.agents.models import RoleModel, call, resolve_model
from anabranch.agents.structured import call_for_json
from anabranch.agents.wire import can_chat, error_status, object_text, put_right, refusal_in
from anabranch.errors import ConfigurationError, EndpointError
from tests.openai_server import OpenAIServer, prompt_of

PROMPT = [HumanMessage("Q?")]
LOADING = {"error": {"message": "the weights are on their way", "code": 400}}


@pytest.mark.parametrize(
    "name",
    [
        "text-embedding-3-small",
        "text-embedding-nomic-embed-text-v1.5",
        "Qwen/Qwen3-Embedding-0.6B",
        "BAAI/bge-m3",
        "intfloat/e5-mistral-7b-instruct",
        "jina-reranker-v2",
        "openai/whisper-large-v3",
        "tts-1",
        "kokoro-82m",
        "stable-diffusion-xl",
        "omni-moderation-latest",
    ],
)
def test_models_that_do_not_chat(name: str) -> None:
    assert not can_chat({"id": name})


@pytest.mark.parametrize(
    "name",
    ["qwen2.5-7b-instruct", "gpt-5-mini", "meta-llama/Llama-3.1-8B", "decomposer-1.5b", "gemma-3n-e4b", "m", "best"],
)
def test_models_that_chat(name: str) -> None:
    assert can_chat({"id": name, "object": "model"})


def test_a_type_that_the_server_gives_counts() -> None:
    assert not can_chat({"id": "some/thing", "type": "rerank"})
    assert can_chat({"id": "some/thing", "type": "chat"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "m", "code": 503}}, 503),
        ({"error": {"message": "m", "code": "429"}}, 429),
        ({"error": {"message": "m", "code": "overloaded"}}, 500),
        ({"error": "m"}, 500),
        ({"object": "error", "message": "m", "code": 404}, 404),
        ({"detail": "m"}, 500),
        ({"error": "m", "choices": None}, 500),
        ({"error": None, "choices": []}, None),
        ({"error": None}, None),
        ({"choices": [{"message": {"content": '{"error": 1}'}}]}, None),
        (["error"], None),
    ],
    ids=str,
)
def test_the_status_of_an_error(body: Any, status: int | None) -> None:
    assert error_status(json.dumps(body).encode()) == status


@given(st.binary())
def test_any_body_can_be_looked_at(body: bytes) -> None:
    assert error_status(body + b'"error"') in (None, 500)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"a": 1}', {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        (json.dumps(json.dumps(json.dumps({"a": 1}))), {"a": 1}),
        ("null", {}),
        ("[1, 2]", None),
        ('"hello"', None),
        ("{", None),
    ],
)
def test_the_text_of_an_object(written: str, read: Any) -> None:
    text = object_text(written)
    if read is None:
        with pytest.raises(ValueError):  # noqa: PT011
            json.loads(text)
    else:
        assert json.loads(text) == read


def reply(call: dict[str, Any], part: str = "message") -> dict[str, Any]:
    return {"choices": [{part: {"role": "assistant", "tool_calls": [call]}}]}


def test_a_whole_call_is_put_right() -> None:
    loose = reply({"id": 7, "type": "function", "function": {"name": None, "arguments": {"a": 1}}})
    (call,) = put_right(loose)["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "7", "type": "function", "function": {"name": "", "arguments": '{"a": 1}'}}


def test_a_part_of_a_call_is_left_a_part() -> None:
    (call,) = put_right(reply({"function": {"arguments": '"{'}}, "delta"))["choices"][0]["delta"]["tool_calls"]
    assert call == {"index": None, "function": {"arguments": '"{', "name": None}}


@pytest.mark.parametrize(
    "strange",
    [
        {"choices": {"index": 0}},
        {"choices": ["a"]},
        {"choices": 7},
        {"choices": [{"message": "a"}]},
        {"choices": [{"delta": ["a"]}]},
        {"choices": [{"delta": {"tool_calls": ["a"]}}]},
        {"choices": [{"message": {"tool_calls": [{"function": "f"}]}}]},
    ],
)
def test_replies_of_another_form_are_refused_with_a_reason(strange: dict[str, Any]) -> None:
    assert refusal_in(strange) == ""
    with pytest.raises(ValueError, match="another form than OpenAI's"):
        put_right(strange)


# Over HTTP


def quick(address: str) -> RoleModel:
    """A served model that is asked only once."""
    return RoleModel(EndpointChatModel(model="m", base_url=address, api_key=SecretStr("k"), max_retries=0))


def completion(*choices: Any) -> tuple[int, Any]:
    return 200, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [*choices]}


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": "four"}},
        {"message": {"role": "model", "content": "four"}},
        {"text": "four"},
        {"message": {"role": "assistant", "content": [{"type": "text", "text": "four"}]}},
    ],
    ids=str,
)
async def test_replies_in_other_forms(choice: Any) -> None:
    with OpenAIServer(lambda _: completion(choice)) as server:
        assert (await call(quick(server.url), PROMPT, role="solver")).text == "four"


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, {"error": "no room"}), "no room"),
        ((400, {"error": "no room"}), "no room"),
        ((422, {"detail": [{"msg": "no room"}]}), "no room"),
        (completion(), "nothing in the server's reply"),
        ((200, "<html>no room</html>"), "(?s)."),
    ],
    ids=str,
)
@pytest.mark.parametrize("reading", [None, "whole"])
async def test_the_words_of_odd_errors(reply: Any, words: str, reading: Any) -> None:
    with OpenAIServer(lambda _: reply) as server:
        model = quick(server.url)
        with pytest.raises(EndpointError, match=words):
            await call(model, PROMPT, role="solver", reading=reading)


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_server_that_does_not_stream() -> None:
    whole = completion({"message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"})
    with OpenAIServer(lambda _: whole) as server:
        parts = [part async for part in quick(server.url).chat.astream(PROMPT)]
    assert "".join(str(part.text) for part in parts) == "four"


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("status", [400, 500])
async def test_a_server_whose_template_takes_no_system_message_gets_none_from_then_on(status: int) -> None:
    def script(request: dict[str, Any]) -> Any:
        if any(message["role"] == "system" for message in request["messages"]):
            return status, {"error": {"message": "System role not supported"}}
        return prompt_of(request)

    with OpenAIServer(script) as server:
        model = quick(server.url)
        prompt = [SystemMessage("Be brief."), *PROMPT]
        assert (await call(model, prompt, role="solver")).text == "user: Be brief.\n\nQ?"
        asked = len(server.requests)
        await call(model, prompt, role="solver")
        assert len(server.requests) == asked + 1


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_server_whose_conversations_must_begin_with_the_user() -> None:
    def script(request: dict[str, Any]) -> Any:
        roles = [message["role"] for message in request["messages"] if message["role"] != "system"]
        if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
            return 400, {"error": {"message": "Conversation roles must alternate user/assistant/user/..."}}
        return "fine"

    with OpenAIServer(script) as server:
        prompt = [SystemMessage("Be brief."), AIMessage("Hello!"), *PROMPT]
        assert (await call(quick(server.url), prompt, role="solver")).text == "fine"


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_list_of_models_in_another_form() -> None:
    with OpenAIServer(lambda _: "a") as server:
        server.listed = [{"id": "m1", "type": "embedding"}, {"id": "m2", "type": "chat"}]
        assert resolve_model(server.url).chat.model_name == "m2"  # type: ignore[attr-defined]


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_chat_model_is_taken_or_one_is_to_be_named() -> None:
    with OpenAIServer(lambda _: "a", models=("nomic-embed-text", "whisper-1", "good-chat")) as server:
        assert resolve_model(server.url).chat.model_name == "good-chat"  # type: ignore[attr-defined]
    with OpenAIServer(lambda _: "a", models=("nomic-embed-text",)) as server:
        with pytest.raises(ConfigurationError, match=r"name one: http.*#MODEL"):
            resolve_model(server.url)
        assert resolve_model(f"{server.url}#nomic-embed-text")


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_an_error_with_status_200_is_told_in_its_own_words() -> None:
    with OpenAIServer(lambda _: (200, LOADING)) as server:
        model = quick(server.url)
        with pytest.raises(EndpointError, match="the weights are on their way"):
            await call(model, PROMPT, role="solver")
        with pytest.raises(EndpointError, match="the weights are on their way"):
            await call_for_json(model, PROMPT, {"title": "x", "type": "object"}, role="solver")
        with pytest.raises(Exception, match="the weights are on their way"):
            await anext(model.chat.astream(PROMPT))


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("streamed", [False, True])
async def test_loose_tool_calls_over_http(streamed: bool) -> None:
    calls = [
        # Of chunks, the client itself warns where they have other types.
        {"id": "7" if streamed else 7, "function": {"name": "t", "arguments": '{"a": 1}' if streamed else {"a": 1}}},
        {"id": None, "function": {"name": "t", "arguments": '"{\\"a\\": 2}"'}},
        {"id": "x", "function": {"name": "t", "arguments": "[3]"}},
    ]
    with OpenAIServer(lambda _: {"tool_calls": calls, "finish_reason": "tool_calls"}) as server:
        chat = quick(server.url).chat
        message: Any = None
        if streamed:
            async for part in chat.astream(PROMPT):
                message = part if message is None else message + part
        else:
            message = await chat.ainvoke(PROMPT)
    found = [*message.tool_calls, *message.invalid_tool_calls]
    assert len(found) == len(calls)
    assert found[0]["args"] == {"a": 1}
    assert streamed or found[0]["id"] == "7"
