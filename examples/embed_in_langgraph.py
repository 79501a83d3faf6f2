"""The planner as a node of a LangGraph agent.

python examples/embed_in_langgraph.py "Where was the founder of the Hollin Quay ferry born?"
"""

import sys
from typing import Any, NotRequired

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from anabranch import Plan, calculator, create_planner, document_search


class State(MessagesState):
    """The agent's state. The planner writes `messages` and, if there is such a key, `anabranch`; nothing else."""

    anabranch: NotRequired[dict[str, Any]]
    plan: NotRequired[str]  # the agent's own


def main(question: str) -> None:
    planner = create_planner(
        decomposer="local",  # or "http://host:8000/v1", "openai:gpt-...", any LangChain chat model
        solver="local",
        tools=[calculator(), document_search("examples/documents")],
    )
    agent = StateGraph(State)
    agent.add_node("planner", planner)
    agent.add_edge(START, "planner")
    graph = agent.compile()
    result = graph.invoke({"messages": [HumanMessage(question)], "plan": "ask the planner"})
    print(Plan.model_validate(result["anabranch"]["plan"]).to_mermaid())
    print(result["messages"][-1].text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "Where was the founder of the Hollin Quay ferry born?")
