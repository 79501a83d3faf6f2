from typing import Any

import pytest

from anabranch.agents.models import RoleModel
from anabranch.graphs.protocol import choose_protocol
from anabranch.plan import Plan, SubQuestion
from tests.fakes import ScriptedChatModel


def plan(*routes: str) -> Plan:
    return Plan(sub_questions=tuple(SubQuestion(id=n, text="q", route=r) for n, r in enumerate(routes, 1)))


@pytest.mark.parametrize(
    ("routes", "small", "mode", "wanted", "protocol"),
    [
        (["solve", "solve"], False, "static", "auto", "guided"),
        (["solve", "calculator"], False, "static", "auto", "guided"),
        (["python"], False, "static", "auto", "guided"),
        (["solve", "search"], False, "static", "auto", "per_node"),
        (["solve"], True, "static", "auto", "guided"),
        (["solve", "calculator"], True, "static", "auto", "per_node"),
        (["solve"], False, "dynamic", "guided", "per_node"),
        (["solve"], False, "static", "per_node", "per_node"),
        (["search"], False, "static", "guided", "guided"),
    ],
)
def test_choice(routes: list[str], small: bool, mode: Any, wanted: Any, protocol: str) -> None:
    solver = RoleModel(ScriptedChatModel(script=[]), small=small)
    assert choose_protocol(plan(*routes), mode, solver, wanted) == protocol


@pytest.mark.parametrize(
    ("routes", "small", "wanted", "protocol"),
    [
        (["solve", "calculator"], False, "auto", "direct"),
        (["solve", "calculator"], False, "guided", "guided"),
        (["solve", "search"], False, "auto", "per_node"),
        (["solve", "calculator"], True, "auto", "per_node"),
    ],
)
def test_a_weak_plan_guides_no_larger_solver(routes: list[str], small: bool, wanted: Any, protocol: str) -> None:
    solver = RoleModel(ScriptedChatModel(script=[]), small=small)
    assert choose_protocol(plan(*routes), "static", solver, wanted, weak=True) == protocol
