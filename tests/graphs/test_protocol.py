from typing import Any

import pytest
from langchain_core.tools import tool

from anabranch.agents.decomposer import JsonDecomposer, LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.graphs.protocol import choose_protocol, protocol_of_any_plan, tools_to_plan_for
from anabranch.plan import Plan, SubQuestion
from anabranch.tools import Catalogue, calculator
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


@pytest.mark.parametrize(
    ("weak", "tools", "small", "mode", "wanted", "known"),
    [
        (True, [calculator()], False, "static", "auto", "direct"),
        (True, [], False, "static", "auto", "direct"),
        (False, [calculator()], False, "static", "auto", "guided"),
        (True, [calculator()], True, "static", "auto", "per_node"),
        (True, [calculator()], False, "dynamic", "auto", "per_node"),
        (True, [calculator()], False, "static", "guided", "guided"),
        (True, ["look_up"], False, "static", "auto", "per_node"),
    ],
)
def test_what_is_known_before_there_is_a_plan(
    weak: bool, tools: list[Any], small: bool, mode: Any, wanted: Any, known: str
) -> None:
    decomposer = LineDecomposer(RoleModel(ScriptedChatModel(script=[]), small=weak))
    solver = RoleModel(ScriptedChatModel(script=[]), small=small)
    catalogue = Catalogue(look_up if each == "look_up" else each for each in tools)
    assert protocol_of_any_plan(catalogue, decomposer, mode, solver, wanted) == known


@tool
def look_up(name: str) -> str:
    """Looks a name up."""
    return name


@pytest.mark.parametrize(
    ("writer", "tools", "small", "mode", "wanted", "told"),
    [
        ("distilled", [calculator()], False, "static", "auto", []),
        ("distilled", [calculator(), look_up], False, "static", "guided", ["look_up"]),
        ("distilled", [calculator(), look_up], False, "static", "auto", ["calculator", "look_up"]),
        ("distilled", [calculator()], False, "static", "per_node", ["calculator"]),
        ("distilled", [calculator()], False, "dynamic", "auto", ["calculator"]),
        ("distilled", [calculator()], True, "static", "auto", ["calculator"]),
        ("examples", [calculator()], False, "static", "auto", ["calculator"]),
        ("json", [calculator()], False, "static", "guided", ["calculator"]),
    ],
)
def test_a_distilled_plan_that_guides_is_for_the_solver_alone(
    writer: str, tools: list[Any], small: bool, mode: Any, wanted: Any, told: list[str]
) -> None:
    model = RoleModel(ScriptedChatModel(script=[]))
    decomposer = JsonDecomposer(model) if writer == "json" else LineDecomposer(model, examples=writer == "examples")
    solver = RoleModel(ScriptedChatModel(script=[]), small=small)
    known = protocol_of_any_plan(Catalogue(tools), decomposer, mode, solver, wanted)
    assert list(tools_to_plan_for(Catalogue(tools), decomposer, known)) == told
