from random import Random

import pytest

from anabranch.agents.prompts import lines_messages
from anabranch.codecs import DIRECT, decode_lines
from anabranch.distill import templates
from anabranch.distill.catalogues import shipped
from anabranch.distill.records import Demonstration, Step
from anabranch.distill.render import as_messages, layers, plan_over, training_rows, with_answers
from anabranch.distill.solving import argument_rows, step_rows
from anabranch.plan import Plan, SubQuestion, slots
from anabranch.tools import Catalogue, calculator, document_search, python_sandbox

CHAIN = Demonstration(
    id="d",
    source="test",
    question="How old was the founder of the quay when it opened?",
    steps=(
        Step(text="Who founded the quay?", answer="Ada Quist", other="Who was the founder of the quay?"),
        Step(text="In which year was {1} born?", answer="1830"),
        Step(text="In which year did the quay open?", answer="1874"),
        Step(text="How many years are there from {2} to {3}?", kind="arithmetic", expression="{3} - {2}"),
    ),
)


def test_routes_come_from_the_catalogue() -> None:
    assert [q.route for q in plan_over(CHAIN, {"search": "wiki", "python": "py"}).sub_questions] == ["wiki"] * 3 + [
        "py"
    ]
    assert {q.route for q in plan_over(CHAIN, {}).sub_questions} == {"solve"}
    single = CHAIN.model_copy(update={"steps": CHAIN.steps[:1]})
    assert plan_over(single, {}).is_direct
    assert not plan_over(single, {"search": "search"}).is_direct


SUMS = Demonstration(
    id="s",
    source="test",
    question="Ryan caught 3 times the 20 fish of Jason, and Jeffery twice as many as Ryan. How many did all catch?",
    steps=(
        Step(text="How many fish did Ryan catch, if he caught 3 times 20?", kind="arithmetic"),
        Step(text="How many fish did Jeffery catch, given {1} and 2?", kind="arithmetic"),
        Step(text="How many fish did all catch, if they caught {1}, {2} and 20?", kind="arithmetic"),
    ),
)


def test_sums_for_the_solver_are_asked_for_in_short() -> None:
    short = ["How many fish did Ryan catch?", "How many fish did Jeffery catch?", "How many fish did all catch?"]
    assert [q.text for q in plan_over(SUMS, {"search": "wiki"}).sub_questions] == short
    assert [q.text for q in plan_over(SUMS, {"calculator": "sums"}).sub_questions] == [step.text for step in SUMS.steps]
    away = Step(text="How many fish were given away if half were?", kind="arithmetic")
    assert plan_over(SUMS.model_copy(update={"steps": (*SUMS.steps, away)}), {}).sub_questions[3].text == away.text
    alike = SUMS.model_copy(
        update={"steps": (*SUMS.steps, Step(text="How many fish did all catch?", kind="arithmetic"))}
    )
    assert plan_over(alike, {}).sub_questions[0].text == SUMS.steps[0].text, "two would be the same"


def test_shipped_cards_are_those_of_the_tools(tmp_path: object) -> None:
    tools = Catalogue([calculator(), document_search(["README.md"]), python_sandbox()])
    assert list(shipped("calculator", "search", "python").cards) == list(tools.cards)


def test_answers_and_layers() -> None:
    assert with_answers(CHAIN.steps)[3].answer == "44"
    assert layers(CHAIN.steps) == [[0, 2], [1], [3]]


@pytest.mark.parametrize("seed", range(40))
def test_every_row_is_a_valid_continuation(seed: int) -> None:
    random = Random(seed)
    demonstrations = [CHAIN, *templates.written(random, 20)]
    for row in training_rows(demonstrations, random):
        system, user = (message["content"] for message in row["messages"])
        assert system == as_messages(lines_messages("q", []))[0]["content"].replace(
            "solve: reasoning or general knowledge, without a tool.", system.partition("Routes:\n")[2]
        )
        known = user.count("\n") and max((int(n) for n in _asked(user)), default=0)
        base = Plan(sub_questions=tuple(SubQuestion(id=n, text="x") for n in range(1, known + 1)))
        plan = decode_lines(row["completion"], base=base)
        assert plan.ids == tuple(range(1, len(plan.ids) + 1))


def _asked(user: str) -> list[str]:
    asked = user.partition("Asked so far:\n")[2].partition("\n\n")[0]
    return [line.split(" ")[0] for line in asked.splitlines()]


def test_the_same_seed_gives_the_same_rows() -> None:
    def rows() -> list[dict[str, object]]:
        return list(training_rows(templates.written(Random(3), 50), Random(4)))

    assert rows() == rows()


def test_chat_is_direct() -> None:
    chat = Demonstration(id="c", source="test", question="Hello!")
    assert all(row["completion"] == DIRECT for row in training_rows([chat] * 20, Random(1)))


def test_solver_rows_fill_slots_on_both_sides() -> None:
    (row,) = argument_rows([CHAIN], Random(0))
    assert not slots(row["messages"][1]["content"])
    assert "1874 - 1830" in row["completion"]


def test_comparisons_are_answered_by_the_larger_value() -> None:
    compared = [d for d in templates.written(Random(5), 300) if d.source == "written_comparison"]
    rows = list(step_rows(compared))
    assert len(rows) > 20
    assert all(row["completion"] in row["messages"][1]["content"] for row in rows)
