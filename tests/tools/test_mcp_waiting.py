"""Runs that wait for what an MCP server asks a person: real servers on standard input and output."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from anabranch.tools import McpServers, mcp_callers, mcp_waiting
from anabranch.tools.elicitation import read_reply
from tests.graphs.scripts import plan_json, planner
from tests.tools.test_elicitation import FIXTURE

FULL = {"size": "l", "count": 2, "gift": True, "extras": ["basil"]}
SHOWN = "{'count': 2, 'extras': ['basil'], 'gift': True, 'size': 'l'}"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server writes down what it does."""
    return tmp_path_factory.mktemp("server") / "book"


@pytest.fixture(scope="module")
def tools(book: Path) -> Iterator[list[BaseTool]]:
    env = {"FIXTURE_BOOK": str(book)}
    config = {"mcpServers": {"fixture": {"command": sys.executable, "args": [str(FIXTURE)], "env": env}}}
    with McpServers(config) as servers:
        yield [*servers]


def done(book: Path) -> list[str]:
    """What was done since the last look."""
    lines = book.read_text().splitlines()
    book.unlink()
    return lines


def solver(prompt: str) -> str:
    """Writes arguments, reads results, joins: the result is the answer."""
    for mark in ("9 euros for ", "ordered: ", "the person says: "):
        if mark in prompt:
            return "Answer: " + prompt[prompt.rindex(mark) :].splitlines()[0]
    return (
        '{"query": "person"}' if "dish" not in prompt else f'{{"dish": "{"soup" if "a soup" in prompt else "pizza"}"}}'
    )


def graph(tools: Sequence[BaseTool], *steps: Any, **options: Any) -> Any:
    return planner([plan_json(*steps)] * 9, solver, list(tools), checkpointer=InMemorySaver(), **options)


def thread(name: str = "t") -> Any:
    return {"configurable": {"thread_id": name}}


def question() -> Any:
    return {"messages": [HumanMessage("May all of us have pizza or soup, and how much is it?")]}


def waiting(result: Any) -> list[Any]:
    return list(result["__interrupt__"])


def accept(**content: Any) -> Any:
    return {"action": "accept", "content": content}


async def test_a_look_up_goes_on_with_what_a_person_replies(tools: list[BaseTool]) -> None:
    made = graph(tools, ("quote", "How much is a pizza?", []))
    (first,) = waiting(await made.ainvoke(question(), thread()))
    assert first.value["elicitation"]["server"] == "fixture"
    assert first.value["elicitation"]["message"] == "Which pizza?"
    assert first.value["elicitation"]["requestedSchema"]["required"] == ["size", "count"]
    (again,) = waiting(await made.ainvoke(Command(resume={first.id: accept(size="l", count=10)}), thread()))
    assert "count: 10 is greater than the maximum of 9" in again.value["error"]
    (second,) = waiting(await made.ainvoke(Command(resume={again.id: accept(**FULL)}), thread()))
    assert (second.value["elicitation"]["message"], second.value["error"]) == ("Where to?", None)
    result = await made.ainvoke(Command(resume={second.id: accept(street="Elm Street")}), thread())
    assert result["answers"][1].text == f"9 euros for {SHOWN} and {{'street': 'Elm Street'}}"
    assert not mcp_waiting._waiting


@pytest.mark.parametrize("reply", ["decline", {"action": "cancel"}])
def test_a_person_need_not_reply_and_the_graph_may_be_synchronous(tools: list[BaseTool], reply: Any) -> None:
    made = graph(tools, ("asks", "person", []))
    assert len(waiting(made.invoke(question(), thread()))) == 1
    result = made.invoke(Command(resume=reply), thread())
    action = reply if isinstance(reply, str) else reply["action"]
    assert result["answers"][1].text == f"the person says: {action} None"


async def test_an_action_is_begun_once(tools: list[BaseTool], book: Path) -> None:
    made = graph(tools, ("order", "Order a pizza", []))
    assert "action_requests" in waiting(await made.ainvoke(question(), thread()))[0].value
    (asked,) = waiting(await made.ainvoke(Command(resume="approve"), thread()))
    assert asked.value["elicitation"]["message"] == "Which pizza?"
    result = await made.ainvoke(Command(resume=accept(**FULL)), thread())
    assert result["answers"][1].text == f"ordered: {SHOWN}"
    assert done(book) == ["pizza begun", f"pizza: {SHOWN}"]


