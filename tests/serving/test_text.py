"""Text that is none, from clients and from models behind the server: every call gets a reply that can be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from anabranch.serving.door import DoorRules
from anabranch.serving.mcp import build_mcp, mcp_app
from anabranch.serving.service import Service
from tests.cli import scenario
from tests.cli.conftest import home, models, server  # noqa: F401 - fixtures
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.stdio import served
from tests.test_doors import BAD

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def chat(question: str = "Why?", *earlier: Any, **more: Any) -> dict[str, Any]:
    return {"model": "anabranch", "messages": [*earlier, {"role": "user", "content": question}], **more}


def bodies(bad: str) -> dict[str, tuple[str, dict[str, Any]]]:
    tool = {"name": "look", "description": bad, "parameters": {"type": "object", "properties": {bad: {"title": bad}}}}
    turn = {"role": "assistant", "content": bad}
    plan = {"question": "Why?", "asked": [{"id": 1, "text": f"Who {bad}?"}], "answers": [{"id": 1, "text": bad}]}
    return {
        "a question": ("/v1/chat/completions", chat(f"Why {bad}?")),
        "a streamed question": ("/v1/chat/completions", chat(f"Why {bad}?", stream=True)),
        "a plan asked for": ("/v1/chat/completions", chat(f"Why {bad}?", anabranch={"include_plan": True})),
        "earlier turns": ("/v1/chat/completions", chat("Why?", {"role": "user", "content": bad}, turn)),
        "instructions": ("/v1/chat/completions", chat("Why?", {"role": "system", "content": bad})),
        "a tool": ("/v1/chat/completions", chat("Why?", tools=[{"type": "function", "function": tool}])),
        "a question to plan for": ("/v1/plans", {"question": f"Why {bad}?"}),
        "a streamed plan": ("/v1/plans", {"question": f"Why {bad}?", "stream": True}),
        "a plan to go on with": ("/v1/plans", plan),
        "feedback": ("/v1/plans", {"question": "Why?", "feedback": bad}),
    }


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_every_request_gets_a_reply(serve: Serve, bad: str) -> None:
    model = ScriptedChatModel(script=lambda prompt: plan_json() if "JSON" in prompt else f"It is {bad} so.")
    address = serve(live.parts(model, model))
    with httpx.Client(headers=HEADERS, timeout=30) as client:
        for name, (path, body) in bodies(bad).items():
            response = client.post(address + path, content=json.dumps(body))
            assert response.status_code == 200, (name, response.text)
            events = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
            for text in events or [response.text]:
                whole = json.dumps(json.loads(text), ensure_ascii=False)
                assert whole.encode(), name
            assert "\\u0000" not in response.text
    assert all(prompt.encode() for prompt in model.prompts)


@pytest.mark.parametrize("word_delay", [None, 0.0], ids=["in one", "streamed"])
def test_what_models_write_is_streamed_whole(serve: Serve, word_delay: float | None) -> None:
    def script(prompt: str) -> str:
        return r'{"sub_questions": [{"id": 1, "text": "Who \ud83d?"}]}' if "JSON" in prompt else "It \ud83d is \ud83d"

    model = ScriptedChatModel(script=script, word_delay=word_delay)
    address = serve(live.parts(model, model))
    body = chat(stream=True, anabranch={"include_plan": True})
    response = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    said = "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", []))
    assert said == "It \ufffd is \ufffd"
    response = httpx.post(f"{address}/v1/plans", json={"question": "Why?", "stream": True}, timeout=30)
    assert response.status_code == 200
    assert response.text.count(r"Who \ufffd?") >= 2


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_every_mcp_call_over_http_gets_a_reply(bad: str) -> None:
    service = Service(live.parts(live.always(plan_json()), live.always(f"It is {bad}.")))
    with live.running(mcp_app(build_mcp(service), DoorRules(), service.metrics, host="127.0.0.1")) as address:
        for arguments in ({"question": f"Why {bad}?"}, {"question": "Why?", "history": [turn(bad)]}):
            call = {"name": "ask", "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
            response = httpx.post(f"{address}/mcp", content=json.dumps(message), headers=HEADERS, timeout=30)
            assert response.status_code < 500
            assert '"error"' not in response.text or "session" in response.text.lower(), response.text


def turn(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_every_mcp_call_over_stdio_gets_a_reply(home: Path, models: Callable[..., list[str]]) -> None:  # noqa: F811
    calls = [
        {"name": name, "arguments": {"question": f"{scenario.QUESTION} {bad}"} | more}
        for bad in BAD.values()
        for name, more in (("ask", {"history": [turn(bad)]}), ("plan", {}), (bad, {bad: bad}))
    ]
    (home / "slow_tools.py").write_text(scenario.TOOLS)
    replies, _ = served(home, models("--tool", "slow_tools:lookup"), calls)
    assert sorted(reply["id"] for reply in replies) == list(range(len(calls) + 1))
    answered = [reply for reply in replies if "content" in reply.get("result", {})]
    assert sum(not reply["result"].get("isError") for reply in answered) == 2 * len(BAD)
