"""The MCP SDK's own client, of version 1 or 2, under version 2's names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from anabranch.serving.mcp_sdk import VERSION


@asynccontextmanager
async def connected(target: Any, *, key: str | None = None, mode: Any = "auto") -> AsyncIterator[Any]:
    """A client.

    Args:
        target: a server of this process, the address of one, or the parameters of one to start.
        key: the API key for an address.
        mode: which protocol version 2 of the SDK speaks.
    """
    async with AsyncExitStack() as stack:
        if isinstance(target, str):
            library: Any = import_module("httpx2" if VERSION == 2 else "httpx")
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            http = await stack.enter_async_context(library.AsyncClient(headers=headers, timeout=30))
            target = streamable_http_client(target, http_client=http)
        if VERSION == 2:
            client: Any = import_module("mcp").Client(target, mode=mode)
            yield await stack.enter_async_context(client)
        else:
            yield _Old(await _session(stack, target))


async def _session(stack: AsyncExitStack, target: Any) -> Any:
    if hasattr(target, "run"):
        inside: Any = import_module("mcp.shared.memory").create_connected_server_and_client_session
        return await stack.enter_async_context(inside(target))
    streams = stdio_client(target) if isinstance(target, StdioServerParameters) else target
    read, write, *_ = await stack.enter_async_context(streams)
    session = await stack.enter_async_context(ClientSession(read, write))
    await session.initialize()
    return session


class _Old:
    """A session of version 1."""

    def __init__(self, session: Any) -> None:
        self.session = session

    async def list_tools(self) -> Any:
        tools = (await self.session.list_tools()).tools
        return SimpleNamespace(
            tools=[
                SimpleNamespace(name=tool.name, description=tool.description, input_schema=tool.inputSchema)
                for tool in tools
            ]
        )

    async def call_tool(self, name: str, arguments: dict[str, Any], *, progress_callback: Any = None) -> Any:
        id_ = self.session._request_id
        try:
            result = await self.session.call_tool(name, arguments, progress_callback=progress_callback)
        except asyncio.CancelledError:
            # Version 1 leaves it to its caller to tell the server.
            types: Any = import_module("mcp.types")
            cancelled = types.CancelledNotification(params={"requestId": id_})
            await self.session.send_notification(types.ClientNotification(cancelled))
            raise
        return SimpleNamespace(
            content=result.content, is_error=result.isError, structured_content=result.structuredContent
        )
