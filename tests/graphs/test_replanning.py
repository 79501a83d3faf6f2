"""Plans after the first: replans in static mode, layers in dynamic mode."""

from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import ask, plan_json, planner, reader


def test_a_replan_sees_what_failed_and_keeps_what_was_answered() -> None:
    second = plan_json(("search", "When was Craig Newmark born?", []), first_id=3)
    first = plan_json(("search", "Who founded Craigslist?", []), ("search", "Birthday of the boss?", []))
    decomposer = ScriptedChatModel(script=[first, second])

    def solver(prompt: str) -> str:
        if "Sub-questions and their answers:" in prompt and "3 [search]" not in prompt:
            return "REPLAN: the year of birth"
        return str(reader(prompt))

    result = planner(decomposer, solver).invoke(ask())
    assert result["answer"] == "In 1952"
    assert {k: a.status for k, a in result["answers"].items()} == {1: "done", 2: "failed", 3: "done"}
    assert "the year of birth" in decomposer.prompts[1]
    assert "1 [search] Who founded Craigslist? = Craig Newmark" in decomposer.prompts[1]
    assert "Number new sub-questions from 3" in decomposer.prompts[1]


def test_replans_are_bounded() -> None:
    decomposer = ScriptedChatModel(
        script=[plan_json(("search", f"unknown {n}?", []), first_id=n) for n in range(1, 10)]
    )
    result = planner(
        decomposer, lambda p: "I do not know" if "Sub-questions and their answers:" in p else "NOT FOUND", max_replans=2
    )
    out = result.invoke(ask())
    assert len(decomposer.prompts) == 3
    assert out["answer"] == "No answer was found."


def test_a_replan_that_repeats_what_failed_is_not_run_again() -> None:
    same = plan_json(("search", "unknown?", []))
    again = plan_json(("search", "unknown?", []), first_id=2)
    out = planner(
        [same, again, again], lambda p: "gave up" if "Sub-questions and their answers:" in p else "NOT FOUND"
    ).invoke(ask())
    assert out["answer"] == "No answer was found."
    assert out["plan"].ids == (1,)


def test_dynamic_mode_plans_layer_by_layer() -> None:
    layers = [
        plan_json(("search", "Who founded Craigslist?", [])),
        plan_json(("search", "When was {1} born?", [1]), first_id=2),
        plan_json(),
    ]
    decomposer = ScriptedChatModel(script=layers)
    result = planner(decomposer, mode="dynamic").invoke(ask())
    assert result["answer"] == "In 1952"
    assert "= Craig Newmark" in decomposer.prompts[1]
    assert "2 [search] When was Craig Newmark born? = 1952" in decomposer.prompts[2]


def test_dynamic_mode_is_bounded() -> None:
    counter = iter(range(1, 100))

    def endless(_prompt: str) -> str:
        number = next(counter)
        return plan_json(("solve", f"q{number}?", []), first_id=number)

    decomposer = ScriptedChatModel(script=endless)
    result = planner(decomposer, lambda p: "x", mode="dynamic", max_sub_questions=4).invoke(ask())
    assert len(result["answers"]) == 4
    assert len(decomposer.prompts) == 4
