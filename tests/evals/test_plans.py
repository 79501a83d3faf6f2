"""Measures of plans."""

import pytest

from anabranch.batch.examples import Example
from anabranch.evals.plans import agreement, critical_path, leaking, measures, redundant
from anabranch.evals.records import Record, Tokens
from anabranch.plan import Answer, Plan, SubQuestion

QUESTION = "How much older is the bridge than the railway of 1870?"


def plan(*steps: tuple[str, str]) -> Plan:
    return Plan(sub_questions=tuple(SubQuestion(id=n, text=t, route=r) for n, (r, t) in enumerate(steps, 1)))


TWO = plan(("search", "When was the bridge built?"), ("search", "When was the railway built?"), ("solve", "{2} - {1}"))
EXAMPLE = Example(
    id="1",
    question=QUESTION,
    answers=("37",),
    steps=("In which year was the bridge built?", "When was the railway opened?", "What is {2} minus {1}?"),
    kinds=("lookup", "lookup", "reason"),
)


def record(plan_: Plan | None, *answers: str, calls: int = 1) -> Record:
    found = tuple(Answer(id=n, text=text) for n, text in enumerate(answers, 1))
    return Record(
        system="s", fingerprint="f", id="1", plan=plan_, answers=found, decomposing=Tokens(calls=calls), rounds=1
    )


def test_the_critical_path() -> None:
    assert critical_path(TWO) == 2
    assert critical_path(plan(("solve", "a"), ("solve", "{1}"), ("solve", "{2}"))) == 3
    assert critical_path(Plan()) == 0


def test_repetitions_are_redundant_and_the_same_form_is_not() -> None:
    same = plan(("search", "When was the bridge built?"), ("search", "When was the bridge built"), ("solve", QUESTION))
    assert redundant(same, QUESTION) == [False, True, True]
    assert redundant(TWO, QUESTION) == [False, False, False]
    slots = plan(("search", "a?"), ("search", "b?"), ("search", "Who is {1}?"), ("search", "Who is {2}?"))
    assert redundant(slots, QUESTION) == [False] * 4
    assert redundant(plan(("solve", QUESTION)), QUESTION) == [False]


def test_a_sub_question_that_gives_its_answer_away() -> None:
    leak = plan(("search", "Was the bridge built in 1833?"), ("solve", "Is 1870 less {1} not 37?"), ("solve", "And?"))
    assert leaking(leak, record(leak, "1833", "37", "x"), EXAMPLE) == [True, True, False]
    assert leaking(TWO, record(TWO, "1833", "1870", "37"), EXAMPLE) == [False, False, False]
    given = plan(("search", "What opened in 1870?"), ("solve", "What else was in 1833?"))
    assert leaking(given, record(given, "1870", "1833"), EXAMPLE) == [False, True]
    later = plan(("search", "When was it built?"), ("solve", "What else was in 1833?"))
    assert leaking(later, record(later, "1833", "a"), EXAMPLE) == [False, False]


def test_agreement_with_people() -> None:
    human = EXAMPLE.human_plan()
    assert human is not None
    same, pairs = agreement(human, human)
    assert same == 1
    assert len(pairs) == 3
    partly, pairs = agreement(TWO, human)
    assert 0.4 < partly < 1
    assert {(1, 1), (2, 2)} <= {(ours.id, theirs.id) for ours, theirs in pairs}
    assert agreement(plan(("solve", "zebra")), human)[0] == 0


def test_measures_of_a_system() -> None:
    found = measures(
        [
            (record(TWO, "1833", "1870", "37"), EXAMPLE),
            (record(Plan(), calls=2), EXAMPLE),
            (record(None), EXAMPLE),
        ]
    )
    assert found["planned"].value == 50
    assert found["valid"].value == 50
    assert found["sub_questions"].value == 3
    assert found["critical_path"].value == pytest.approx(2 / 3)
    assert found["routes"].value == 100
    assert found["same_length"].value == 100
    assert measures([(record(None), EXAMPLE)]) == {}
