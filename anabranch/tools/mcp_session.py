"""A session with one MCP server, which is kept, and begun again where the server has ended or hangs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any, TypeVar

import anyio

from anabranch.addresses import masked
from anabranch.bounds import MAX_REPLY_BYTES, words_of_error
from anabranch.errors import EndpointError
from anabranch.tools.elicitation import Elicitation, OnElicitation, answered, by_function
from anabranch.tools.mcp_callers import Caller, Callers
from anabranch.tools.mcp_config import McpServer
from anabranch.tools.mcp_transport import CLOSE_SECONDS, Signs, connected

T = TypeVar("T")
logger = logging.getLogger(__name__)
CONNECT_SECONDS = 60.0
"""Seconds that a server has to start, to introduce itself and to list its tools."""
PING_SECONDS = 10.0
"""Seconds that a server has to show that it is there."""
_MAX_PAGES = 100
_LOST = anyio.ClosedResourceError | anyio.BrokenResourceError | anyio.EndOfStream
_LOST_WORDS = ("connection closed", "session terminated", "session not found")


class ConnectionLost(Exception):  # noqa: N818 - callers say what it means
    """A server ended, or what leads to it, before it replied."""


class _Connection:
    """A connection as long as it lasts.

    Attributes:
        ready: has the SDK's session, or why there is none.
        signs: what the server shows besides its messages; ends it when the server is lost.
        keeper: the task that enters and leaves it.
    """

    def __init__(self) -> None:
        self.ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.signs = Signs()
        self.keeper: asyncio.Task[None]

    async def end(self) -> None:
        """Ends it, and waits until the process behind it has ended, too."""
        self.signs.lost.set()
        if not self.ready.done() or self.ready.cancelled() or self.ready.exception():
            self.keeper.cancel()
        done, _ = await asyncio.wait({self.keeper}, timeout=3 * CLOSE_SECONDS + 1)
        if not done:
            self.keeper.cancel()


class McpSession:
    """A session with one server. All of its coroutines belong to one event loop.

    Servers that ask back, for a model's words (sampling) or folders, are told that nobody answers here. What they ask
    a person (elicitation) is declined where nobody can be asked.

    Args:
        name: the server's name.
        server: what leads to it.
        changed: called when it says that its tools have changed.
        on_elicitation: asks a person what the server wants to know, in place of the caller's.
    """

    def __init__(
        self, name: str, server: McpServer, changed: Callable[[], None], on_elicitation: OnElicitation | None = None
    ) -> None:
        self.name = name
        self._on_elicitation = on_elicitation
        self._server = server
        self._changed = changed
        self._connection: _Connection | None = None
        self._opening = asyncio.Lock()
        self._calls = 0
        self._callers = Callers()
        self._checks = set[asyncio.Task[None]]()

    async def list_tools(self) -> Sequence[Any]:
        """The server's tools, as the SDK tells them.

        Raises:
            EndpointError: the server does not start, does not reply in time, or is lost meanwhile.
        """
        tools: list[Any] = []
        cursor: str | None = None
        await self._connected()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for _ in range(_MAX_PAGES):
                    page = await self._ask(partial(_listed, cursor=cursor))
                    tools += page.tools
                    cursor = getattr(page, "next_cursor", None) or getattr(page, "nextCursor", None)
                    if not cursor:
                        break
        except TimeoutError:
            raise self._error(f"did not list its tools within {CONNECT_SECONDS:g} s") from None
        except ConnectionLost as error:
            raise self._error(f"was lost while its tools were listed{_reason(error)}") from None
        return tools

    async def call(self, tool: str, arguments: dict[str, Any], *, repeat: bool, caller: Caller) -> Any:
        """Calls a tool.

        Args:
            tool: its name at the server.
            arguments: what it is called with.
            repeat: whether it may be called again if the server is lost before it replies.
            caller: who calls it.

        Returns:
            The SDK's `CallToolResult`.

        Raises:
            EndpointError: the server cannot be reached, or was lost.
            Exception: the SDK's, where the server refuses the call.
        """
        async with self._callers.calling(caller):
            return await self._call(lambda session: session.call_tool(tool, arguments), repeat=repeat)

    async def _call(self, ask: Callable[[Any], Coroutine[Any, Any, Any]], *, repeat: bool) -> Any:
        if not repeat:
            await self._check()  # a server that has ended since its last call is begun again
        self._calls += 1
        try:
            return await self._ask(ask)
        except ConnectionLost as error:
            if not repeat:
                what = "was lost during the call, and nobody knows whether that was carried out"
                raise self._error(f"{what}{_reason(error)}") from None
        except asyncio.CancelledError:
            check = asyncio.ensure_future(self._check())
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)
            raise
        finally:
            self._calls -= 1
        try:
            return await self._ask(ask)
        except ConnectionLost as error:
            raise self._error(f"was lost during the call{_reason(error)}") from None

    async def close(self) -> None:
        """Ends the session, and the process behind it."""
        for check in self._checks:
            check.cancel()
        if self._connection:
            await self._drop(self._connection)

    async def _ask(self, ask: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """What a request to the server gives.

        Raises:
            ConnectionLost: the server was lost before it replied.
            EndpointError: it cannot be reached.
        """
        connection = await self._connected()
        asking = asyncio.ensure_future(ask(connection.ready.result()))
        try:
            await asyncio.wait({asking, connection.keeper}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            asking.cancel()
            raise
        error: BaseException | None = asking.exception() if asking.done() else ConnectionLost()
        if error is None:
            return asking.result()
        asking.cancel()
        lost = isinstance(error, ConnectionLost | _LOST) or any(words in str(error).lower() for words in _LOST_WORDS)
        if not lost:
            raise error
        await self._drop(connection)
        if connection.signs.floods:
            raise self._error(f"sent more than {MAX_REPLY_BYTES:,} bytes at once") from None
        raise ConnectionLost(connection.signs.reason or str(error)) from error

    async def _connected(self) -> _Connection:
        async with self._opening:
            if self._connection and not self._connection.keeper.done():
                return self._connection
            connection = self._connection = _Connection()
            connection.keeper = asyncio.ensure_future(self._keep(connection))
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await asyncio.shield(connection.ready)
            except BaseException as error:
                await self._drop(connection)
                if isinstance(error, TimeoutError):
                    raise self._error(f"did not answer within {CONNECT_SECONDS:g} s", connection) from None
                if isinstance(error, Exception):
                    raise self._error(f"cannot be used{_reason(error)}", connection) from None
                raise
            return connection

    async def _keep(self, connection: _Connection) -> None:
        """Holds a connection until it is to end, or its streams end: it is entered and left in this one task."""
        try:
            async with (
                connected(self._server, connection.signs) as (read, write),
                _opened(read, write, self._heard, self._asked) as session,
            ):
                await session.initialize()
                connection.ready.set_result(session)
                await connection.signs.lost.wait()
        except asyncio.CancelledError:
            connection.ready.cancel()
            raise
        except BaseException as error:
            if not connection.ready.done():
                connection.ready.set_exception(_first(error))

    async def _heard(self, message: Any) -> None:
        if type(getattr(message, "root", message)).__name__ == "ToolListChangedNotification":
            self._changed()

    async def _asked(self, context: Any, told: Any) -> Any:
        """Asks a person; the types are the SDK's. A page that is to be opened (`url`) is declined."""
        from mcp import types

        schema = getattr(told, "requested_schema", None) or getattr(told, "requestedSchema", None)
        if schema is None:
            return types.ElicitResult(action="decline")
        question = Elicitation(self.name, told.message, schema)
        if self._on_elicitation:
            action, content = await answered(by_function(self._on_elicitation), question)
        else:
            action, content = await self._callers.answered(question)
        return types.ElicitResult.model_validate({"action": action, "content": content})

    async def _check(self) -> None:
        """Ends the connection if the server does not answer, and is not at work on another call."""
        connection = self._connection
        if connection is None or self._calls:
            return
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._ask(lambda session: session.send_ping())
        except TimeoutError:
            if not self._calls:
                await self._drop(connection)
        except Exception:
            logger.debug("the MCP server %r does not take a ping", self.name)

    async def _drop(self, connection: _Connection) -> None:
        if self._connection is connection:
            self._connection = None
        await connection.end()

    def _error(self, what: str, connection: _Connection | None = None) -> EndpointError:
        last = connection.signs.last_line if connection else ""
        told = f"the MCP server {self.name!r} {what}{last and f' (it says: {last})'}; check it"
        return EndpointError(masked(told, *self._server.secrets))


