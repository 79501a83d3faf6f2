"""Tool calls that were written loosely."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

from anabranch.agents.tool_calls import read_calls


@tool
def calculator(a: int) -> int:
    """Calculates."""
    return a


@tool
def search(query: str = "") -> str:
    """Searches."""
    return query


TOOLS = {"calculator": calculator, "search": search}


def written(args: Any, *, id_: Any = "c1", name: Any = "calculator") -> AIMessage:
    if isinstance(args, dict):
        return AIMessage("", tool_calls=[{"name": name, "args": args, "id": id_, "type": "tool_call"}])
    broken: Any = {"name": name, "args": args, "id": id_, "error": "?", "type": "invalid_tool_call"}
    return AIMessage("", invalid_tool_calls=[broken])


def test_what_is_in_order_is_left_alone() -> None:
    message = written({"a": 1})
    assert read_calls(message, TOOLS) == (message, {})
    assert read_calls(message, TOOLS)[0] is message


@pytest.mark.parametrize(
    "args",
    [
        '"{\\"a\\": 1}"',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 1}}',
        '```json\n{"a": 1}\n```',
        '{"arguments": {"a": 1}}',
        '{"name": "calculator", "arguments": "{\\"a\\": 1}"}',
        {"arguments": {"a": 1}},
    ],
    ids=str,
)
def test_arguments_in_other_forms_are_read(args: Any) -> None:
    message, wrong = read_calls(written(args), TOOLS)
    assert message.tool_calls[0]["args"] == {"a": 1}
    assert (wrong, message.invalid_tool_calls) == ({}, [])


@pytest.mark.parametrize("args", ["{", "[1]", "hello", '"x"', "12"])
def test_arguments_that_cannot_be_read_are_told(args: str) -> None:
    message, wrong = read_calls(written(args), TOOLS)
    assert message.tool_calls == [{"name": "calculator", "args": {}, "id": "c1", "type": "tool_call"}]
    assert args in wrong["c1"]


@pytest.mark.parametrize("id_", [None, ""])
@pytest.mark.parametrize("args", [{"a": 1}, "{"], ids=["valid", "invalid"])
def test_an_id_is_made_up(id_: str | None, args: Any) -> None:
    message, wrong = read_calls(written(args, id_=id_), TOOLS)
    made = message.tool_calls[0]["id"]
    assert made
    assert set(wrong) <= {made}
    assert ToolMessage("x", tool_call_id=made)


def test_two_calls_with_one_id_get_two() -> None:
    call: Any = {"name": "search", "args": {}, "id": "0", "type": "tool_call"}
    message, _ = read_calls(AIMessage("", tool_calls=[call, call]), TOOLS)
    assert message.tool_calls[0]["id"] == "0"
    assert message.tool_calls[1]["id"] != "0"


@pytest.mark.parametrize("name", ["calculator", "Calculator", "functions.calculator", " calculator "])
def test_a_name_in_another_form_is_the_tools(name: str) -> None:
    assert read_calls(written({}, name=name), TOOLS)[0].tool_calls[0]["name"] == "calculator"


def test_an_unknown_name_stays() -> None:
    assert read_calls(written({}, name="teleport"), TOOLS)[0].tool_calls[0]["name"] == "teleport"
    assert read_calls(written("{}", name=None), TOOLS)[0].tool_calls[0]["name"] == "unknown"


CALL = '{"name": "calculator", "arguments": {"a": 1}}'


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<tools></tools>\n{{{CALL}}}",
        f"<tools>\n{CALL}\n</tools>",
        f"Let me see.\n<tool_call>{CALL}",
        f"[TOOL_CALLS][{CALL}]",
        f"```json\n{CALL}\n```",
        CALL,
        CALL.replace("arguments", "parameters"),
    ],
)
def test_a_call_that_a_server_passed_on_as_text_is_one(text: str) -> None:
    message, wrong = read_calls(AIMessage(text), TOOLS)
    (call,) = message.tool_calls
    assert (call["name"], call["args"], wrong, message.text) == ("calculator", {"a": 1}, {}, "")


@pytest.mark.parametrize(
    "text",
    ['{"name": "Ada", "arguments": []}', f"Write it so: {CALL}", '{"answer": 1}', "84", "", "[]", '[{"name": "x"}, 1]'],
)
def test_other_text_is_no_call(text: str) -> None:
    message = AIMessage(text)
    assert read_calls(message, TOOLS) == (message, {})


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_whatever_is_written_becomes_a_call_that_servers_take(args: str, id_: str | None, name: str | None) -> None:
    message, wrong = read_calls(written(args, id_=id_, name=name), TOOLS)
    (call,) = message.tool_calls
    assert call["id"]
    assert call["name"]
    assert isinstance(call["args"], dict)
    assert bool(wrong) <= (call["args"] == {})