async def test_an_action_whose_call_is_lost_meanwhile_is_in_doubt(tools: list[BaseTool], book: Path) -> None:
    made = graph(tools, ("order", "Order a pizza", []))
    await made.ainvoke(question(), thread())
    await made.ainvoke(Command(resume="approve"), thread())
    mcp_waiting._waiting.clear()  # as in another process
    (doubt,) = waiting(await made.ainvoke(Command(resume=accept(**FULL)), thread()))
    assert "nobody knows whether it happened" in doubt.value["action_requests"][0]["description"]
    assert done(book) == ["pizza begun"]
    result = await made.ainvoke(Command(resume={"type": "respond", "message": "ordered: by phone"}), thread())
    assert result["answers"][1].text == "ordered: by phone"


async def test_a_look_up_whose_call_is_lost_is_made_again_with_the_replies(tools: list[BaseTool]) -> None:
    made = graph(tools, ("quote", "How much is a pizza?", []))
    await made.ainvoke(question(), thread())
    await made.ainvoke(Command(resume=accept(**FULL)), thread())
    mcp_waiting._waiting.clear()
    result = await made.ainvoke(Command(resume=accept(street="Elm Street")), thread())
    assert result["answers"][1].text == f"9 euros for {SHOWN} and {{'street': 'Elm Street'}}"


async def test_several_that_ask_at_once_get_a_reply_each(tools: list[BaseTool]) -> None:
    steps: list[Any] = [
        ("asks", "person", []),
        ("quote", "How much is a soup?", []),
        ("search", "Who founded Craigslist?", []),
    ]
    made = graph(tools, *steps)
    asked = waiting(await made.ainvoke(question(), thread()))
    assert {each.value["elicitation"]["message"] for each in asked} == {"Which one?", "Which soup?"}
    result = await made.ainvoke(Command(resume={each.id: "decline" for each in asked}), thread())
    texts = sorted(result["answers"][id_].text for id_ in (1, 2))
    assert texts == ["9 euros for decline: Which soup?", "the person says: decline None"]


async def test_nobody_is_asked_what_belongs_to_another_conversation(
    tools: list[BaseTool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_callers, "WHOSE_SECONDS", 0.5)
    made = graph(tools, ("asks", "person", []))
    results = await asyncio.gather(*(made.ainvoke(question(), thread(name)) for name in "ab"))
    # The first time they may meet, and then neither is asked; from then on they do not.
    assert all("__interrupt__" in each or "cancel" in each["answers"][1].text for each in results)
    results = await asyncio.gather(*(made.ainvoke(question(), thread(name)) for name in "cdef"))
    assert [len(waiting(each)) for each in results] == [1, 1, 1, 1]
    replies = (made.ainvoke(Command(resume=accept(which=name)), thread(name)) for name in "cdef")
    texts = [each["answers"][1].text for each in await asyncio.gather(*replies)]
    assert texts == [f"the person says: accept {{'which': '{name}'}}" for name in "cdef"]


@pytest.mark.parametrize("options", [{"approve_actions": False}, {"checkpointer": None}])
async def test_where_nobody_can_be_asked_it_is_declined(
    tools: list[BaseTool], options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    made = planner([plan_json(("asks", "person", []))], solver, tools, **{"checkpointer": InMemorySaver(), **options})
    result = await made.ainvoke(question(), thread())
    assert result["answers"][1].text == "the person says: decline None"
    assert "the MCP server 'fixture' asks 'Which one?'; declined, nobody can be asked here" in caplog.text


async def test_a_person_who_does_not_come_back(tools: list[BaseTool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_waiting, "WAIT_SECONDS", 0.2)
    made = graph(tools, ("asks", "person", []))
    (asked,) = waiting(await made.ainvoke(question(), thread("away")))
    ends = asyncio.get_running_loop().time() + 10
    while any(place[0] == "away" for place in mcp_waiting._waiting):
        assert asyncio.get_running_loop().time() < ends
        await asyncio.sleep(0.02)
    # She does in the end: a look-up is made again, and gets her reply.
    result = await made.ainvoke(Command(resume={asked.id: accept(which="mine")}), thread("away"))
    assert result["answers"][1].text == "the person says: accept {'which': 'mine'}"


@pytest.mark.parametrize(
    ("resumed", "reply"),
    [
        ("decline", "decline"),
        ({"action": "cancel", "content": {}}, "cancel"),
        ({"action": "accept", "content": {"a": 1}}, {"a": 1}),
        ({"action": "accept"}, {}),
        ("yes", None),
        ({"a": 1}, None),
        ({"action": "accept", "content": 7}, None),
        (None, None),
    ],
)
def test_replies(resumed: Any, reply: Any) -> None:
    assert read_reply(resumed) == reply
