"""What an MCP server asks a person, in the terminal and where there is none."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from anabranch.cli import elicitation, review
from tests.cli import scenario
from tests.cli.test_review import Terminal, terminal  # noqa: F401 - a fixture
from tests.mcp_fixture import FORM
from tests.openai_server import OpenAIServer, prompt_of
from tests.tools.test_mcp_servers import FIXTURE

VALUE: dict[str, Any] = {
    "elicitation": {"server": "kitchen", "message": "Which pizza?", "requestedSchema": FORM},
    "error": None,
}


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person types, in order; nothing takes the default."""
    typed: list[str] = []
    monkeypatch.setattr(typer, "prompt", lambda *_, default="", **__: typed.pop(0) or default)
    monkeypatch.setattr(elicitation, "is_terminal", lambda: True)
    return typed


@pytest.mark.parametrize(
    ("typed", "reply"),
    [
        (["d"], {"action": "decline"}),
        (["what?", "Cancel"], {"action": "cancel"}),
        (
            ["a", "2", "3", "y", "2, 1", "no onions"],
            {"size": "l", "count": 3, "gift": True, "extras": ["basil", "olives"], "note": "no onions"},
        ),
        (
            ["a", "", "three", "0", "3", "1", "many", "4", "perhaps", "", "", ""],
            {"size": "s", "count": 4, "gift": False},
        ),
    ],
)
def test_replies_by_the_schema(
    replies: list[str], typed: list[str], reply: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    replies += typed
    content = {"action": "accept", "content": reply}
    assert review.decide({**VALUE, "error": "count: too many"}, 8) == (reply if "action" in reply else content)
    assert replies == []
    told = capsys.readouterr().err
    assert "the MCP server kitchen asks: Which pizza?" in told
    assert "that does not fit: count: too many" in told
    assert ("  2 Large" in told) == ("action" not in reply)


def test_other_kinds_of_values(replies: list[str]) -> None:
    properties = {
        "weight": {"type": "number", "default": 1.5},
        "colour": {"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"], "default": "g"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }
    replies += ["a", "", "", "x, y"]
    given = {**VALUE["elicitation"], "requestedSchema": {"type": "object", "properties": properties}}
    content = {"weight": 1.5, "colour": "g", "tags": ["x", "y"]}
    assert review.decide({"elicitation": given}, 8) == {"action": "accept", "content": content}


def test_a_tool_that_asks_by_itself(replies: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "need_terminal", lambda _: None)
    replies += ["yes"]
    assert review.decide("Shall I?", 8) == "yes"


@pytest.fixture
def options(home: Path, server: OpenAIServer, models: Callable[..., list[str]]) -> list[str]:
    """Models, and an MCP server one of whose tools asks back."""
    found = scenario.script([{"id": 1, "text": "How much is a pizza?", "route": "quote", "depends_on": []}])

    def reply(request: dict[str, Any]) -> Any:
        prompt = prompt_of(request)
        if "Reply with JSON only" not in prompt and "9 euros for " in prompt:
            return "Answer: " + prompt[prompt.rindex("9 euros for ") :].splitlines()[0]
        return found(request) if "Reply with JSON only" in prompt else '{"dish": "pizza"}'

    server.script = reply
    fixture = {"command": sys.executable, "args": [str(FIXTURE)]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"kitchen": fixture}}))
    return models("--mcp", "mcp.json")


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_without_a_terminal_it_is_declined(home: Path, options: list[str]) -> None:
    done = scenario.run(home, "ask", "How much is a pizza for all of us?", *options, "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "9 euros for decline: Which pizza?"
    assert "the MCP server kitchen asks: Which pizza?\ndeclined: there is nobody to ask" in done.stderr


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("command", ["ask", "chat"])
def test_it_is_answered_in_a_terminal(
    terminal: Callable[..., Terminal],  # noqa: F811
    options: list[str],
    command: str,
) -> None:
    question = "How much is a pizza for all of us?"
    window = terminal(command, *([question] if command == "ask" else []), *options)
    if command == "chat":
        window.read_until("> ")
        window.type(question)
    for asked, typed in (
        ("[c]ancel: ", "a"),
        ("Size (a number from 1 to 2): ", "2"),
        ("How many (a whole number): ", "12"),
        ("It is a gift (yes or no, may be left empty) [no]: ", "yes"),
        ("Extras (numbers from 1 to 2, with commas, may be left empty): ", ""),
        ("note (text, may be left empty): ", ""),
        ("that does not fit: count: 12 is greater than the maximum of 9", "d"),
    ):
        window.read_until(asked)
        window.type(typed)
    window.read_until("9 euros for decline: Which pizza?")
    if command == "chat":
        window.type("/exit")
    assert window.close() == 0


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_conversation_goes_on_where_a_question_is_left(
    terminal: Callable[..., Terminal],  # noqa: F811
    options: list[str],
) -> None:
    window = terminal("chat", *options)
    window.read_until("> ")
    window.type("How much is a pizza for all of us?")
    window.read_until("[c]ancel: ")
    os.write(window._main, b"\x04")
    window.read_until("stopped; ask something else")
    window.type("/exit")
    assert window.close() == 0
