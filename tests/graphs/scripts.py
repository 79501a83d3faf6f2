"""Shared pieces of the graph tests: scripted roles and tools."""

import json
from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool, tool

from anabranch.agents.decomposer import LineDecomposer
from anabranch.graphs.planner import Planner, create_planner
from tests.fakes import Reply, ScriptedChatModel

Step = tuple[str, str, list[int]]


def plan_json(*steps: Step, first_id: int = 1) -> str:
    """A decomposer's reply: (route, text, depends_on) for each sub-question."""
    items = [
        {"id": first_id + place, "route": route, "text": text, "depends_on": depends_on}
        for place, (route, text, depends_on) in enumerate(steps)
    ]
    return json.dumps({"sub_questions": items})


CRAIGSLIST = plan_json(("search", "Who founded Craigslist?", []), ("search", "When was {1} born?", [1]))


@tool
def search(query: str) -> str:
    """Looks facts up."""
    return {
        "Who founded Craigslist?": "Craigslist was founded by Craig Newmark.",
        "When was Craig Newmark born?": "Craig Newmark was born in 1952.",
    }.get(query, f"nothing about {query}")


def reader(prompt: str) -> Reply:
    """A solver that can read the two facts above, and joins with the last answer."""
    if "Sub-questions and their answers:" in prompt:
        return "In " + prompt.rsplit("= ", 1)[1].split("\n")[0]
    if "founded by" in prompt:
        return "Craig Newmark"
    if "born in" in prompt:
        return "1952"
    return "NOT FOUND"


def planner(
    plans: list[str] | Callable[[str], Reply] | ScriptedChatModel | LineDecomposer,
    solver: list[Reply] | Callable[[str], Reply] | ScriptedChatModel = reader,
    tools: list[BaseTool] | None = None,
    **options: Any,
) -> Planner:
    """A planner over scripted roles."""
    ready = isinstance(plans, ScriptedChatModel | LineDecomposer)
    decomposer: Any = plans if ready else ScriptedChatModel(script=plans)
    answering = solver if isinstance(solver, ScriptedChatModel) else ScriptedChatModel(script=solver)
    return create_planner(
        decomposer=decomposer, solver=answering, tools=[search] if tools is None else tools, **options
    )


def ask(question: str = "When was the founder of Craigslist born?") -> dict[str, Any]:
    """Input of a planner."""
    return {"messages": [("user", question)]}


def thread(name: str = "t") -> Any:
    """Config of a thread."""
    return {"configurable": {"thread_id": name}}
