"""How a plan compares with the calls that fulfil a request."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from anabranch.evals.toolplans.data import ToolRequest
from anabranch.grading import dependencies, multiset_f1, tools_of
from anabranch.plan import Plan


@dataclass(frozen=True)
class PlanScore:
    """Grades of one plan, between 0 and 1.

    Attributes:
        nodes: F1 of the tools called, each as often as it is called.
        links: F1 of the dependencies between tools; None where the request has none to find.
        order: the same, with neighbours in the plan as its links: for plans that only list calls in order.
        exact: whether exactly the right tools are called, each as often as needed.
    """

    nodes: float
    links: float | None
    order: float | None
    exact: bool


def score(plan: Plan, names: Mapping[str, str], wanted: ToolRequest) -> PlanScore:
    """Grades a plan.

    Args:
        plan: the plan; what the solver does by itself counts neither for nor against it.
        names: the tools' own names by route.
        wanted: the request with its right calls.
    """
    tools = tools_of(plan, names)
    linked = bool(wanted.links)
    return PlanScore(
        nodes=multiset_f1(tools, wanted.tools),
        links=multiset_f1(dependencies(plan, names), wanted.links) if linked else None,
        order=multiset_f1(list(pairwise(tools)), wanted.links) if linked else None,
        exact=Counter(tools) == Counter(wanted.tools),
    )
