"""The planner as a node of a LangGraph agent.

python examples/embed_in_langgraph.py "Where was the founder of the Hollin Quay ferry born?"
"""

import sys

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from anabranch import calculator, create_planner, document_search


def main(question: str) -> None:
    planner = create_planner(
        decomposer="local",  # or "http://host:8000/v1", "openai:gpt-...", any LangChain chat model
        solver="local",
        tools=[calculator(), document_search("examples/documents")],
    )
    agent = StateGraph(MessagesState)
    agent.add_node("planner", planner)
    agent.add_edge(START, "planner")
    graph = agent.compile()
    print(graph.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "Where was the founder of the Hollin Quay ferry born?")
