"""How plans compare with the right calls."""

import pytest

from anabranch.codecs import decode_lines
from anabranch.evals.toolplans.data import ToolRequest
from anabranch.evals.toolplans.scores import PlanScore, score
from anabranch.grading import dependencies, multiset_f1

NAMES = {"find": "find", "book": "book", "mail_1": "mail!", "pay": "pay"}
WANTED = ToolRequest(id="1", question="q", tools=("find", "book", "mail!"), links=(("find", "book"), ("book", "mail!")))


def scored(lines: str, wanted: ToolRequest = WANTED) -> PlanScore:
    return score(decode_lines(lines), NAMES, wanted)


def test_the_right_plan() -> None:
    assert scored("1 [find] a\n2 [book] {1}\n3 [mail_1] {2}") == PlanScore(1.0, 1.0, 1.0, True)


def test_calls_without_slots_are_in_order_alone() -> None:
    assert scored("1 [find] a\n2 [book] b\n3 [mail_1] c") == PlanScore(1.0, 0.0, 1.0, True)


@pytest.mark.parametrize(
    ("lines", "nodes"),
    [
        ("1 [find] a", 0.5),
        ("1 [find] a\n2 [find] b\n3 [find] c", 1 / 3),
        ("1 [pay] a", 0.0),
        ("DIRECT", 0.0),
        ("1 [solve] a\n2 [find] b\n3 [book] c\n4 [mail_1] d", 1.0),
    ],
)
def test_tools_are_counted_as_often_as_they_are_called(lines: str, nodes: float) -> None:
    assert scored(lines).nodes == pytest.approx(nodes)


def test_dependencies_go_through_steps_of_the_solver() -> None:
    plan = decode_lines("1 [find] a\n2 [solve] pick one of {1}\n3 [book] {2}\n4 [solve] b\n5 [pay after 4] c")
    assert dependencies(plan, NAMES) == [("find", "book")]


def test_requests_without_links_have_no_link_scores() -> None:
    alone = ToolRequest(id="1", question="q", tools=("find", "pay"))
    assert scored("1 [pay] a\n2 [find] b", alone) == PlanScore(1.0, None, None, True)
    nothing = ToolRequest(id="1", question="q", tools=())
    assert scored("DIRECT", nothing).nodes == 1.0


def test_f1_of_nothing_and_nothing_is_perfect() -> None:
    assert multiset_f1([], []) == 1.0
    assert multiset_f1([], ["a"]) == 0.0
    assert multiset_f1(["a", "a"], ["a"]) == pytest.approx(2 / 3)
