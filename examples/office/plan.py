"""Plans for ten requests over the 60 tools of an MCP server: each is shown the 24 tools that fit it.

python examples/office/plan.py http://127.0.0.1:8000/v1#decomposer-1.5b     # after: anabranch serve decomposer
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from anabranch import Plan, create_planner

FOLDER = Path(__file__).parent
LINES = (FOLDER / "requests.jsonl").read_text(encoding="utf-8").splitlines()
REQUESTS: list[str] = [json.loads(line)["question"] for line in LINES]


async def tools_of(server: Client) -> list[BaseTool]:
    """A server's tools for the planner; `langchain-mcp-adapters` makes such tools, too."""

    def wrapped(tool: Any) -> BaseTool:
        async def call(**arguments: Any) -> str:
            result = await server.call_tool(tool.name, arguments)
            return "\n".join(getattr(part, "text", "") for part in result.content)

        # The hints tell actions, which a person approves and which are never called twice, from look-ups.
        hints = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
        return StructuredTool(
            name=tool.name,
            description=tool.description or "",
            args_schema=tool.input_schema,
            coroutine=call,
            metadata={"annotations": hints},
        )

    return [wrapped(tool) for tool in (await server.list_tools()).tools]


async def plans(tools: list[BaseTool], decomposer: Any, solver: Any) -> AsyncIterator[tuple[str, Plan]]:
    """Requests with their plans; nothing is carried out, since each plan waits for a person's review."""
    saver = InMemorySaver()
    planner = create_planner(
        decomposer=decomposer, solver=solver, tools=tools, gate="always", review=True, checkpointer=saver
    )
    for number, request in enumerate(REQUESTS):
        thread: Any = {"configurable": {"thread_id": str(number)}}
        paused = await planner.ainvoke({"messages": [("user", request)]}, thread)
        waits = paused.get("__interrupt__")
        yield request, Plan.model_validate(waits[0].value["plan"]) if waits else Plan()


async def main(decomposer: str, solver: str = "local") -> None:
    """Prints the plans."""
    async with Client(StdioServerParameters(command=sys.executable, args=[str(FOLDER / "server.py")])) as server:
        async for request, plan in plans(await tools_of(server), decomposer, solver):
            print(request)
            for call in plan.sub_questions:
                print(f"  {call.id} [{call.route}] {call.text}")


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or ["local"])))
