"""Plans for ten requests over the 60 tools of an MCP server: each is shown the 24 tools that fit it.

python examples/office/plan.py http://127.0.0.1:8000/v1#decomposer-1.5b     # after: anabranch serve decomposer
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver

from anabranch import Plan, create_planner
from anabranch.tools import McpServers

FOLDER = Path(__file__).parent
LINES = (FOLDER / "requests.jsonl").read_text(encoding="utf-8").splitlines()
# The same form as the file of `--mcp`. Its annotations tell actions, which a person approves, from look-ups.
SERVERS = {"mcpServers": {"office": {"command": sys.executable, "args": [str(FOLDER / "server.py")]}}}
REQUESTS: list[str] = [json.loads(line)["question"] for line in LINES]


async def plans(tools: Sequence[BaseTool], decomposer: Any, solver: Any) -> AsyncIterator[tuple[str, Plan]]:
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
    with McpServers(SERVERS) as tools:
        async for request, plan in plans(tools, decomposer, solver):
            print(request)
            for call in plan.sub_questions:
                print(f"  {call.id} [{call.route}] {call.text}")


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or ["local"])))
