"""What clients are told of replies that a model server ends early."""

import json
from typing import Any

import httpx
import pytest

from anabranch.agents.models import resolve_model
from anabranch.config import Budget
from tests.fakes import ScriptedChatModel
from tests.openai_server import OpenAIServer, Raw, Reply
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
CHAT: dict[str, Any] = {
    "model": "anabranch",
    "messages": [{"role": "user", "content": live.QUESTION}],
    "anabranch": {"include_plan": True},
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


TEXT = chunk(role="assistant", content="Craig ") + chunk(content="Newmark")
ENDS = {
    "whole": (TEXT + chunk("stop") + b"data: [DONE]\n\n", "stop", "answered"),
    "broken off": (TEXT, "length", "partial"),
    "within a line": (TEXT + b'data: {"id"', "length", "partial"),
    "length": (TEXT + chunk("length") + b"data: [DONE]\n\n", "length", "partial"),
    "filtered": (TEXT + chunk("content_filter") + b"data: [DONE]\n\n", "content_filter", "refused"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_a_stream_says_how_the_answer_ended(kind: str, serve: Serve) -> None:
    body, finish, status = ENDS[kind]
    with OpenAIServer(lambda _: Raw(HEAD + body)) as server:
        url = serve(live.parts('{"sub_questions": []}', resolve_model(f"{server.url}#m").chat))
        reply = httpx.post(f"{url}/v1/chat/completions", json=CHAT | {"stream": True}, timeout=20)
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in event["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Craig Newmark"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == [finish]
    assert next(e["anabranch"] for e in events if e.get("anabranch", {}).get("type") == "outcome")["status"] == status
    assert reply.text.endswith("data: [DONE]\n\n")


def test_a_stream_whose_server_fails_ends_with_an_error(serve: Serve) -> None:
    body = TEXT + b'data: {"error": {"message": "sk-secret-key is out of memory"}}\n\n'
    with OpenAIServer(lambda _: Raw(HEAD + body)) as server:
        url = serve(live.parts('{"sub_questions": []}', resolve_model(f"{server.url}#m").chat))
        reply = httpx.post(f"{url}/v1/chat/completions", json=CHAT | {"stream": True}, timeout=20)
    assert '"error"' in reply.text
    assert "sk-secret" not in reply.text
    assert "[DONE]" not in reply.text


def test_an_answer_that_a_deadline_ends_is_a_part(serve: Serve) -> None:
    endless = ScriptedChatModel(script=lambda _prompt: "on and " * 5000, word_delay=0.01)
    url = serve(live.parts('{"sub_questions": []}', endless, budget=Budget(max_seconds=1.5)))
    for stream in (False, True):
        reply = httpx.post(f"{url}/v1/chat/completions", json=CHAT | {"stream": stream}, timeout=20)
        assert reply.status_code == 200
        assert '"finish_reason": "length"' in reply.text or '"finish_reason":"length"' in reply.text
        assert '"content": "on' in reply.text or '"content":"on' in reply.text


ECHO = {"error": {"message": "Incorrect API key provided: sk-secret-key", "type": "x", "code": "invalid_api_key"}}


@pytest.mark.parametrize("status", [401, 404, 500])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/plans"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_server_says_of_an_error_does_not_reach_clients(
    status: int, path: str, stream: bool, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_API_KEY", "sk-secret-key")

    def script(_: dict[str, Any]) -> Reply:
        return (status, ECHO)

    with OpenAIServer(script) as server:
        chat: Any = resolve_model(f"{server.url}#m").chat
        chat.max_retries = 0
        url = serve(live.parts(chat, chat))
        body = {**CHAT, "stream": stream} if "chat" in path else {"question": live.QUESTION, "stream": stream}
        reply = httpx.post(url + path, json=body, timeout=20)
    assert '"error"' in reply.text
    assert "sk-" not in reply.text
    assert "Incorrect" not in reply.text
