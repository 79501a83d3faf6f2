"""Requests that will not do, and models that will not do: a status, OpenAI's error body, and no harm done."""

import asyncio
import json
import socket
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.serving.door import DoorRules
from anabranch.serving.options import Limits
from anabranch.serving.service import Service
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json
from tests.openai_server import OpenAIServer
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

USER = {"role": "user", "content": "Why is it so?"}
CHAT: dict[str, Any] = {"model": "anabranch", "messages": [USER]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
PLANS: dict[str, Any] = {"question": "Why is it so?"}


def tool(**function: Any) -> dict[str, Any]:
    return {**CHAT, "tools": [{"type": "function", "function": {"name": "look", **function}}]}


BAD_CHATS: dict[str, tuple[Any, int, str]] = {
    "not an object": ([], 400, "valid dictionary"),
    "no messages": ({"model": "anabranch"}, 400, "messages: Field required"),
    "no model": ({"messages": [USER]}, 400, "model: Field required"),
    "unknown model": ({**CHAT, "model": "gpt-9"}, 404, "there is no model 'gpt-9'; use anabranch"),
    "empty messages": ({**CHAT, "messages": []}, 400, "messages"),
    "messages of another type": ({**CHAT, "messages": "hello"}, 400, "messages"),
    "unknown role": ({**CHAT, "messages": [{"role": "boss", "content": "x"}]}, 400, "messages.0"),
    "no role": ({**CHAT, "messages": [{"content": "x"}]}, 400, "messages.0"),
    "no content": ({**CHAT, "messages": [{"role": "user"}]}, 400, "content"),
    "content of another type": ({**CHAT, "messages": [{"role": "user", "content": 3}]}, 400, "content"),
    "an image": (
        {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        400,
        "content",
    ),
    "empty question": ({**CHAT, "messages": [{"role": "user", "content": " \n"}]}, 400, "the question is empty"),
    "no parts": ({**CHAT, "messages": [{"role": "user", "content": []}]}, 400, "the question is empty"),
    "huge question": ({**CHAT, "messages": [{"role": "user", "content": "x" * 30_000}]}, 400, "30,000 characters"),
    "only a system message": ({**CHAT, "messages": [{"role": "system", "content": "x"}]}, 400, "the last message must"),
    "nothing asked": (
        {**CHAT, "messages": [USER, {"role": "assistant", "content": "x"}]},
        400,
        "the last message must",
    ),
    "a result of nothing": (
        {**CHAT, "messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
        400,
        "must follow the assistant message",
    ),
    "two choices": ({**CHAT, "n": 2}, 400, "n:"),
    "a bad tool name": (tool(name="rm -rf"), 400, "name"),
    "a tool named solve": (tool(name="solve"), 400, "cannot be a route"),
    "two tools of a name": ({**CHAT, "tools": [TOOL, TOOL]}, 400, "two tools are named"),
    "too many tools": ({**CHAT, "tools": [TOOL] * 200}, 400, "tools"),
    "parameters that are no object": (tool(parameters={"type": "array"}), 400, "must be the JSON schema of an object"),
    "properties that are no schemas": (tool(parameters={"properties": {"a": 5}}), 400, "must map names"),
    "required that is not there": (tool(parameters={"required": ["b"]}), 400, "must list names"),
}

BAD_PLANS: dict[str, tuple[Any, int, str]] = {
    "no question": ({}, 400, "question: Field required"),
    "empty question": ({"question": ""}, 400, "the question is empty"),
    "huge question": ({"question": "x" * 30_000}, 400, "30,000 characters"),
    "unknown mode": ({**PLANS, "mode": "quick"}, 400, "mode"),
    "no sub-questions": ({**PLANS, "max_sub_questions": 0}, 400, "max_sub_questions"),
    "too many sub-questions": ({**PLANS, "max_sub_questions": 10_000}, 400, "max_sub_questions"),
    "a circle": (
        {**PLANS, "asked": [{"id": 1, "text": "a {2}", "depends_on": []}, {"id": 2, "text": "b {1}"}]},
        400,
        "sub-question",
    ),
    "an id twice": ({**PLANS, "asked": [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}]}, 400, "sub-question 1"),
    "another field": ({**PLANS, "asked": [{"id": 1, "text": "a", "answer": "b"}]}, 400, "answer"),
    "a tool without a name": ({**PLANS, "tools": [{"description": "x"}]}, 400, "tools.0.name"),
}


def check_error(reply: httpx.Response, status: int, message: str) -> None:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert message in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) < 500


@pytest.fixture(scope="module")
def url() -> Any:
    from anabranch.serving.app import create_app

    with live.running(create_app(Service(live.parts()))) as address:
        yield address


@pytest.mark.parametrize("name", BAD_CHATS)
def test_bad_chats(url: str, name: str) -> None:
    body, status, message = BAD_CHATS[name]
    content = json.dumps(body).encode()
    for stream in (False, True):
        if stream and isinstance(body, dict):
            content = json.dumps({**body, "stream": True}).encode()
        reply = httpx.post(f"{url}/v1/chat/completions", content=content, headers={"Content-Type": "application/json"})
        check_error(reply, status, message)


@pytest.mark.parametrize("name", BAD_PLANS)
def test_bad_plans(url: str, name: str) -> None:
    body, status, message = BAD_PLANS[name]
    check_error(httpx.post(f"{url}/v1/plans", json=body), status, message)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"question": "x"', b"null", b'{"question": 1e999}']
)
def test_bodies_that_are_not_json(url: str, content: bytes) -> None:
    reply = httpx.post(f"{url}/v1/plans", content=content, headers={"Content-Type": "application/json"})
    check_error(reply, 400, "")


