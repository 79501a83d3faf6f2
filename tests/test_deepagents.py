"""The planner as a sub-agent of deepagents."""

from typing import Any

import pytest
from deepagents import create_deep_agent
from langchain_core.messages import AIMessage

from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, planner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # its own
]
QUESTION = "When was the founder of Craigslist born?"


@pytest.mark.parametrize("sync", [True, False])
async def test_a_planner_is_a_sub_agent(sync: bool) -> None:
    def agent(prompt: str) -> Reply:
        if "In 1952" in prompt:
            return "He was born in 1952."
        arguments = {"subagent_type": "facts", "description": QUESTION}
        return AIMessage("", tool_calls=[{"name": "task", "args": arguments, "id": "1"}])

    sub_agent: Any = {"name": "facts", "description": "Knows founders.", "runnable": planner([CRAIGSLIST])}
    model = ScriptedChatModel(script=agent)
    graph: Any = create_deep_agent(model=model, subagents=[sub_agent])
    result = graph.invoke(ask()) if sync else await graph.ainvoke(ask())
    told = [message for message in result["messages"] if message.type == "tool"]
    assert [message.text for message in told] == ["In 1952"]
    assert result["messages"][-1].text == "He was born in 1952."
    assert "facts: Knows founders." in str(model.bound[0])
