"""A2A: the SDK's own client asks the planner over loopback."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.helpers import new_data_part, new_text_message
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from google.protobuf import json_format
from langchain_core.tools import tool

from anabranch.errors import ConfigurationError
from anabranch.serving.door import DoorRules
from anabranch.serving.service import Service
from anabranch.tools import McpServers
from tests.graphs.scripts import plan_json, reader
from tests.serving import live
from tests.serving.agui.test_interrupts import sender
from tests.serving.conftest import Serve
from tests.tools.test_mcp_servers import FIXTURE

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


def start(serve: Serve, *parts: Any, **options: Any) -> str:
    return serve(live.parts(*parts), a2a="http://planner.example.org", **options)


class Asker:
    """Another agent."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.task = ""
        self.context = ""

    async def ask(self, text: str = "", data: Any = None, **ids: Any) -> list[StreamResponse]:
        """All that comes for a message."""
        parts = [Part(text=text)] if text else []
        parts += [new_data_part(data)] if data is not None else []
        message = Message(role=Role.ROLE_USER, message_id=f"m{id(object())}", parts=parts, **ids)
        found = [each async for each in self.client.send_message(SendMessageRequest(message=message))]
        for each in found:
            self.task = each.task.id or each.status_update.task_id or self.task
            self.context = each.task.context_id or each.status_update.context_id or self.context
        return found

    async def answer(self, text: str = "", data: Any = None) -> Task:
        """What becomes of the task with an answer."""
        await self.ask(text, data, task_id=self.task, context_id=self.context)
        return await self.now()

    async def now(self) -> Task:
        """The task as it stands."""
        found: Task = await self.client.get_task(GetTaskRequest(id=self.task))
        return found


@asynccontextmanager
async def asker(url: str, *, streaming: bool = True, key: str = "") -> AsyncIterator[Asker]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        card = (await http.get(f"{url}/.well-known/agent-card.json")).json()
        for each in card["supportedInterfaces"]:
            each["url"] = each["url"].replace("http://planner.example.org", url)
        told = json_format.ParseDict(card, AgentCard(), ignore_unknown_fields=True)
        yield Asker(await create_client(told, ClientConfig(streaming=streaming, httpx_client=http)))


def said(task: Task) -> str:
    return task.artifacts[0].parts[0].text


def asked(task: Task) -> list[dict[str, Any]]:
    """What a task waits for."""
    assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    data = json_format.MessageToDict(task.status.message.parts[-1].data)
    return list(data["interrupts"])


def test_the_card(serve: Serve) -> None:
    url = start(serve, rules=DoorRules(keys=("right",)))
    card = httpx.get(f"{url}/.well-known/agent-card.json").json()
    assert {each["url"] for each in card["supportedInterfaces"]} == {"http://planner.example.org/a2a"}
    assert card["capabilities"]["streaming"] is True
    assert "search" in card["skills"][0]["description"]
    assert card["securitySchemes"]["key"]["httpAuthSecurityScheme"]["scheme"] == "bearer"
    assert httpx.post(f"{url}/a2a", json={}).status_code == 401
    assert httpx.get(f"{serve()}/.well-known/agent-card.json").status_code == 404


