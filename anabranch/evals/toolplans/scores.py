"""How a plan compares with the calls that fulfil a request."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from anabranch.evals.toolplans.data import Link, ToolRequest
from anabranch.plan import SOLVE, Plan


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
        nodes=f1(tools, wanted.tools),
        links=f1(dependencies(plan, names), wanted.links) if linked else None,
        order=f1(list(pairwise(tools)), wanted.links) if linked else None,
        exact=Counter(tools) == Counter(wanted.tools),
    )


def tools_of(plan: Plan, names: Mapping[str, str]) -> list[str]:
    """The tools that a plan calls, in its order."""
    return [names.get(q.route, q.route) for q in plan.sub_questions if q.route != SOLVE]


def dependencies(plan: Plan, names: Mapping[str, str]) -> list[Link]:
    """Which tools need the result of which, directly or through steps that the solver does by itself."""
    routes = {q.id: q.route for q in plan.sub_questions}
    behind: dict[int, set[int]] = {}
    links: list[Link] = []
    for question in plan.sub_questions:
        needed: set[int] = set()
        for id_ in question.depends_on:
            needed |= behind.get(id_, set()) if routes[id_] == SOLVE else {id_}
        behind[question.id] = needed
        if question.route != SOLVE:
            second = names.get(question.route, question.route)
            links += [(names.get(routes[id_], routes[id_]), second) for id_ in sorted(needed)]
    return links


def f1(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """F1 of two lists as multisets; 1 where both are empty."""
    if not found and not wanted:
        return 1.0
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))
