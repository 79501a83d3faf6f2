"""anabranch: a planner to embed. A decomposer splits a question, a LangGraph state machine runs the plan."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anabranch.agents.decomposer import Decomposer, LineDecomposer, PlanRequest
    from anabranch.agents.models import RoleModel
    from anabranch.config import Budget, Price
    from anabranch.errors import AnabranchError
    from anabranch.graphs.agent_tool import agent_tool
    from anabranch.graphs.planner import create_planner
    from anabranch.graphs.state import PlanDecision
    from anabranch.middleware import PlannerMiddleware
    from anabranch.plan import Answer, Plan, Source, SubQuestion, Usage
    from anabranch.tools import calculator, document_search, python_sandbox, retriever_search

__version__ = "0.2.0"

_HOMES = {
    "AnabranchError": "anabranch.errors",
    "Answer": "anabranch.plan",
    "Budget": "anabranch.config",
    "Decomposer": "anabranch.agents.decomposer",
    "LineDecomposer": "anabranch.agents.decomposer",
    "Plan": "anabranch.plan",
    "PlanDecision": "anabranch.graphs.state",
    "PlanRequest": "anabranch.agents.decomposer",
    "PlannerMiddleware": "anabranch.middleware",
    "Price": "anabranch.config",
    "RoleModel": "anabranch.agents.models",
    "Source": "anabranch.plan",
    "SubQuestion": "anabranch.plan",
    "Usage": "anabranch.plan",
    "agent_tool": "anabranch.graphs.agent_tool",
    "calculator": "anabranch.tools",
    "create_planner": "anabranch.graphs.planner",
    "document_search": "anabranch.tools",
    "python_sandbox": "anabranch.tools",
    "retriever_search": "anabranch.tools",
}

__all__ = [
    "AnabranchError",
    "Answer",
    "Budget",
    "Decomposer",
    "LineDecomposer",
    "Plan",
    "PlanDecision",
    "PlanRequest",
    "PlannerMiddleware",
    "Price",
    "RoleModel",
    "Source",
    "SubQuestion",
    "Usage",
    "agent_tool",
    "calculator",
    "create_planner",
    "document_search",
    "python_sandbox",
    "retriever_search",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: LangGraph takes a second to import, which `anabranch --help` should not.
    if name not in _HOMES:
        raise AttributeError(f"module 'anabranch' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
