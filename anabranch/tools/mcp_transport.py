"""How MCP servers are spoken to: processes that are started, and addresses; with limits on what they may send.

The SDK's own transport for processes reads a line of any length, and with each part of it copies what it has. So a
server that sends a hundred megabytes would hold up the whole program; here its connection ends.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any

import anyio

from anabranch.bounds import MAX_REPLY_BYTES
from anabranch.characters import whole_json
from anabranch.errors import EndpointError
from anabranch.tools.mcp_config import McpServer

CLOSE_SECONDS = 2.0
"""Seconds that a server has to end after its input has ended, and again after it was asked to."""
_TAIL_BYTES = 2_000
_POLL_SECONDS = 300.0
"""Seconds that a stream of events may be silent."""
_CONNECT_SECONDS = 30.0
Streams = tuple[Any, Any]
"""What comes from a server, and what goes to it, as the SDK's sessions take them."""


class Signs:
    """What a server shows besides its messages.

    Attributes:
        floods: whether it has sent a message that is longer than any may be.
        lost: set when the server cannot be reached any more: not all versions of the SDK then end the calls.
        reason: why.
    """

    def __init__(self) -> None:
        self.floods = False
        self.lost = asyncio.Event()
        self.reason = ""
        self._tail = b""

    def lose(self, error: Exception) -> None:
        """Notes that a request could not be made."""
        self.reason = str(error) or type(error).__name__
        self.lost.set()

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Reads what it writes to standard error to the end, and keeps the last lines."""
        while part := await stream.read(65_536):
            self._tail = (self._tail + part)[-_TAIL_BYTES:]

    @property
    def last_line(self) -> str:
        """The last line on standard error that is not empty."""
        lines = [line for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""


@asynccontextmanager
async def connected(server: McpServer, signs: Signs) -> AsyncIterator[Streams]:
    """The streams of a server; a process is started, and ended again.

    Args:
        server: the server.
        signs: takes what else it shows.

    Raises:
        OSError: the program cannot be started.
    """
    async with AsyncExitStack() as stack:
        if server.type == "stdio":
            yield await stack.enter_async_context(_process(server, signs))
        elif server.type == "sse":
            from mcp.client.sse import sse_client

            streams: Any = sse_client(
                str(server.url),
                server.headers,
                timeout=_CONNECT_SECONDS,
                sse_read_timeout=_POLL_SECONDS,
                httpx_client_factory=partial(_client, signs),
            )
            read, write, *_ = await stack.enter_async_context(streams)
            yield read, write
        else:
            from mcp.client.streamable_http import streamable_http_client

            http: Any = await stack.enter_async_context(_client(signs, server.headers))
            # Version 2 of the SDK takes less for one message where nothing is said; version 1 has no limit.
            limit: Any = {"max_sse_event_size": None} if _is_version_2() else {}
            streams = streamable_http_client(str(server.url), http_client=http, **limit)
            read, write, *_ = await stack.enter_async_context(streams)
            yield read, write


@asynccontextmanager
async def _process(server: McpServer, signs: Signs) -> AsyncIterator[Streams]:
    from mcp.client.stdio import get_default_environment

    process = await asyncio.create_subprocess_exec(
        shutil.which(str(server.command), path=server.env.get("PATH")) or str(server.command),
        *server.args,
        env={**get_default_environment(), **server.env},
        cwd=server.cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_REPLY_BYTES,
        # A group of its own: Ctrl-C is for us, and what it has started ends with it.
        start_new_session=True,
    )
    send_in, received = anyio.create_memory_object_stream[Any](0)
    to_send, taken = anyio.create_memory_object_stream[Any](0)
    input_: Any = process.stdin
    output: Any = process.stdout
    errors: Any = process.stderr
    pumps = [
        asyncio.ensure_future(signs.read(errors)),
        asyncio.ensure_future(_pump_in(output, send_in, signs)),
        asyncio.ensure_future(_pump_out(taken, input_, send_in)),
    ]
    try:
        yield received, to_send
    finally:
        await _end(process)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for stream in (send_in, received, to_send, taken):
            stream.close()
        process._transport.close()  # type: ignore[attr-defined]  # a child of the server may hold its pipes


async def _pump_in(output: asyncio.StreamReader, send: Any, signs: Signs) -> None:
    """Takes messages from a server's output until it ends, or a line is too long."""
    from mcp.shared.message import SessionMessage

    parse = _parser()
    async with send:
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            while line := await _line(output, signs):
                try:
                    message = parse(whole_json(line.decode("utf-8", "replace")))
                except ValueError:
                    continue  # servers print to standard output, too
                await send.send(SessionMessage(message))


async def _line(output: asyncio.StreamReader, signs: Signs) -> bytes:
    """The next line; empty at the end, and where a line is too long."""
    try:
        return await output.readline()
    except ValueError:
        signs.floods = True
        return b""


async def _pump_out(taken: Any, input_: asyncio.StreamWriter, send: Any) -> None:
    """Gives messages to a server; the session ends where it does not take them."""
    try:
        async for message in taken:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            input_.write(text.encode() + b"\n")
            await input_.drain()
    except OSError:
        await send.aclose()


def _is_version_2() -> bool:
    """Whether the MCP SDK is; `langchain-mcp-adapters`, which may be there too, needs version 1 so far."""
    return hasattr(import_module("mcp"), "Client")


def _parser() -> Any:
    types: Any = import_module("mcp.types")
    if not _is_version_2():
        return types.JSONRPCMessage.model_validate_json
    return lambda text: types.jsonrpc_message_adapter.validate_json(text, by_name=False)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a server and what it has started: its input ends, then it is asked to, then it is killed."""
    if process.stdin:
        process.stdin.close()
    for number in (None, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if number is not None:
            _signal(process, number)
        if await _ended(process):
            break
    if sys.platform != "win32":
        _signal(process, signal.SIGKILL)  # what it has started and left


async def _ended(process: asyncio.subprocess.Process) -> bool:
    # Not `process.wait()`: that waits for the end of its pipes, too, which a child may hold open.
    ends = asyncio.get_running_loop().time() + CLOSE_SECONDS
    while process.returncode is None:
        if asyncio.get_running_loop().time() > ends:
            return False
        await asyncio.sleep(0.01)
    return True


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, number)


def _client(signs: Signs, headers: dict[str, str] | None = None, timeout: Any = None, auth: Any = None) -> Any:
    """A client for a server at an address, whose replies have limits."""
    library: Any = import_module("httpx2" if _is_version_2() else "httpx")
    silent = timeout or library.Timeout(_CONNECT_SECONDS, read=_POLL_SECONDS)
    transport = _limited(library, signs)
    return library.AsyncClient(headers=headers, timeout=silent, auth=auth, transport=transport)


def _limited(library: Any, signs: Signs) -> Any:
    """A transport whose replies, or the events in them, are at most so long."""

    class Stream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in self._inner:
                size = len(part) if b"\n\n" in part or b"\r\n\r\n" in part else size + len(part)
                if size > MAX_REPLY_BYTES:
                    signs.floods = True
                    signs.lost.set()
                    raise EndpointError(f"a reply has more than {MAX_REPLY_BYTES:,} bytes")
                yield part

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Transport(library.AsyncHTTPTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            # A compressed reply may unpack to any size.
            request.headers["Accept-Encoding"] = "identity"
            try:
                response = await super().handle_async_request(request)
            except Exception as error:
                if request.method == "POST":  # others ask for events, which a server need not have
                    signs.lose(error)
                raise
            response.stream = Stream(response.stream)
            return response

    return Transport()
