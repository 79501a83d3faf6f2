"""A made-up office as an MCP server: 60 tools for a calendar, rooms, mail, tickets, files and people.

python examples/office/server.py            # speaks MCP on standard input and output; needs anabranch[app]
"""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations
from pydantic import Field

TOOLS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("tools.json").read_text(encoding="utf-8"))


def handler(tool: dict[str, Any]) -> Callable[..., str]:
    """What answers a call of a tool. A real server would ask its mailbox or its tickets here."""

    def run(**arguments: str) -> str:
        told = ", ".join(f"{name} {value}" for name, value in arguments.items() if value)
        return f"{tool['name']}: done with {told}" if tool["changes"] else f"1 found with {told}: ID 17"

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, kind, default="", annotation=Annotated[str, Field(description=text)])
        for name, text in tool["parameters"].items()
    ]
    run.__signature__ = inspect.Signature(parameters, return_annotation=str)  # type: ignore[attr-defined]
    return run


def office() -> MCPServer[Any]:
    """The server. Its tools say whether they change something, so the planner knows which are actions."""
    server: MCPServer[Any] = MCPServer("office")
    for tool in TOOLS:
        hints = ToolAnnotations(read_only_hint=not tool["changes"])
        server.add_tool(handler(tool), name=tool["name"], description=tool["description"], annotations=hints)
    return server


if __name__ == "__main__":
    office().run()
