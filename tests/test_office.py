"""The example of an office: 60 tools of an MCP server, and plans for ten requests over those that fit."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from anabranch.evals.toolplans.data import read_requests, read_tools
from anabranch.tools import McpServers
from anabranch.tools.effects import has_effects
from anabranch.tools.retrieval import ToolIndex
from anabranch.tools.shortlist import SHOWN
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json

OFFICE = Path(__file__).parents[1] / "examples" / "office"
GOLD = read_requests(OFFICE / "requests.jsonl").rows


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The example's server and its plans."""
    monkeypatch.syspath_prepend(str(OFFICE.parent))
    return import_module("office.server"), import_module("office.plan")


@pytest.fixture
def tools(modules: tuple[Any, Any]) -> Iterator[McpServers]:
    """The tools of the example's server, which runs."""
    _, plan = modules
    with McpServers(plan.SERVERS) as servers:
        yield servers


async def test_an_mcp_servers_tools_become_the_planners(tools: McpServers) -> None:
    named = {tool.name: tool for tool in tools}
    assert len(named) == 60
    assert has_effects(named["close_ticket"])
    assert not has_effects(named["search_tickets"])
    assert await named["search_tickets"].ainvoke({"words": "login"}) == "1 found with words login: ID 17"


async def test_each_request_is_planned_over_the_tools_that_fit_it(modules: tuple[Any, Any], tools: McpServers) -> None:
    server, plan = modules
    wanted = {row.question: row.tools for row in GOLD}

    def decomposer(prompt: str) -> str:
        (question,) = (question for question in wanted if question in prompt)
        return plan_json(*((tool, f"Do it with {tool}", []) for tool in wanted[question]))

    chat = ScriptedChatModel(script=decomposer)
    planned = plan.plans(tools, chat, ScriptedChatModel(script=["never asked"]))
    found = {request: made async for request, made in planned}
    assert {request: tuple(q.route for q in made.sub_questions) for request, made in found.items()} == wanted
    names = {tool["name"] for tool in server.TOOLS}
    for prompt in chat.prompts:
        assert len(names & set(re.findall(r"\w+", prompt))) >= SHOWN - 1
        assert len(names & set(re.findall(r"^(?:- )?(\w+)(?=:)", prompt, re.MULTILINE))) <= SHOWN


def test_the_right_tools_are_among_those_shown() -> None:
    tools = read_tools(OFFICE / "tools.json")
    index = ToolIndex(tools.texts)
    for row in GOLD:
        shown = {tools.texts[place].name for place in index.find(row.question, SHOWN)}
        assert set(row.tools) <= shown, row.question
