"""An MCP server that behaves well or badly, on standard input and output or over HTTP, for either version of the SDK.

python tests/mcp_fixture.py [http PORT | sse PORT].
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

VERSION = 2 if find_spec("mcp.server.mcpserver") else 1
library: Any = import_module("mcp.server.mcpserver" if VERSION == 2 else "mcp.server.fastmcp")
types: Any = import_module("mcp.types")
Context: Any = library.Context
server: Any = (library.MCPServer if VERSION == 2 else library.FastMCP)("fixture", log_level="ERROR")


Function = TypeVar("Function", bound=Callable[..., Any])


def served(*, read_only: bool | None) -> Callable[[Function], Function]:
    """Makes a function a tool, which says whether it changes something."""
    hints = None if read_only is None else types.ToolAnnotations.model_validate({"readOnlyHint": read_only})
    made: Callable[[Function], Function] = server.tool(annotations=hints)
    return made


@served(read_only=True)
def search(query: str) -> str:
    """Looks facts up."""
    return {
        "Who founded Craigslist?": "Craigslist was founded by Craig Newmark.",
        "When was Craig Newmark born?": "Craig Newmark was born in 1952.",
    }.get(query, f"nothing about {query}")


def note(line: str) -> None:
    """Writes down what was done."""
    with Path(os.environ["FIXTURE_BOOK"]).open("a") as file:
        file.write(f"{line}\n")


@served(read_only=False)
def book(table: int) -> str:
    """Books a table."""
    note(str(table))
    return f"table {table} is booked"


@served(read_only=None)
def variable(name: str) -> str:
    """Tells a variable of the environment."""
    return os.environ.get(name, "not set")


@served(read_only=True)
def pid(query: str) -> str:
    """Tells the process."""
    return str(os.getpid())


@served(read_only=True)
def die(query: str) -> str:
    """Ends the server in the middle of a call, the first time."""
    once = Path(os.environ["FIXTURE_ONCE"])
    if not once.exists():
        once.touch()
        os._exit(3)
    return "still here"


@served(read_only=False)
def die_acting(query: str) -> str:
    """Changes something and ends the server."""
    note("acted")
    os._exit(3)


@served(read_only=True)
async def hang(query: str) -> str:
    """Does not reply, and blocks the server for it if the query says so."""
    if query == "block":
        time.sleep(3600)  # noqa: ASYNC251
    await asyncio.sleep(3600)
    return "never"


@served(read_only=True)
def flood(query: str) -> str:
    """Returns as many characters as the query says."""
    return "flood " * (int(query) // 6)


@served(read_only=True)
def parts(query: str) -> Any:
    """Returns content of several kinds, or values without content."""
    kinds = {
        "text": types.TextContent(type="text", text="A text."),
        "image": types.ImageContent.model_validate({"type": "image", "data": "aGk=", "mimeType": "image/png"}),
        "link": types.ResourceLink.model_validate({"type": "resource_link", "name": "plan", "uri": "file:///plan.txt"}),
        "file": types.EmbeddedResource.model_validate(
            {"type": "resource", "resource": {"uri": "file:///note.txt", "text": "The note."}}
        ),
    }
    if query == "values":
        return types.CallToolResult.model_validate({"content": [], "structuredContent": {"Zürich": [1, 2]}})
    if query == "refused":
        return types.CallToolResult.model_validate({"content": [], "isError": True})
    return types.CallToolResult.model_validate({"content": [kinds[each] for each in query.split()]})


@served(read_only=True)
def fails(query: str) -> str:
    """Fails."""
    raise ValueError("the shelf is empty")


@served(read_only=True)
def child(query: str) -> str:
    """Starts a process that ignores everything, and tells its id."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    return str(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL).pid)


@served(read_only=True)
async def change(query: str, ctx: Context) -> str:
    """Takes one tool away, gives another another form, adds one, and says so."""
    server._tool_manager._tools.pop("fails", None)

    def variable(name: str, upper: bool = False) -> str:
        return name.upper()

    def brand_new(query: str) -> str:
        return "new"

    server._tool_manager._tools.pop("variable", None)
    server.add_tool(variable, description="Says a name in capitals.")
    server.add_tool(brand_new)
    await ctx.session.send_tool_list_changed()
    return "changed"


@served(read_only=True)
async def asks(query: str, ctx: Context) -> str:
    """Asks back: a person, or a model."""
    session: Any = ctx.session
    try:
        if query == "person":
            schema = {"type": "object", "properties": {"which": {"type": "string"}}}
            told = await session.elicit("Which one?", schema)
            answer = f"the person says: {told.action} {told.content}"
        else:
            content = types.TextContent(type="text", text="Which one?")
            await session.create_message([types.SamplingMessage(role="user", content=content)], max_tokens=10)
            answer = "a model answered"
    except Exception as error:
        answer = f"nobody answered: {error}"
    return answer


FORM = {
    "type": "object",
    "properties": {
        "size": {
            "type": "string",
            "title": "Size",
            "oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}],
        },
        "count": {"type": "integer", "title": "How many", "description": "Up to nine.", "minimum": 1, "maximum": 9},
        "gift": {"type": "boolean", "title": "It is a gift", "default": False},
        "extras": {"type": "array", "title": "Extras", "items": {"type": "string", "enum": ["olives", "basil"]}},
        "note": {"type": "string", "maxLength": 40},
    },
    "required": ["size", "count"],
}


async def asked(ctx: Context, *questions: tuple[str, dict[str, Any]]) -> str:
    answers = []
    for message, schema in questions:
        told = await ctx.session.elicit(message, schema)
        if told.action != "accept":
            return f"{told.action}: {message}"
        answers.append(str(dict(sorted((told.content or {}).items()))))
    return " and ".join(answers)


@served(read_only=True)
async def quote(dish: str, ctx: Context) -> str:
    """Tells what a dish costs; asks for its form, and then where to."""
    where = {"type": "object", "properties": {"street": {"type": "string"}}, "required": ["street"]}
    return f"9 euros for {await asked(ctx, (f'Which {dish}?', FORM), ('Where to?', where))}"


@served(read_only=False)
async def order(dish: str, ctx: Context) -> str:
    """Orders a dish; asks for its form."""
    note(f"{dish} begun")
    told = await asked(ctx, (f"Which {dish}?", FORM))
    note(f"{dish}: {told}")
    return f"ordered: {told}"


def main() -> None:
    if os.environ.get("FIXTURE_PRINTS"):
        print("Welcome!", "x" * 10_000, "\n{not json", flush=True)  # noqa: T201
    if not sys.argv[1:]:
        server.run()
        return
    import uvicorn

    app = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")


if __name__ == "__main__":
    main()
