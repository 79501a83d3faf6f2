"""The MCP server, with the SDK's own client, over both transports."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client.stdio import StdioServerParameters

from anabranch.serving.door import DoorRules
from anabranch.serving.mcp import build_mcp, mcp_app
from anabranch.serving.options import Limits
from anabranch.serving.service import Service
from tests.cli import scenario
from tests.cli.conftest import home, models, server  # noqa: F401 - fixtures
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json
from tests.serving import live
from tests.serving.mcp_client import connected
from tests.serving.stdio import served

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

Progress = list[tuple[float, str | None]]

NOISE = '''
import os, sys
print("imported")
os.write(2, b"")

def lookup(query: str) -> str:
    """Looks up facts about people."""
    print("called", flush=True)
    os.write(1, b"called again\\n")
    os.system("echo from a child")
    return "found: " + ("Craig Newmark" if "founded" in query else "1952" if "Newmark" in query else "1969")
'''


def collector() -> tuple[Progress, Any]:
    progress: Progress = []

    async def collect(done: float, total: float | None, message: str | None) -> None:
        progress.append((done, message))

    return progress, collect


async def check_tools(client: Any) -> None:
    """Lists and calls both tools."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"ask", "plan"}
    assert tools["ask"].description == "Answers a question that needs several steps, along a plan."
    assert "question" in tools["plan"].input_schema["properties"]
    assert "ctx" not in tools["plan"].input_schema["properties"]

    progress, collect = collector()
    asked: Any = await client.call_tool("ask", {"question": live.QUESTION}, progress_callback=collect)
    assert not asked.is_error
    assert asked.content[0].text == live.ANSWER
    assert asked.structured_content["answer"] == live.ANSWER
    assert [answer["text"] for answer in asked.structured_content["answers"]] == ["Craig Newmark", "1952"]
    assert asked.structured_content["status"] == "answered"
    assert [source["tool"] for source in asked.structured_content["sources"]] == ["search", "search"]
    assert asked.structured_content["usage"]["total_tokens"] > 0
    await settled(lambda: len(progress) >= 5)
    assert [done for done, _ in progress] == sorted({done for done, _ in progress})
    assert progress[0][1] == "plan: 2 sub-questions"
    assert "sub-question 2 = 1952" in [message for _, message in progress]

    progress, collect = collector()
    arguments = {"question": live.QUESTION, "tools": [{"name": "search"}], "max_sub_questions": 2}
    planned: Any = await client.call_tool("plan", arguments, progress_callback=collect)
    assert planned.content[0].text == "1 [search] Who founded Craigslist?\n2 [search] When was {1} born?"
    assert len(planned.structured_content["plan"]["sub_questions"]) == 2
    await settled(lambda: len(progress) >= 2)
    assert progress[1][1] == "2. When was {1} born?"


async def settled(condition: Callable[[], bool]) -> None:
    """Notifications may come after the result."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_streamable_http(mode: str) -> None:
    service = Service(live.parts())
    app = mcp_app(build_mcp(service), DoorRules(keys=("sesame",)), service.metrics, host="127.0.0.1")
    with live.running(app) as url:
        async with connected(f"{url}/mcp", key="sesame", mode=mode) as client:
            await check_tools(client)
        async with httpx.AsyncClient() as stranger:
            assert (await stranger.post(f"{url}/mcp", json={})).status_code == 401
            rebound = {"Authorization": "Bearer sesame", "Host": "evil.example", "Accept": "application/json"}
            assert (await stranger.post(f"{url}/mcp", json={}, headers=rebound)).status_code in (403, 421)
    assert b'anabranch_requests_total{route="/mcp",status="200"}' in service.metrics.text()


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("ask", {"question": " "}, "the question is empty"),
        ("ask", {}, "question"),
        ("ask", {"question": "x" * 30_000}, "question"),
        ("plan", {"question": "Why?", "mode": "quick"}, "mode"),
        ("plan", {"question": "Why?", "tools": [{"name": "solve"}]}, "cannot be a route"),
        ("plan", {"question": "Why?", "max_sub_questions": 0}, "max_sub_questions"),
        ("plan", {"question": "Why?", "tools": [{"name": "a"}]}, "no plan that can run"),
        ("nothing", {}, "nothing"),
    ],
)
async def test_mistakes_are_told_to_the_model(tool: str, arguments: dict[str, Any], message: str) -> None:
    async with connected(build_mcp(Service(live.parts()))) as client:
        result: Any = await client.call_tool(tool, arguments)
        assert result.is_error
        assert message in result.content[0].text


async def test_a_timeout_and_a_full_queue_are_told() -> None:
    hanging = ScriptedChatModel(script=live.always("x"), delay=1000)
    service = Service(live.parts(hanging), Limits(max_concurrency=1, max_queue=0, timeout=0.5))
    async with connected(build_mcp(service)) as client:
        results: Any = await asyncio.gather(*(client.call_tool("ask", {"question": live.QUESTION}) for _ in range(2)))
    texts = sorted(result.content[0].text.partition(": ")[2] for result in results)
    assert texts == [
        "no answer within 0.5 s; ask less at once or try again",
        "too many questions are waiting; try again later",
    ]


async def test_a_call_that_is_cancelled_stops_the_planner() -> None:
    hanging = ScriptedChatModel(script=live.always("x"), delay=1000)
    service = Service(live.parts(plan_json(("search", "a?", [])), hanging))
    app = mcp_app(build_mcp(service), DoorRules(), service.metrics, host="127.0.0.1")
    with live.running(app) as url:
        async with connected(f"{url}/mcp") as client:
            call = asyncio.create_task(client.call_tool("ask", {"question": live.QUESTION}))
            await settled(lambda: service.slots.running == 1)
            await asyncio.sleep(0.3)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await settled(lambda: not service.slots.running)
    assert len(hanging.cancelled) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_stdio(home: Path, models: Callable[..., list[str]], mode: str) -> None:  # noqa: F811
    """The real process; whatever tools and their children print stays off the wire."""
    (home / "noisy.py").write_text(NOISE)
    command, *arguments = scenario.command("serve", "mcp", *models("--tool", "noisy:lookup"))
    parameters = StdioServerParameters(command=command, args=arguments, env=scenario.environment(home), cwd=str(home))
    async with connected(parameters, mode=mode) as client:
        progress, collect = collector()
        result: Any = await client.call_tool("ask", {"question": scenario.QUESTION}, progress_callback=collect)
        assert result.content[0].text == scenario.ANSWER
        assert not result.is_error
        await settled(lambda: len(progress) >= 7)
        plan: Any = await client.call_tool("plan", {"question": scenario.QUESTION})
        assert plan.content[0].text.startswith("1 [lookup] Who founded Craigslist?")


def test_nothing_but_the_protocol_is_on_standard_output(
    home: Path,  # noqa: F811
    models: Callable[..., list[str]],  # noqa: F811
) -> None:
    (home / "noisy.py").write_text(NOISE)
    ask = {"name": "ask", "arguments": {"question": scenario.QUESTION}}
    replies, err = served(home, models("--tool", "noisy:lookup"), [ask])
    assert [reply["id"] for reply in replies] == [0, 1]
    assert replies[1]["result"]["content"][0]["text"] == scenario.ANSWER
    assert "imported" in err
    assert "from a child" in err
