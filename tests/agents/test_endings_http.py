"""Replies that end in all the ways in which servers end them: told alike, streamed or not, by whatever client."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.decomposer import JsonDecomposer, PlanRequest, decompose
from anabranch.agents.models import RoleModel, call, resolve_model
from anabranch.agents.reply import Ending, ending
from anabranch.agents.solver import solve
from anabranch.agents.structured import call_for_json
from anabranch.errors import EndpointError, ReplyError
from anabranch.graphs.planner import create_planner
from anabranch.plan import Plan
from tests.fakes import ScriptedChatModel
from tests.openai_server import OpenAIServer, Raw, Reply

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
PROMPT = [HumanMessage("Who opened the mill?")]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunk(finish: str | None = None, *, index: int = 0, **delta: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


def events(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)


TWO = (chunk(role="assistant", content="It was "), chunk(content="Ida."))
TEXT = events(*TWO)
USAGE = events({**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
STREAMS: dict[str, tuple[bytes, Ending, str]] = {
    "all": (TEXT + events(chunk("stop")) + DONE, "whole", "It was Ida."),
    "usage last": (TEXT + events(chunk("stop")) + USAGE + DONE, "whole", "It was Ida."),
    "a reason, but not [DONE]": (TEXT + events(chunk("stop")), "whole", "It was Ida."),
    "[DONE], but no reason": (TEXT + DONE, "whole", "It was Ida."),
    "[DONE] without a space": (TEXT + b"data:[DONE]\n\n", "whole", "It was Ida."),
    "an empty reason": (TEXT + events(chunk("")) + DONE, "whole", "It was Ida."),
    "the reason twice": (TEXT + events(chunk("stop"), chunk("stop")) + DONE, "whole", "It was Ida."),
    "neither": (TEXT, "cut", "It was Ida."),
    "neither, with usage": (TEXT + USAGE, "cut", "It was Ida."),
    "[DONE] in the text": (
        TEXT + events(chunk(content=" data: [DONE]")),
        "cut",
        "It was Ida. data: [DONE]",
    ),
    "within a line": (TEXT + b'data: {"id": "x', "cut", "It was Ida."),
    "within the text": (TEXT[:-20], "cut", "It was"),
    "length": (TEXT + events(chunk("length")) + USAGE + DONE, "cut", "It was Ida."),
    "length twice": (TEXT + events(chunk("length"), chunk("length")) + DONE, "cut", "It was Ida."),
    "content_filter": (TEXT + events(chunk("content_filter")) + DONE, "refused", "It was Ida."),
    "content_filter and nothing": (events(chunk("content_filter", role="assistant")) + DONE, "refused", ""),
    "nothing": (events(chunk(role="assistant", content=""), chunk("stop")) + DONE, "empty", ""),
    "calls": (events(chunk(role="assistant", tool_calls=[CALL]), chunk("tool_calls")) + DONE, "whole", ""),
}
ONLY_OURS: dict[str, tuple[bytes, Ending, str]] = {
    "refusal": (events(chunk(refusal="I can"), chunk(refusal="not."), chunk("stop")) + DONE, "refused", ""),
    "two choices": (
        events(TWO[0], chunk(index=1, content="No "), TWO[1], chunk(index=1, content="way"))
        + events(chunk("stop", index=1), chunk("stop"))
        + DONE,
        "whole",
        "It was Ida.",
    ),
    "no stream": (DONE, "whole", "at once"),
    "another page": (b"<html>Welcome</html>", "whole", "at once"),
}
REASONS: dict[str, Ending] = {
    **dict.fromkeys(["eos_token", "stop_sequence", "end_turn", "COMPLETE", "function_call", "something new"], "whole"),
    **dict.fromkeys(["max_tokens", "MAX_TOKENS", "max_output_tokens", "abort", "error", "model_length"], "cut"),
    **dict.fromkeys(["refusal", "SAFETY", "sensitive"], "refused"),
}
FAILURES = {
    "error": (TEXT + events({"error": {"message": "out of memory"}}) + DONE, "out of memory"),
    "error as a text": (TEXT + events({"error": "out of memory", "error_type": "generation"}) + DONE, "out of memory"),
    "error at once": (events({"error": {"message": "out of memory", "code": 500}}) + DONE, "out of memory"),
    "nonsense": (TEXT + b"data: {\n\n" + DONE, "JSONDecodeError"),
}
OUR_FAILURES = {
    "object": (TEXT + events({"object": "error", "message": "out of memory"}) + DONE, "out of memory"),
    "event": (TEXT + b"event: error\n" + events({"detail": "out of memory"}) + DONE, "out of memory"),
}


def served(server: OpenAIServer, client: str) -> RoleModel:
    if client == "theirs":
        options: dict[str, Any] = {"max_retries": 0, "timeout": 5, "stream_usage": True}
        return RoleModel(ChatOpenAI(model="m", base_url=server.url, api_key=SecretStr("k"), **options))
    model = resolve_model(f"{server.url}#m")
    model.chat.max_retries = 0  # type: ignore[attr-defined]
    return model


async def streamed(body: bytes, client: str, *, reset: bool = False) -> AIMessage:
    def script(request: dict[str, Any]) -> Reply:
        if not request.get("stream"):
            return "at once"
        if reset:  # where nothing but the connection says how long it is, an end is an end
            return Raw(HEAD.strip() + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b" % (len(body) + 9, body), reset)
        return Raw(HEAD + body)

    with OpenAIServer(script) as server:
        model = served(server, client)
        try:
            return await call(model, PROMPT, role="solver", reading="whole", runnable=model.chat.bind(stream=True))
        finally:
            await close(model)


async def close(model: RoleModel) -> None:
    if closing := getattr(model.chat, "aclose", None):
        await closing()


THEIRS = ("all", "neither", "[DONE], but no reason", "within the text", "length twice", "content_filter", "nothing")


@pytest.mark.parametrize(
    ("kind", "client"), [(kind, "ours") for kind in STREAMS] + [(kind, "theirs") for kind in THEIRS]
)
async def test_how_a_stream_ended(kind: str, client: str) -> None:
    body, how, text = STREAMS[kind]
    if client == "theirs" and kind == "[DONE], but no reason":
        how = "cut"  # it does not tell them from those that were broken off
    message = await streamed(body, client)
    assert (ending(message), message.text) == (how, text)


@pytest.mark.parametrize("kind", ONLY_OURS)
async def test_how_a_stream_ended_that_only_our_client_reads(kind: str) -> None:
    body, how, text = ONLY_OURS[kind]
    message = await streamed(body, "ours")
    assert (ending(message), message.text) == (how, text)
    assert (message.additional_kwargs.get("refusal") == "I cannot.") == (kind == "refusal")


@pytest.mark.parametrize("reason", REASONS)
async def test_reasons_in_the_words_of_other_servers(reason: str) -> None:
    assert ending(await streamed(TEXT + events(chunk(reason)) + DONE, "ours")) == REASONS[reason]
    with OpenAIServer(lambda _: {"content": "It was Ida.", "finish_reason": reason}) as server:
        model = served(server, "ours")
        assert ending(await call(model, PROMPT, role="solver")) == REASONS[reason]


@pytest.mark.parametrize(
    ("kind", "client"),
    [(kind, "ours") for kind in [*FAILURES, *OUR_FAILURES]] + [("error", "theirs"), ("nonsense", "theirs")],
)
async def test_an_error_in_a_stream_is_told(kind: str, client: str) -> None:
    body, told = {**FAILURES, **OUR_FAILURES}[kind]
    with pytest.raises(EndpointError, match=told):
        await streamed(body, client)


@pytest.mark.parametrize("client", ["ours", "theirs"])
async def test_a_connection_that_is_reset_is_an_error(client: str) -> None:
    with pytest.raises(EndpointError, match="check the address and that the server is up"):
        await streamed(TEXT, client, reset=True)


# What follows from it


def json_reply(text: str, reason: str, *, stream: bool) -> Reply:
    if stream:
        return Raw(HEAD + events(chunk(role="assistant", content=text), chunk(reason)) + USAGE + DONE)
    return {"content": text, "finish_reason": reason}


SCHEMA = {"title": "x", "type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize("client", ["ours", "theirs"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("text", "reason", "how"),
    [
        ('{"a": {"a": "b"}, "b": "c', "length", "cut"),
        ("", "content_filter", "refused"),
        ("I cannot", "content_filter", "refused"),
        ("", "stop", "empty"),
        ('{"a": "b"}  \n  ', "length", None),
        ('{"a": "b"}', "stop", None),
    ],
)
async def test_json_that_is_not_whole_is_an_error(
    text: str, reason: str, how: str | None, stream: bool, client: str
) -> None:
    with OpenAIServer(lambda request: json_reply(text, reason, stream=bool(request.get("stream")))) as server:
        model = served(server, client)
        if stream:
            model.chat.streaming = True  # type: ignore[attr-defined]
        if how is None:
            assert (await call_for_json(model, PROMPT, SCHEMA, role="solver")).strip() == '{"a": "b"}'
        else:
            with pytest.raises(ReplyError) as caught:
                await call_for_json(model, PROMPT, SCHEMA, role="solver")
            assert caught.value.ending == how
        assert "response_format" in server.requests[0]
    assert len(server.requests) == 1


PLAN = '{"sub_questions": [{"id": 1, "text": "Who opened the mill?", "tool": "solve", "depends_on": []}]}'


@pytest.mark.parametrize("client", ["ours", "theirs"])
@pytest.mark.parametrize(("text", "reason"), [(PLAN[:-2], "length"), ("", "content_filter"), ("", "stop")])
async def test_a_plan_that_is_not_whole_is_asked_for_again(text: str, reason: str, client: str) -> None:
    replies = [json_reply(text, reason, stream=False), json_reply(PLAN, "stop", stream=False)]
    with OpenAIServer(lambda _: replies.pop(0)) as server:
        draft = await decompose(JsonDecomposer(served(server, client)), PlanRequest("Q?", ()))
    assert [question.text for question in draft.plan.sub_questions] == ["Who opened the mill?"]
    assert len(draft.problems) == 1


@pytest.mark.parametrize("kind", ["neither", "length", "content_filter"])
async def test_a_streamed_answer_that_is_not_whole_is_told_to_be_so(kind: str) -> None:
    body, how, text = STREAMS[kind]
    with OpenAIServer(lambda _: Raw(HEAD + body)) as server:
        model = served(server, "ours")
        planner = create_planner(decomposer=ScriptedChatModel(script=[]), solver=model, gate=lambda _: False)
        parts: Any = planner.astream({"messages": [("user", "Q?")]}, stream_mode=["messages", "values"])
        result: dict[str, Any] = {}
        async for mode, data in parts:
            result = data if mode == "values" else result
        await model.chat.aclose()  # type: ignore[attr-defined]
    assert server.requests[0]["stream"]
    assert result["answer"] == text
    assert result["status"] == ("partial" if how == "cut" else "refused")
    finish = result["messages"][-1].response_metadata["finish_reason"]
    assert finish == ("length" if how == "cut" else "content_filter")


async def test_a_call_that_was_cut_off_is_not_made() -> None:
    made: list[dict[str, Any]] = []

    @tool
    def note(text: str, count: int = 1) -> str:
        """Notes a text."""
        made.append({"text": text, "count": count})
        return "noted"

    cut = {**CALL, "function": {"name": "note", "arguments": '{"text": "the mill opened in'}}
    again = {**CALL, "function": {"name": "note", "arguments": '{"text": "1902"}'}}
    bodies = [
        events(chunk(role="assistant", tool_calls=[cut]), chunk("length")) + DONE,
        events(chunk(role="assistant", tool_calls=[again]), chunk("tool_calls")) + DONE,
        TEXT + events(chunk("stop")) + DONE,
    ]
    with OpenAIServer(lambda _: Raw(HEAD + bodies.pop(0))) as server:
        model = served(server, "ours")
        model.chat.profile = {"tool_calling": True}
        model.chat.streaming = True  # type: ignore[attr-defined]
        final = await solve(model, "Q?", Plan(), tools=[note])
    assert final.text == "It was Ida."
    assert made == [{"text": "1902", "count": 1}]
    assert "cut off" in server.prompts[1]
