"""A server that asks a person in the middle of a call, over standard input and output."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from anabranch.tools import McpServers
from anabranch.tools.elicitation import Elicitation, answered, by_function

FIXTURE = Path(__file__).parents[1] / "mcp_fixture.py"
SCHEMA = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}, "required": ["size"]}


def ask(on_elicitation: Callable[[Elicitation], Any]) -> str:
    config = {"mcpServers": {"fixture": {"command": sys.executable, "args": [str(FIXTURE)]}}}
    with McpServers(config, on_elicitation=on_elicitation) as servers:
        (tool,) = (tool for tool in servers if tool.name == "asks")
        return str(tool.invoke({"query": "person"}))


def test_a_person_answers_a_server_and_what_does_not_fit_is_asked_again() -> None:
    asked: list[Elicitation] = []

    def person(question: Elicitation) -> Mapping[str, Any]:
        asked.append(question)
        return {"which": 7} if len(asked) == 1 else {"which": "the red one"}

    assert ask(person) == "the person says: accept {'which': 'the red one'}"
    assert [(each.server, each.message) for each in asked] == [("fixture", "Which one?")] * 2
    assert asked[0].schema["properties"] == {"which": {"type": "string"}}
    assert (asked[0].problem, "string" in asked[1].problem) == ("", True)


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_person_need_not_answer(action: str) -> None:
    assert ask(lambda question: action) == f"the person says: {action} None"


def test_a_function_that_fails_cancels_the_question(caplog: pytest.LogCaptureFixture) -> None:
    def fails(question: Elicitation) -> Mapping[str, Any]:
        raise RuntimeError("no terminal")

    assert ask(fails) == "the person says: cancel None"
    assert "no terminal" in caplog.text


async def test_values_that_never_fit_are_not_sent() -> None:
    tries: list[str] = []

    def person(question: Elicitation) -> Mapping[str, Any]:
        tries.append(question.problem)
        return {"size": 0}

    assert await answered(by_function(person), Elicitation("s", "How large?", SCHEMA)) == ("cancel", None)
    assert len(tries) == 3
    assert await answered(by_function(lambda _: {"size": 2}), Elicitation("s", "How large?", SCHEMA)) == (
        "accept",
        {"size": 2},
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "sideways"},
        {"$ref": "http://elsewhere.example/schema"},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"description": "x" * 30_000},
    ],
)
async def test_schemas_that_are_none_are_not_answered(schema: dict[str, Any]) -> None:
    assert await answered(by_function(lambda _: {"a": 1}), Elicitation("s", "What?", schema)) == ("cancel", None)
