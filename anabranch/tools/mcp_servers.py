"""The tools of MCP servers, as LangChain's. The servers run, and stay connected, until they are closed."""

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Self

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from anabranch.background import BackgroundLoop, at_end, not_at_end
from anabranch.bounds import MAX_RESULT_CHARS, shorten
from anabranch.errors import ConfigurationError, EndpointError, MissingExtraError
from anabranch.plan import SOLVE
from anabranch.tools.effects import may_repeat
from anabranch.tools.elicitation import OnElicitation
from anabranch.tools.mcp_callers import Caller
from anabranch.tools.mcp_config import McpConfig, McpServer, read_servers
from anabranch.tools.mcp_session import McpSession
from anabranch.tools.mcp_waiting import asking

logger = logging.getLogger(__name__)
_MAX_NAME = 64


class McpServers(Sequence[BaseTool]):
    """The tools of MCP servers: pass them to `create_planner` among the others, as `tools=[*servers]`.

    Each server is started, or connected to, once, and again if it has ended. Its tools say by MCP's annotations
    whether they change something (see `anabranch.tools.effects`). A tool whose name another server's tool has, or one
    of `beside`, is called `SERVER_TOOL`. They can be called from any event loop, and from none.

    A server that does not start is left out, with a warning, as long as there is another one. The sessions, and the
    processes, end with `close()`, with the block of a `with`, or with the program.

    Args:
        config: a file in the usual form, or its content (see `anabranch.tools.mcp_config.read_servers`).
        beside: names of tools that the planner has besides.
        on_elicitation: asks a person what a server wants to know in the middle of a call: a function, called on a
            thread of its own, of an `anabranch.tools.elicitation.Elicitation`. It gives the values, which are checked
            against the server's schema, or "decline" or "cancel". The call waits for it, within the limits of the
            sub-question. None interrupts the run of a planner that has a checkpointer (see
            `anabranch.tools.elicitation`), and declines elsewhere.

    Attributes:
        problems: why servers are left out, a line each.

    Raises:
        ConfigurationError: the file has another form, or names no server.
        EndpointError: none of the servers can be used.
        MissingExtraError: the MCP SDK is not installed.
    """

    def __init__(
        self, config: McpConfig, *, beside: Collection[str] = (), on_elicitation: OnElicitation | None = None
    ) -> None:
        servers = read_servers(config)
        if not servers:
            raise ConfigurationError("no MCP server is named; name one, or leave the MCP servers out")
        _check_installed()
        self.problems: list[str] = []
        self._sessions: list[McpSession] = []
        self._tools: list[BaseTool] = []
        self._on_elicitation = on_elicitation
        try:
            self._tools = _loop().begin(self._load(servers, beside)).result()
        except BaseException:
            self.close()
            raise
        at_end(self.close)

    def __getitem__(self, place: Any) -> Any:
        return self._tools[place]

    def __len__(self) -> int:
        return len(self._tools)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all sessions, and the processes behind them. Calls that are under way fail."""
        not_at_end(self.close)
        sessions, self._sessions = self._sessions, []
        if sessions:
            _loop().begin(_close(sessions)).result()

    async def _load(self, servers: dict[str, McpServer], beside: Collection[str]) -> list[BaseTool]:
        self._sessions = [
            McpSession(name, server, partial(self._refresh, name), self._on_elicitation)
            for name, server in servers.items()
        ]
        listed = await asyncio.gather(*(each.list_tools() for each in self._sessions), return_exceptions=True)
        found = dict[McpSession, Sequence[Any]]()
        for session, tools in zip(self._sessions, listed, strict=True):
            if isinstance(tools, EndpointError):
                self.problems.append(str(tools))
            elif isinstance(tools, BaseException):
                raise tools
            else:
                found[session] = tools
        if not found:
            raise EndpointError("; ".join(self.problems))
        for problem in self.problems:
            logger.warning("%s; its tools are left out", problem)
        names = _names([(session.name, tool.name) for session, tools in found.items() for tool in tools], beside)
        return [
            _tool(session, told, names[session.name, told.name]) for session, tools in found.items() for told in tools
        ]

    def _refresh(self, name: str) -> None:
        task = asyncio.ensure_future(self._changed(next(each for each in self._sessions if each.name == name)))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _changed(self, session: McpSession) -> None:
        """Takes over what a server says of its tools now. Tools that are new to it are not planned with."""
        told = {tool.name: tool for tool in await session.list_tools()}
        known = {tool.mcp_name: tool for tool in self._tools if isinstance(tool, McpTool) and tool.session is session}
        for name, tool in known.items():
            if name in told:
                tool.tell(told[name])
        if new := sorted(set(told) - set(known)):
            logger.warning(
                "the MCP server %r has new tools (%s); start again to use them", session.name, ", ".join(new)
            )


class McpTool(StructuredTool):
    """A tool of an MCP server.

    Attributes:
        mcp_name: its name at the server.
        session: the session with the server.
    """

    mcp_name: str
    session: Any

    def tell(self, told: Any) -> None:
        """Takes over what the server says of it."""
        self.description = told.description or getattr(told, "title", None) or self.name
        self.args_schema = _schema(told)
        hints = told.annotations.model_dump(by_alias=True, exclude_none=True) if told.annotations else {}
        self.metadata = {"annotations": hints, "mcp_server": self.session.name}


def _schema(told: Any) -> dict[str, Any]:
    schema: dict[str, Any] = getattr(told, "input_schema", None) or getattr(told, "inputSchema", None) or {}
    return {"properties": {}, **schema, "type": "object"}


def _tool(session: McpSession, told: Any, name: str) -> McpTool:
    async def ask(arguments: dict[str, Any], caller: Caller | None = None) -> str:
        try:
            return _text(await session.call(told.name, arguments, repeat=_repeats(made), caller=caller or Caller()))
        except EndpointError as error:
            # No model server: what cannot be looked up here may be found elsewhere.
            raise ToolException(str(error)) from error
        except Exception as error:
            if type(error).__name__ in ("McpError", "MCPError"):
                raise ToolException(f"the MCP server {session.name!r} refused the call: {error}") from error
            raise

    async def call(**arguments: Any) -> str:
        return await asking(_loop().begin, partial(ask, arguments))

    def call_sync(**arguments: Any) -> str:
        return _loop().begin(ask(arguments)).result()

    made = McpTool(
        name=name,
        description=name,
        args_schema=_schema(told),
        func=call_sync,
        coroutine=call,
        mcp_name=told.name,
        session=session,
    )
    made.tell(told)
    return made


def _repeats(tool: BaseTool) -> bool:
    annotations = (tool.metadata or {}).get("annotations", {})
    return annotations.get("readOnlyHint") is True or may_repeat(tool)


def _text(result: Any) -> str:
    """A result as text.

    Raises:
        ToolException: it is an error.
    """
    text = shorten("\n".join(_texts(result)), MAX_RESULT_CHARS)
    if getattr(result, "is_error", None) or getattr(result, "isError", None):
        raise ToolException(text or "the tool reports an error and does not say which")
    return text


def _texts(result: Any) -> Iterator[str]:
    """The parts of a result as text; what is no text is named."""
    for part in result.content:
        resource = getattr(part, "resource", None)
        text = getattr(part, "text", None) if resource is None else getattr(resource, "text", None)
        if text is not None:
            yield str(text)
        elif (uri := getattr(part, "uri", None)) is not None:
            yield f"{getattr(part, 'title', None) or getattr(part, 'name', '')} {uri}".strip()
        else:
            yield f"[{part.type}]"
    structured = getattr(result, "structured_content", None) or getattr(result, "structuredContent", None)
    if structured is not None and not result.content:
        yield json.dumps(structured, ensure_ascii=False)


def _names(tools: Sequence[tuple[str, str]], beside: Collection[str]) -> dict[tuple[str, str], str]:
    """Names that can be routes for tools, by server and name; each once."""
    counted = Counter(name for _, name in tools)
    names, taken = dict[tuple[str, str], str](), {SOLVE, *beside}
    for server, name in tools:
        shared = counted[name] > 1 or name in taken
        wanted = re.sub(r"[^\w./:-]", "_", f"{server}_{name}" if shared else name, flags=re.ASCII)[:_MAX_NAME] or "tool"
        made, number = wanted, 1
        while made in taken:
            number += 1
            made = f"{wanted[: _MAX_NAME - 4]}_{number}"
        taken.add(made)
        names[server, name] = made
    return names


def _check_installed() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f"MCP servers need: pip install 'anabranch[mcp]' ({error})") from error


async def _close(sessions: Sequence[McpSession]) -> None:
    await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)


@lru_cache(maxsize=1)
def _loop() -> BackgroundLoop:
    return BackgroundLoop("anabranch-mcp")