@pytest.mark.parametrize("depth", [10, 70, *range(800, 1000, 9)])
def test_deep_nesting(url: str, depth: int) -> None:
    """Around the depth at which Python's own JSON gives up."""
    deep = "[" * depth + "]" * depth
    content = (
        f'{{"question": "Why?", "anything": {deep}, "tools": [{{"name": "search", "parameters": {{"x": {deep}}}}}]}}'
    )
    reply = httpx.post(f"{url}/v1/plans", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code in (200, 400), reply.text


def test_other_paths_and_methods(url: str) -> None:
    check_error(httpx.get(f"{url}/v1/nothing"), 404, "")
    check_error(httpx.get(f"{url}/v1/chat/completions"), 405, "")
    check_error(httpx.get(f"{url}/v1/models/gpt-9"), 404, "there is no model 'gpt-9'")
    check_error(httpx.post(f"{url}/v1/plans", content=b"question=x"), 400, "")


def test_what_openai_has_and_we_do_not_is_ignored(url: str) -> None:
    extra = {"temperature": 3, "logit_bias": {"1": 2}, "store": True, "nonsense": [1, 2], "stop": ["x"], "tools": []}
    reply = httpx.post(f"{url}/v1/chat/completions", json={**CHAT, **extra})
    assert reply.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(serve: Serve, chunked: bool) -> None:
    service = Service(live.parts())
    url = serve(service=service, rules=DoorRules(max_body=10_000))
    body = json.dumps({**PLANS, "feedback": "x" * 100_000}).encode()
    pieces = (body[place : place + 1000] for place in range(0, len(body), 1000))
    reply = httpx.post(f"{url}/v1/plans", content=pieces if chunked else body)
    check_error(reply, 413, "larger than 10,000 bytes")
    assert b'anabranch_refusals_total{reason="size"} 1.0' in service.metrics.text()


def test_a_body_that_lies_about_its_length(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1/plans HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n{}")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_never_comes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anabranch.serving.door.BODY_SECONDS", 0.2)
    host, port = serve().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1/plans HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def openai_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_hangs(serve: Serve, stream: bool) -> None:
    hanging = ScriptedChatModel(script=live.always("x"), delay=1000)
    service = Service(live.parts(plan_json(("search", "a?", [])), hanging), Limits(timeout=3))
    client = openai_of(serve(service=service))
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="anabranch", messages=[USER], stream=stream)  # type: ignore[list-item]
    assert (failed.value.status_code, failed.value.code) == (504, "timeout")
    live.wait_until(lambda: hanging.cancelled and not service.slots.running)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/plans"])