@asynccontextmanager
async def _opened(read: Any, write: Any, heard: Any, asked: Any) -> AsyncIterator[Any]:
    async with _session_class()(read, write, message_handler=heard, elicitation_callback=asked) as session:
        yield session


@cache
def _session_class() -> Any:
    """The SDK's session. That of version 1 hears nothing else while it answers a server, and people take their time."""
    from mcp import ClientSession

    base: Any = ClientSession
    if not hasattr(base, "_received_request"):
        return base

    async def answer(session: Any, responder: Any) -> None:
        try:
            await base._received_request(session, responder)
        except Exception as error:
            logger.warning("what an MCP server asked could not be answered: %s", error)

    async def received(session: Any, responder: Any) -> None:
        session._task_group.start_soon(answer, session, responder)

    return type("Session", (base,), {"_received_request": received})


def _listed(session: Any, *, cursor: str | None) -> Any:
    from mcp import types

    return session.list_tools(params=types.PaginatedRequestParams(cursor=cursor)) if cursor else session.list_tools()


def _first(error: BaseException) -> Exception:
    """The first of the exceptions that task groups have put together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def _reason(error: BaseException) -> str:
    words = words_of_error(error, 300)
    return f": {words}" if words else "" if isinstance(error, ConnectionLost) else f": {type(error).__name__}"
