"""How a plan is run, decided by measurement, in one function.

GSM8K, solver of 1.5B parameters. Along plans written with the solution in sight, on 360 tuning rows (standard error 2.4
points, docs/lab/notebook.md): one guided call 71.4, no plan 69.2, one program along the plan 62.2. One call for each of
people's sub-questions, on the test rows: 21 to 29, with or without a calculator. So a plan guides one call unless
its tools bring in what the solver cannot have: look-ups and actions. A solver too small for arithmetic in its head
is the exception: its calculator steps are run.

A plan that only guides is for the solver alone, even where it may call a calculator: asked to plan for a calculator, a
distilled decomposer repeats numbers and conditions, and asks things twice. Without it in the catalogue the same solver
did better along an earlier decomposer-135m's plans: 53.0 against 46.1 (paired, n = 1169, +6.9, standard error 1.5). A
model that plans from worked examples did better with it, 58.0 against 54.2 (n = 777, +3.9, standard error 1.9), and
keeps it.

A weak plan is worse than none: along decomposer-135m's plans, even so, this solver has 53.7 % right, 6.7 points less
than in the same prompt without a plan (paired on 1,319 test rows, standard error 1.3; people's plans: +3.0). So a
larger solver is not guided by the embedded decomposer, which is not even asked where its plan could do nothing else.
"""

from collections.abc import Set
from typing import Literal

from anabranch.agents.decomposer import Decomposer
from anabranch.agents.models import RoleModel
from anabranch.options import PlanningMode, Protocol
from anabranch.plan import SOLVE, Plan
from anabranch.tools.catalogue import Catalogue

COMPUTE_TOOLS = frozenset({"calculator", "python"})
"""Tools that only compute: a solver that can call tools gets them inside its one guided call."""


def choose_protocol(
    plan: Plan, mode: PlanningMode, solver: RoleModel, wanted: Protocol = "auto", *, weak: bool = False
) -> Literal["guided", "per_node", "direct"]:
    """Whether a plan guides one solver call, is executed sub-question by sub-question, or is left aside.

    Args:
        plan: the plan.
        mode: a dynamic plan needs the answers of each layer, so it is always executed.
        solver: who answers.
        wanted: the caller's choice; `auto` decides here.
        weak: whether the plan was written by the embedded decomposer.
    """
    return _protocol({question.route for question in plan.sub_questions}, mode, solver, wanted, weak=weak)


def _protocol(
    routes: Set[str], mode: PlanningMode, solver: RoleModel, wanted: Protocol, *, weak: bool
) -> Literal["guided", "per_node", "direct"]:
    if mode == "dynamic":
        return "per_node"
    if wanted != "auto":
        return wanted
    if solver.small:
        return "guided" if routes <= {SOLVE} else "per_node"
    if routes <= {SOLVE, *COMPUTE_TOOLS}:
        return "direct" if weak else "guided"
    return "per_node"


def protocol_of_any_plan(
    catalogue: Catalogue, decomposer: Decomposer, mode: PlanningMode, solver: RoleModel, wanted: Protocol = "auto"
) -> Literal["guided", "per_node", "direct"]:
    """What `choose_protocol` says of a plan with all routes that a catalogue offers.

    Where that is `guided` or `direct`, it holds of every plan over the catalogue, so it is known before there is one.

    Args:
        catalogue: the planner's tools.
        decomposer: who plans.
        mode: as in `choose_protocol`, as are the others.
        solver: who answers.
        wanted: the caller's choice of how plans run.
    """
    return _protocol({SOLVE, *catalogue}, mode, solver, wanted, weak=getattr(decomposer, "weak", False))


def tools_to_plan_for(
    catalogue: Catalogue, decomposer: Decomposer, protocol: Literal["guided", "per_node", "direct"]
) -> Catalogue:
    """The tools that a decomposer is told of: without those that only compute, where a distilled plan will only guide.

    Args:
        catalogue: the planner's tools.
        decomposer: who plans.
        protocol: what becomes of its plans, as `protocol_of_any_plan` says.
    """
    if protocol == "per_node" or not getattr(decomposer, "distilled", False):
        return catalogue
    compute = compute_tools(catalogue)
    return Catalogue(tool for name, tool in catalogue.items() if name not in compute)


def compute_tools(catalogue: Catalogue) -> Catalogue:
    """The tools of a catalogue that only compute."""
    return Catalogue(tool for name, tool in catalogue.items() if name in COMPUTE_TOOLS)