def test_a_model_that_dies(serve: Serve, path: str) -> None:
    with OpenAIServer(lambda _: "Answer: 4") as server:
        chat = ChatOpenAI(model="m", base_url=server.url, api_key=SecretStr("k"), max_retries=0)
        url = serve(live.parts(chat, chat))
        assert httpx.post(f"{url}/v1/chat/completions", json=CHAT).status_code == 200
        assert httpx.get(f"{url}/health").json() == {
            "status": "ok",
            "models": {"decomposer": "ready", "solver": "ready"},
        }
    reply = httpx.post(f"{url}{path}", json=CHAT | PLANS)
    check_error(reply, 503, "ConnectionError: Connection error.")
    assert reply.json()["error"]["code"] == "model_unavailable"


def test_health_tells_that_a_model_is_away(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anabranch.serving.health.KEEP_SECONDS", 0.0)
    with OpenAIServer(lambda _: "x") as server:
        chat = ChatOpenAI(model="m", base_url=server.url, api_key=SecretStr("k"))
        url = serve(live.parts(solver=chat))
        assert httpx.get(f"{url}/health").json()["models"] == {"decomposer": "unknown", "solver": "ready"}
    reply = httpx.get(f"{url}/health")
    assert (reply.status_code, reply.json()["status"]) == (503, "unready")
    assert httpx.get(f"{url}/health/live").status_code == 200


@pytest.mark.parametrize("rubbish", [(200, "<html>"), (200, {"choices": []}), (200, {}), (500, "oops"), (418, "tea")])
def test_a_model_server_that_talks_rubbish(serve: Serve, rubbish: tuple[int, Any]) -> None:
    with OpenAIServer(lambda _: rubbish) as server:
        chat = ChatOpenAI(model="m", base_url=server.url, api_key=SecretStr("k"), max_retries=0)
        url = serve(live.parts(solver=chat))
        reply = httpx.post(f"{url}/v1/chat/completions", json=CHAT)
        check_error(reply, 503, "the solver model failed")


def test_a_model_that_says_nothing(serve: Serve) -> None:
    url = serve(live.parts(json.dumps({"sub_questions": []}), live.always("")))
    check_error(httpx.post(f"{url}/v1/chat/completions", json=CHAT), 502, "reply was empty")


def test_a_decomposer_that_talks_rubbish_costs_the_plan_and_not_the_answer(serve: Serve) -> None:
    url = serve(live.parts(live.always("no plan today"), live.always("Answer: 4")))
    reply = httpx.post(f"{url}/v1/chat/completions", json={**CHAT, "anabranch": {"include_plan": True}}).json()
    assert reply["choices"][0]["message"]["content"] == "4"
    assert reply["anabranch"]["plan"] == {"sub_questions": []}


def test_an_error_nobody_foresaw_is_not_told(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Service):
        def plan(self, request: Any) -> Any:
            raise KeyError("SECRET in " + request.question)

    reply = httpx.post(f"{serve(service=Broken(live.parts()))}/v1/plans", json=PLANS)
    check_error(reply, 500, "the server failed")
    record = next(record for record in caplog.records if record.message == "unforeseen")
    assert record.__dict__["fields"]["error"] == "KeyError"
    assert "SECRET" not in caplog.text + str([record.__dict__ for record in caplog.records])
    assert "Why is it so" not in caplog.text


async def test_a_full_queue_refuses(serve: Serve) -> None:
    slow = ScriptedChatModel(script=live.always("Answer: 4"), delay=0.5)
    service = Service(live.parts(json.dumps({"sub_questions": []}), slow), Limits(max_concurrency=1, max_queue=2))
    url = serve(service=service)
    async with httpx.AsyncClient(timeout=30) as client:
        replies = await asyncio.gather(*(client.post(f"{url}/v1/chat/completions", json=CHAT) for _ in range(8)))
    served = [reply for reply in replies if reply.status_code == 200]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert (len(served), len(refused)) == (3, 5)
    for reply in refused:
        check_error(reply, 429, "too many questions are waiting")
        assert int(reply.headers["retry-after"]) >= 1
    assert b'anabranch_refusals_total{reason="queue"} 5.0' in service.metrics.text()
