"""A person sees the plan first; then its sub-questions tick off as they are answered.

python examples/review_and_stream.py
"""

import asyncio
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from anabranch import Budget, Plan, calculator, create_planner, document_search


async def main() -> None:
    planner = create_planner(
        tools=[calculator(), document_search("examples/documents")],
        review=True,
        budget=Budget(max_calls=20, max_seconds=120),
        checkpointer=InMemorySaver(),
    )
    thread: Any = {"configurable": {"thread_id": "1"}}
    question = {"messages": [("user", "Where was the founder of the Hollin Quay ferry born?")]}
    paused = await planner.ainvoke(question, thread)
    print(Plan.model_validate(paused["__interrupt__"][0].value["plan"]).to_mermaid())

    approve: Any = Command(resume={"type": "approve"})  # or edit, reject, respond
    async for part in planner.astream(approve, thread, stream_mode=["custom", "values"], version="v2"):
        if part["type"] == "custom" and part["data"]["type"] == "sub_question":
            print(part["data"]["id"], part["data"]["status"], part["data"].get("text", ""))
    print(planner.get_state(thread).values["answer"])


if __name__ == "__main__":
    asyncio.run(main())
