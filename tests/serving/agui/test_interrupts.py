"""Reviews of plans, approvals of actions and questions of tools, over AG-UI."""

import sys
from typing import Any

import pytest
from ag_ui.core import EventType
from langchain_core.tools import tool
from langgraph.types import interrupt

from anabranch.tools import McpServers
from tests.graphs.scripts import plan_json
from tests.serving import live
from tests.serving.agui.client import Client, error, interrupts, kinds, of_type, resume, text
from tests.serving.conftest import Serve
from tests.tools.test_mcp_servers import FIXTURE

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


def test_a_plan_is_reviewed(serve: Serve) -> None:
    client = Client(serve())
    events = client.ask(live.QUESTION, forwardedProps={"review": True})
    (waiting,) = interrupts(events)
    assert (waiting.reason, waiting.tool_call_id) == ("confirmation", None)
    assert "1. Who founded Craigslist?" in (waiting.message or "")
    assert kinds(events)[-3:] == ["STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert [todo["status"] for todo in client.state["todos"]] == ["pending", "pending"]
    assert not of_type(events, EventType.STEP_STARTED)

    reloaded = Client(str(client.http.base_url), client.thread)
    assert interrupts(reloaded.run()) == [waiting]

    asked = error(client.ask("Another question?"))
    assert "waits for answers to its interrupts" in asked
    client.messages.pop()

    strange = {"sub_questions": [{"id": 1, "text": "x", "route": "teleport"}]}
    (again,) = interrupts(resume(client, waiting.id, {"type": "edit", "plan": strange}))
    assert "unknown route" in (again.message or "")
    plan = {"sub_questions": [{"id": 7, "text": "When was Craig Newmark born?", "route": "search"}]}
    events = resume(client, again.id, {"type": "edit", "plan": plan})
    assert text(events) == live.ANSWER
    assert [event.step_name for event in of_type(events, EventType.STEP_STARTED)] == ["7. When was Craig Newmark born?"]
    assert "nothing in this thread waits" in error(resume(client, again.id, {"type": "approve"}))


@pytest.mark.parametrize("payload", [{"approved": False}, None])
def test_a_plan_is_rejected(serve: Serve, payload: Any) -> None:
    client = Client(serve())
    (waiting,) = interrupts(client.ask(live.QUESTION, forwardedProps={"review": True}))
    status = "resolved" if payload else "cancelled"
    events = client.run(resume=[{"interruptId": waiting.id, "status": status, "payload": payload}])
    assert text(events) == "The plan was rejected."
    assert client.state["status"] == "failed"


def sender(sent: list[str]) -> Any:
    @tool
    def send(text: str) -> str:
        """Sends a text."""
        sent.append(text)
        return f"{text} is sent"

    send.metadata = {"effects": True}
    return send


@pytest.mark.parametrize(
    ("payload", "done"),
    [
        ({"approved": True}, ["hello"]),
        ({"approved": True, "editedArgs": {"text": "good morning"}}, ["good morning"]),
        ({"approved": False, "message": "too early"}, []),
        ({"type": "approve"}, ["hello"]),
    ],
)
def test_an_action_waits_for_approval(serve: Serve, payload: Any, done: list[str]) -> None:
    sent = list[str]()
    plan = plan_json(("send", "Send: hello", []))
    client = Client(serve(live.parts(plan, live.always('{"text": "hello"}'), [sender(sent)])))
    events = client.ask("Will you send hello to all of them?")
    (waiting,) = interrupts(events)
    (call,) = of_type(events, EventType.TOOL_CALL_START)
    assert (waiting.reason, waiting.tool_call_id) == ("tool_call", call.tool_call_id)
    assert (waiting.metadata or {})["args"] == {"text": "hello"}
    assert (waiting.response_schema or {})["required"] == ["approved"]
    assert not of_type(events, EventType.TOOL_CALL_RESULT)
    assert sent == []

    events = resume(client, waiting.id, payload)
    assert sent == done
    assert not of_type(events, EventType.TOOL_CALL_START)
    (result,) = of_type(events, EventType.TOOL_CALL_RESULT)
    assert result.tool_call_id == call.tool_call_id
    assert (f"{done[0]} is sent" if done else "too early") in result.content


def test_each_action_is_approved_for_itself(serve: Serve) -> None:
    sent = list[str]()
    plan = plan_json(("send", "Send: tea", []), ("send", "Send: milk", []))

    def solver(prompt: str) -> str:
        return '{"text": "milk"}' if "milk" in prompt.rpartition("tea")[2] else '{"text": "tea"}'

    client = Client(serve(live.parts(plan, solver, [sender(sent)])))
    waiting = interrupts(client.ask("Will you send tea and milk to all of them?"))
    assert [(each.metadata or {})["args"] for each in waiting] == [{"text": "tea"}, {"text": "milk"}]
    one = {"interruptId": waiting[0].id, "status": "cancelled"}
    assert "waits for an answer to the interrupt" in error(client.run(resume=[one]))
    other = {"interruptId": waiting[1].id, "status": "resolved", "payload": {"approved": True}}
    strange = {"interruptId": "made-up", "status": "cancelled"}
    assert "does not wait for 'made-up'" in error(client.run(resume=[one, other, strange]))
    assert sent == []
    client.run(resume=[one, other])
    assert sent == ["milk"]


def test_a_tool_asks_by_itself(serve: Serve) -> None:
    @tool
    def ask(text: str) -> str:
        """Asks the person."""
        return f"she says {interrupt(f'what of {text}?')}"

    def solver(prompt: str) -> str:
        if "Sub-questions and their answers:" in prompt:
            return "Answer: " + prompt.rpartition("= ")[2].split("\n")[0]
        return "she says yes" if "she says yes" in prompt else '{"text": "tea"}'

    client = Client(serve(live.parts(plan_json(("ask", "tea", [])), solver, [ask])))
    events = client.ask("What does she want of tea?")
    (waiting,) = interrupts(events)
    assert (waiting.reason, waiting.message) == ("input_required", "what of tea?")
    assert [event.step_name for event in of_type(events, EventType.STEP_FINISHED)] == ["1. tea"]
    assert text(resume(client, waiting.id, "yes")) == "she says yes"


@pytest.mark.parametrize(
    ("payload", "status", "said"),
    [
        ({"which": "mine"}, "resolved", "accept {'which': 'mine'}"),
        ("decline", "resolved", "decline None"),
        (None, "cancelled", "cancel None"),
    ],
)
def test_an_mcp_server_asks(serve: Serve, payload: Any, status: str, said: str) -> None:
    def solver(prompt: str) -> str:
        return "Answer: " + prompt[prompt.rindex("the person says: ") :].splitlines()[0]

    config = {"mcpServers": {"kitchen": {"command": sys.executable, "args": [str(FIXTURE)]}}}
    with McpServers(config) as servers:
        parts = live.parts(plan_json(("asks", "person", [])), solver, list(servers))
        client = Client(serve(parts))
        (waiting,) = interrupts(client.ask("Which one does she want for dinner?"))
        assert (waiting.reason, waiting.message, waiting.metadata) == (
            "input_required",
            "Which one?",
            {"server": "kitchen"},
        )
        assert (waiting.response_schema or {})["properties"] == {"which": {"type": "string"}}
        answer = {"interruptId": waiting.id, "status": status, **({} if payload is None else {"payload": payload})}
        assert text(client.run(resume=[answer])) == f"the person says: {said}"
