from typing import Any

from anabranch.distill import datasets
from anabranch.distill.datasets import Skipped
from tests.distill.rows import GSM8K, MUSIQUE, STRATEGYQA

QDMR = ["return states", "return #1 that border ohio"]


def test_human_plans_become_demonstrations_and_bad_rows_are_listed() -> None:
    skipped = Skipped()
    (plan,) = datasets.strategyqa(STRATEGYQA, skipped)
    assert [step.kind for step in plan.steps] == ["fact", "fact", "logic"]
    assert plan.steps[2].text == "Is {1} before {2}?"
    assert skipped.reasons == {"no plan": ["s-2"], "a step refers forward or has brackets": ["s-3"]}


def test_properties_become_questions() -> None:
    (plan,) = datasets.musique(MUSIQUE)
    assert [step.text for step in plan.steps] == ["Who is the author of The Salt Road?", "Where was {1} born?"]
    assert datasets.as_question("x >> no such property") is None


def test_plans_over_databases_are_for_a_database_tool() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "q-1", "split": "train", "question": "Which states border  Ohio?", "sub_questions": QDMR},
        {"id": "q-2", "split": "dev", "question": "Which rivers?", "sub_questions": ["return rivers"]},
        {"id": "q-3", "split": "train", "question": "Which?", "sub_questions": ["return rows"] * 9},
        {"id": "q-4", "split": "train", "question": "Which?", "sub_questions": [7]},
        {"id": "q-5", "split": "train", "question": "Which?", "sub_questions": ["return #2", "return rows"]},
    ]
    skipped = Skipped()
    (plan,) = datasets.qdmr(rows, skipped)
    assert plan.question == "Which states border Ohio?"
    assert [(step.text, step.kind) for step in plan.steps] == [
        ("Return states", "sql"),
        ("Return {1} that border ohio", "sql"),
    ]
    assert skipped.reasons == {
        "more steps than a plan may have": ["q-3"],
        "no plan": ["q-4"],
        "a step refers forward or has brackets": ["q-5"],
    }


def test_literal_braces_survive() -> None:
    assert datasets.to_slots("Is #1 {2}?") == "Is {1} {{2}}?"


def test_solution_steps_hide_their_results_and_name_earlier_ones() -> None:
    steps = datasets.calculations(GSM8K[0])
    assert steps is not None
    assert [step.expression for step in steps] == ["3 * 12", "{1} - 7"]
    assert [step.result for step in steps] == ["36", "29"]
    assert "36" not in steps[0].prose
    assert "{1}-7 = ?" in steps[1].prose


def test_a_solution_that_misses_its_answer_is_left_out() -> None:
    assert datasets.calculations({**GSM8K[0], "answer": "5"}) is None
    assert datasets.calculations({**GSM8K[0], "meta": {"steps": ["He makes <<3*12=40>>40."]}, "answer": "40"}) is None
    assert datasets.calculations({"id": "x"}) is None