@pytest.mark.parametrize("address", ["planner.example.org", "ftp://a", "http://", "http://a b"])
def test_an_address_that_is_none(serve: Serve, address: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address of this server"):
        serve(a2a=address)


async def test_a_question_is_answered_as_it_goes(serve: Serve) -> None:
    async with asker(start(serve, rules=DoorRules(keys=("right",))), key="right") as agent:
        events = await agent.ask(live.QUESTION)
        assert events[0].task.status.state == TaskState.TASK_STATE_SUBMITTED
        updates = [each.status_update.status for each in events if each.HasField("status_update")]
        texts = [each.message.parts[0].text for each in updates if each.message.parts]
        assert texts == ["1. Who founded Craigslist?", "2. When was Craig Newmark born?"]
        assert updates[-1].state == TaskState.TASK_STATE_COMPLETED
        (artifact,) = [each.artifact_update.artifact for each in events if each.HasField("artifact_update")]
        assert artifact.parts[0].text == live.ANSWER
        assert json_format.MessageToDict(artifact.metadata)["status"] == "answered"
        first = agent.task
        await agent.ask(live.QUESTION, context_id=agent.context)
        assert agent.task != first
        assert said(await agent.now()) == live.ANSWER


async def test_a_question_is_answered_at_once(serve: Serve, tmp_path: Path) -> None:
    async with asker(start(serve, threads=str(tmp_path / "t.sqlite")), streaming=False) as agent:
        (only,) = await agent.ask(live.QUESTION)
        assert only.task.status.state == TaskState.TASK_STATE_COMPLETED
        assert said(only.task) == live.ANSWER


@pytest.mark.parametrize(
    ("text", "payload", "done"),
    [("approve", None, ["hello"]), ("", {"approved": True}, ["hello"]), ("", {"approved": False}, [])],
)
async def test_an_action_waits_for_input(serve: Serve, text: str, payload: Any, done: list[str]) -> None:
    sent = list[str]()
    plan = plan_json(("send", "Send: hello", []))
    async with asker(start(serve, plan, live.always('{"text": "hello"}'), [sender(sent)])) as agent:
        await agent.ask("Will you send hello to all of them?")
        (waiting,) = asked(await agent.now())
        assert "Send: hello" in waiting["message"]
        assert (await agent.answer(data={"another": 1})).status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert sent == []
        task = await agent.answer(text, None if payload is None else {waiting["id"]: payload})
        assert task.status.state == TaskState.TASK_STATE_COMPLETED
        assert sent == done


async def test_a_plan_is_reviewed(serve: Serve) -> None:
    async with asker(start(serve)) as agent:
        message = new_text_message(live.QUESTION, role=Role.ROLE_USER)
        message.metadata.update({"review": True})
        async for each in agent.client.send_message(SendMessageRequest(message=message)):
            agent.task, agent.context = each.task.id or agent.task, each.task.context_id or agent.context
        (waiting,) = asked(await agent.now())
        assert "Who founded Craigslist?" in waiting["message"]
        assert said(await agent.answer("approve")) == live.ANSWER


async def test_what_an_mcp_server_asks(serve: Serve) -> None:
    def solver(prompt: str) -> str:
        return "Answer: " + prompt[prompt.rindex("the person says: ") :].splitlines()[0]

    config = {"mcpServers": {"kitchen": {"command": sys.executable, "args": [str(FIXTURE)]}}}
    with McpServers(config) as servers:
        url = start(serve, plan_json(("asks", "person", [])), solver, [*servers])
        async with asker(url) as agent:
            await agent.ask("Which one does she want for dinner?")
            (waiting,) = asked(await agent.now())
            assert waiting["responseSchema"]["properties"] == {"which": {"type": "string"}}
            task = await agent.answer(data={waiting["id"]: {"which": "mine"}})
            assert said(task) == "the person says: accept {'which': 'mine'}"


async def test_a_task_is_cancelled(serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    @tool
    def search(query: str) -> str:
        """Looks facts up."""
        begun.set()
        go.wait(30)
        return "Craig Newmark"

    plan = plan_json(("search", "Who founded Craigslist?", []))
    service = Service(live.parts(plan, reader, [search]))
    async with asker(serve(service=service, a2a="http://planner.example.org")) as agent:
        message = new_text_message(live.QUESTION, role=Role.ROLE_USER)
        events = agent.client.send_message(SendMessageRequest(message=message))
        first = await anext(events)
        assert await asyncio.to_thread(begun.wait, 20)
        cancelled = await agent.client.cancel_task(CancelTaskRequest(id=first.task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        await asyncio.to_thread(live.wait_until, lambda: not service.slots.running)
        go.set()
        # Its context is free for another question.
        await agent.ask(live.QUESTION, context_id=first.task.context_id)
        assert (await agent.now()).status.state == TaskState.TASK_STATE_COMPLETED


async def test_a_failure_of_a_model_is_told(serve: Serve) -> None:
    def away(prompt: str) -> str:
        raise httpx.ConnectError("nobody")

    async with asker(start(serve, away)) as agent:
        await agent.ask(live.QUESTION)
        task = await agent.now()
        assert task.status.state == TaskState.TASK_STATE_FAILED
        assert "decomposer" in task.status.message.parts[0].text


async def test_a_context_that_could_be_guessed_is_refused(serve: Serve) -> None:
    async with asker(start(serve)) as agent:
        await agent.ask(live.QUESTION, context_id="1")
        task = await agent.now()
        assert task.status.state == TaskState.TASK_STATE_FAILED
        assert "made up at random" in task.status.message.parts[0].text
