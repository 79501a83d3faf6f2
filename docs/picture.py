"""Draws docs/plan-running.svg: a real run, as the command line shows it, caught in the middle and at its end.

python docs/picture.py
"""

import asyncio
import io
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console
from rich.text import Text

from anabranch import calculator, create_planner, document_search
from anabranch.cli.board import Board
from anabranch.cli.views import LiveView

QUESTION = "Where was the founder of the Hollin Quay ferry born?"


async def record() -> Console:
    planner = create_planner(tools=[calculator(), document_search("examples/documents")], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    view, board, drawn = LiveView(console), Board(), False
    console.print(Text.assemble(("$ ", "dim"), f'anabranch ask "{QUESTION}" --docs examples/documents'))
    modes: Any = ["custom", "updates", "messages"]
    question: Any = {"messages": [("user", QUESTION)]}
    async for part in planner.astream(question, config, stream_mode=modes, version="v2"):
        board.take(part)
        states = [row.state for row in board.rows.values()]
        if not drawn and "done" in states and "running" in states:
            console.print(view.render(board, busy=True))
            console.print(Text("…", style="dim"))
            drawn = True
    console.print(view.render(board, busy=False))
    console.print(Text(f"\n{planner.get_state(config).values['answer']}"))
    return console


if __name__ == "__main__":
    picture = asyncio.run(record()).export_svg(title="anabranch")
    Path(__file__).with_name("plan-running.svg").write_text(picture, encoding="utf-8")
