"""Grades: strict ones are strict, and lenient ones are never the headline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.batch.examples import Example
from anabranch.evals.tasks import TASKS, bamboogle, drop, find_task, gsm8k, own, parallelqa, strategyqa
from anabranch.evals.tasks.task import Task
from anabranch.grading import (
    exact_match,
    is_number,
    last_is_number,
    normalize,
    numbers,
    right_answer,
    token_f1,
    yes_or_no,
)


def example(*answers: str) -> Example:
    return Example(id="1", question="q?", answers=answers)


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("18", "18", True),
        ("$18.00.", "18", True),
        ("18 dollars", "18", True),
        ("1,200", "1200", True),
        ("1200", "1,200", True),
        ("−5", "-5", True),
        ("50%", "50", True),
        ("18 = 18", "18", True),
        ("9 x 2 = 18", "18", False),
        ("18 or 19", "18", False),
        ("180", "18", False),
        ("1.8", "18", False),
        ("eighteen", "18", False),
        ("", "18", False),
        ("-18", "18", False),
        ("2-18", "18", False),
        ("1/2", "0.5", False),
        (".5", "0.5", True),
    ],
)
def test_one_number_and_no_other(answer: str, gold: str, right: bool) -> None:
    assert is_number(answer, gold) is right


@given(st.integers(-(10**9), 10**9), st.text("abc $.%:\n", max_size=8))
def test_a_number_is_found_among_words(number: int, words: str) -> None:
    assert numbers(f" {words} {number:,} ")[-1:] == [number]
    assert is_number(f"{number:,} units", str(number))
    assert last_is_number(f"3 and then {number}.", str(number))


def test_gsm8k_is_graded_strictly_and_leniently() -> None:
    assert gsm8k.grade("9 times 2 is 18", "... 9 times 2 is 18", example("18")) == {"em": False, "lenient": True}
    assert gsm8k.grade("18", "9 * 2. Answer: 18", example("18")) == {"em": True, "lenient": True}


def test_the_papers_graders_take_what_ours_do_not() -> None:
    assert gsm8k.paper_grade("first 18 then 99", example("18"))
    assert gsm8k.paper_grade("It is 18.75", example("18"))
    assert gsm8k.paper_grade("pay $1,200.", example("1200"))
    assert not gsm8k.paper_grade("118", example("18"))
    assert drop.paper_grade("It was 3, or 13", example("3"))
    assert bamboogle.paper_grade("Well. Answer: James Madison Jr", example("james madison"))
    assert not bamboogle.paper_grade("James Madison. Answer: unknown", example("james madison"))


@pytest.mark.parametrize(
    ("answer", "gold", "em", "f1"),
    [
        ("the Baltimore Ravens", "Ravens", False, 0.67),
        ("Ravens", "Ravens.", True, 1.0),
        ("3.0", "3", True, 1.0),
        ("3 yards", "3", False, 0.67),
        ("4 yards", "3 yards", False, 0.0),
        ("twenty-two", "twenty two", True, 1.0),
        ("a an the", "x", False, 0.0),
        ("", "x", False, 0.0),
        ("10,000", "10000", True, 1.0),
    ],
)
def test_drops_official_rules(answer: str, gold: str, em: bool, f1: float) -> None:
    assert drop.grade(answer, answer, example(gold)) == {"em": em, "f1": f1}


def test_the_best_reference_counts() -> None:
    assert drop.grade("7", "7", example("9", "7")) == {"em": True, "f1": 1.0}
    assert token_f1("a red fox", ["wolf", "the red fox jumps"]) == pytest.approx(0.8)
    assert exact_match("The  Fox!", ["fox"])


def test_yes_and_no_match_themselves_only() -> None:
    assert token_f1("yes it is", ["yes"]) == 0
    assert [yes_or_no(text) for text in ("Yes.", "no, never", "True", "yes or no", "maybe", "")] == [
        "yes",
        "no",
        "yes",
        None,
        None,
        None,
    ]
    assert strategyqa.grade("No.", "", example("no")) == {"accuracy": True}
    assert strategyqa.grade("I think no", "", example("no")) == {"accuracy": False}


def test_other_tasks() -> None:
    assert own.grade("$1,200", "", example("1200")) == {"em": True, "f1": 1.0}
    assert own.grade("12 Main Street 3", "", example("12 Main Street"))["em"] is False
    assert parallelqa.grade("5900", "", example("5931.80")) == {"em": False, "near": True}
    assert parallelqa.grade("the peregrine falcon", "", example("peregrine falcon")) == {"em": True, "near": True}
    assert bamboogle.grade("It was James Madison", "", example("James Madison"))["lenient"]
    assert not bamboogle.grade("Jamesmadison", "", example("James Madison"))["lenient"]


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
@given(answer=st.text(max_size=40), gold=st.text(min_size=1, max_size=20))
def test_every_grade_lies_between_none_and_all(task: Task, answer: str, gold: str) -> None:
    scores = task.grade(answer, answer, example(gold))
    assert set(scores) == set(task.metrics)
    assert task.metric in task.metrics
    assert task.metric != "lenient"
    assert all(0 <= score <= 1 for score in scores.values())


@pytest.mark.parametrize("name", ["drop", "hotpotqa", "bamboogle", "own"])
@given(text=st.text("abcdefg 1 2 3.-'", min_size=1, max_size=20))
def test_a_reference_is_right_about_itself(name: str, text: str) -> None:
    if normalize(text) and drop.normalized(text):
        scores = find_task(name).grade(text, text, example(text))
        assert scores["em"]
        assert scores["f1"] == 1


def test_grading_is_strict() -> None:
    assert right_answer("so 5\nAnswer: $1,250.00", "1250")
    assert right_answer("so 5, thus \\(\\boxed{18}\\).", "18")
    assert right_answer("It is 18.", "18")
    assert not right_answer("3 trays of 6 are 18.", "18")
    assert not right_answer("Answer: 3 or 4", "3")
    assert not right_answer("Answer: 4, not 3\nSo 3", "3")


def test_answers_in_words_are_graded_too() -> None:
    assert right_answer("Hm.\nAnswer: The Salt Road.", "salt road")
    assert not right_answer("It is in The Salt Road", "The Salt Road")
    assert not right_answer("Answer: yes, no", "yes")
    assert right_answer("Answer: 12", "12")
    assert not right_answer("Answer:", "yes")
