"""What scores count."""

from anabranch.distill.scoring import same_routes, score
from anabranch.plan import Plan, SubQuestion


def test_a_share_has_its_standard_error() -> None:
    assert str(score([True, False])) == "50.0 ± 35.4 (1/2)"


def test_routes_are_compared_step_by_step() -> None:
    plan = Plan(sub_questions=(SubQuestion(id=1, text="a", route="x"), SubQuestion(id=2, text="b")))
    assert same_routes(plan, plan) == (2, 2)
    assert same_routes(None, plan) == (0, 2)
    assert same_routes(Plan(), Plan()) == (1, 1)
