"""What results of MCP servers are read as, and under which names their tools are routes."""

import sys
from collections.abc import Iterator

import pytest
from langchain_core.tools import BaseTool, ToolException

from anabranch.errors import MissingExtraError
from anabranch.tools.mcp_servers import McpServers
from tests.tools.test_mcp_servers import server


@pytest.fixture(scope="module")
def parts() -> Iterator[BaseTool]:
    with McpServers({"mcpServers": {"fixture": server()}}) as servers:
        yield next(tool for tool in servers if tool.name == "parts")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("text", "A text."),
        ("text text", "A text.\nA text."),
        ("file", "The note."),
        ("link", "plan file:///plan.txt"),
        ("image", "[image]"),
        ("text link image", "A text.\nplan file:///plan.txt\n[image]"),
        ("values", '{"Zürich": [1, 2]}'),
        ("", ""),
    ],
)
def test_results_of_every_kind_are_read(parts: BaseTool, query: str, text: str) -> None:
    assert parts.invoke({"query": query}) == text


def test_an_error_without_a_text_is_told_all_the_same(parts: BaseTool) -> None:
    with pytest.raises(ToolException, match="the tool reports an error and does not say which"):
        parts.invoke({"query": "refused"})


def test_names_that_are_too_long_to_tell_apart_are_numbered() -> None:
    names = [f"{'a' * 80}{number}" for number in (1, 2)]
    with McpServers({"mcpServers": {name: server(NAME=name) for name in names}}) as servers:
        found = {tool.name: tool for tool in servers}
        assert len(found) == len(list(servers))
        told = [tool.invoke({"name": "NAME"}) for tool in found.values() if "name" in tool.args]
    assert sorted(told) == names
    assert all(len(name) <= 64 for name in found)


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingExtraError, match=r"MCP servers need: pip install 'anabranch\[mcp\]'"):
        McpServers({"mcpServers": {"fixture": server()}})
