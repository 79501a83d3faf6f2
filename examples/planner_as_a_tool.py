"""The planner as a tool, and as a sub-agent, of an agent that decides itself when to use it.

OPENAI_API_KEY=... python examples/planner_as_a_tool.py
"""

from langchain.agents import create_agent
from langchain_core.tools import tool

from anabranch import create_planner, document_search

planner = create_planner(solver="openai:gpt-5-mini", tools=[document_search("examples/documents")])


@tool
def multi_step_question(question: str) -> str:
    """Answers a question about the valley that needs several look-ups."""
    result = planner.invoke({"messages": [("user", question)]})
    return str(result["answer"])


# For deepagents: {"name": "planner", "description": "...", "runnable": planner} is a complete sub-agent.
if __name__ == "__main__":
    agent = create_agent("openai:gpt-5-mini", tools=[multi_step_question])
    asked = agent.invoke({"messages": [{"role": "user", "content": "Where was the founder of the ferry born?"}]})
    print(asked["messages"][-1].text)
