"""The official MCP SDK, version 1 or 2: what anabranch takes from it, under version 2's names.

`langchain-mcp-adapters`, with which LangChain agents call MCP servers, needs version 1 so far; both must fit into one
environment.
"""

import os
import sys
from collections.abc import AsyncIterable, AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from anabranch.characters import whole_json

VERSION = 2 if find_spec("mcp.server.mcpserver") else 1

if TYPE_CHECKING or VERSION == 2:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
else:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.fastmcp.exceptions import ToolError

__all__ = ["VERSION", "Context", "MCPServer", "ToolError", "http_app", "new_server", "run_stdio"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def new_server(name: str, *, version: str, instructions: str) -> MCPServer[Any]:
    """An MCP server without tools. It logs warnings only: at the next level, the SDK quotes what tools say."""
    if VERSION == 2:
        return MCPServer(name, version=version, instructions=instructions, log_level="WARNING")
    server: Any = MCPServer(name, instructions=instructions, log_level="WARNING")
    server._mcp_server.version = version
    made: MCPServer[Any] = server
    return made


def http_app(server: MCPServer[Any], *, path: str, host: str, max_body: int) -> ASGIApp:
    """The server as an app that speaks streamable HTTP.

    Args:
        server: the server.
        path: where it is.
        host: the address it will listen on; on a loopback one, requests that name another host are refused.
        max_body: largest request body, in bytes.
    """
    if VERSION == 2:
        return server.streamable_http_app(streamable_http_path=path, host=host, max_request_body_size=max_body)
    old: Any = server
    old.settings.streamable_http_path = path
    old.settings.max_request_body_size = max_body
    if host not in _LOOPBACK:
        # Version 1 decides when the server is made, and takes it to be on loopback.
        old.settings.transport_security = None
    app: ASGIApp = old.streamable_http_app()
    return app


def run_stdio(server: MCPServer[Any]) -> None:
    """Serves over standard input and output until the client leaves; what tools print goes to standard error."""
    import anyio
    from mcp.server.stdio import stdio_server

    # The protocol keeps the streams, and tools and their children get others.
    reading = os.fdopen(os.dup(0), encoding="utf-8", errors="replace")
    writing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout.flush()
    os.dup2(2, 1)

    async def serve() -> None:
        inner: Any = getattr(server, "_lowlevel_server" if VERSION == 2 else "_mcp_server")
        lines: Any = _Lines(anyio.wrap_file(reading))
        async with stdio_server(lines, anyio.wrap_file(writing)) as (read, write):
            await inner.run(read, write, inner.create_initialization_options())

    anyio.run(serve)


class _Lines:
    """Lines of JSON without escapes of half characters: the SDK takes no such line, and its call gets no reply."""

    def __init__(self, file: AsyncIterable[str]) -> None:
        self._file = file

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines."""
        async for line in self._file:
            yield whole_json(line)
