"""Lengths stay within their limits, whatever people, models and tools write; what is cut says so."""

import json
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anabranch import bounds
from anabranch.agents import prompts
from anabranch.bounds import fits, is_shortened, one_line, share, shorten, words_of_error
from anabranch.codecs import decode_json, decode_lines
from anabranch.errors import ModelError, PlanError, PlanSizeError
from anabranch.graphs.step import told
from anabranch.plan import Answer, Plan, SubQuestion, fill
from anabranch.slots import has_room
from anabranch.tools.expressions import filled_expression

MOST = bounds.MAX_LISTED_CHARS + bounds.MAX_UNDERSTOOD_CHARS * 2 + bounds.MAX_EVIDENCE_CHARS + 10_000
"""More than any prompt may have."""


@st.composite
def long_text(draw: st.DrawFn, most: int = 300_000) -> str:
    """A text of any length: a piece many times."""
    piece = draw(st.sampled_from(["a", "a ", "é", "\n", "b\n", "{1}", "{{1}}", "{1}{2}", "{ 3 } ", "1 "]))
    return piece * draw(st.integers(0, most // len(piece)))


@st.composite
def large_plan(draw: st.DrawFn) -> tuple[Plan, dict[int, Answer]]:
    """A plan that refers to its answers again and again, with long answers."""
    questions: list[SubQuestion] = []
    answers: dict[int, Answer] = {}
    for id_ in range(1, draw(st.integers(2, 12))):
        slots = "".join(f"{{{n}}}" for n in range(1, id_)) or "?"
        text = (slots * draw(st.integers(1, 7_000)))[:20_000].rpartition("}")[0] + "}" if id_ > 1 else "?"
        depends = tuple(range(1, id_)) if draw(st.booleans()) else ()
        questions.append(SubQuestion(id=id_, text=text if id_ > 1 else "What?", depends_on=depends))
        kind = draw(st.sampled_from(["done", "failed", "none"]))
        if kind == "done":
            answers[id_] = Answer(id=id_, text=draw(long_text()), question=draw(long_text()))
        elif kind == "failed":
            answers[id_] = Answer(id=id_, status="failed", error=draw(long_text()))
    return Plan(sub_questions=tuple(questions)), answers


def length(messages: list[Any]) -> int:
    return sum(len(message.text) for message in messages)


@settings(max_examples=12, deadline=None)
@given(large_plan(), long_text(), long_text())
def test_no_prompt_is_longer_than_it_may_be(made: tuple[Plan, dict[int, Answer]], question: str, other: str) -> None:
    plan, answers = made
    listed = prompts.answer_lines(plan.sub_questions, answers)
    assert len(listed) <= bounds.MAX_LISTED_CHARS
    assert len(prompts.answer_lines(plan.sub_questions, answers, flat=False)) <= bounds.MAX_LISTED_CHARS
    for built in (
        prompts.lines_messages(question, [], "dynamic", asked=plan, answers=answers, feedback=other, examples=True),
        prompts.json_messages(question, [], "dynamic", asked=plan, answers=answers, feedback=other, earlier=other),
        prompts.direct_messages(question, "whole"),
        prompts.guided_messages(question, plan),
        *(prompts.standalone_messages(question, other, form) for form in prompts.STANDALONE_INSTRUCTIONS),
        prompts.step_messages(question),
        prompts.read_messages(question, other),
        prompts.check_messages(question, other, question),
        prompts.arguments_messages(question, "n", "d", "{}"),
        prompts.action_messages(question, "n", "d", "{}", ["k"], other),
        prompts.join_messages(question, plan, answers, may_replan=True),
        prompts.join_messages(question, plan, answers, may_replan=True, form="whole"),
    ):
        assert length(built) <= MOST


@settings(max_examples=25, deadline=None)
@given(large_plan())
def test_no_sub_question_is_asked_in_more_characters_than_it_may_have(made: tuple[Plan, dict[int, Answer]]) -> None:
    plan, answers = made
    for question in plan.sub_questions:
        inputs = {id_: answers[id_] for id_ in question.depends_on if id_ in answers and answers[id_].ok}
        if not has_room(question.text, {id_: answer.text for id_, answer in inputs.items()}):
            with pytest.raises(ModelError, match="refer to them fewer times"):
                told(question, inputs)
            continue
        text = told(question, inputs)
        assert len(text) <= bounds.MAX_TOLD_CHARS
        if sum(len(answer.text) for answer in inputs.values()) > bounds.MAX_TOLD_CHARS:
            assert is_shortened(text)
        assert Answer(id=1, question=text).question == text


@settings(deadline=None)
@given(st.text(max_size=50), st.dictionaries(st.integers(1, 3), long_text(3_000), max_size=3), st.integers(0, 5_000))
def test_filling_keeps_to_the_limit_and_changes_nothing_below_it(
    text: str, answers: Mapping[int, str], limit: int
) -> None:
    text = f"{text}{{1}} and {{2}} and {{1}}"
    filled = fill(text, answers, limit)
    assert len(filled) <= max(limit, len(text))
    whole = fill(text, answers, 10**9)
    if len(text) + sum(len(answers.get(n, "")) for n in (1, 2, 1)) <= limit:
        assert filled == whole
    elif filled != whole:
        assert is_shortened(filled) or not has_room(text, answers, limit)


@given(st.text(max_size=300), st.integers(0, 300))
def test_a_text_is_cut_to_its_beginning_and_its_end(text: str, limit: int) -> None:
    cut = shorten(text, limit)
    assert len(cut) <= limit
    assert (cut == text) == (len(text) <= limit)
    if len(text) > limit > 80:
        assert is_shortened(cut)
        assert f"{len(text):,} characters" in cut
        assert text.startswith(cut.partition(" […")[0])


@given(st.lists(st.integers(0, 1_000), max_size=20), st.integers(0, 5_000))
def test_room_is_shared_so_that_short_ones_stay_whole(lengths: list[int], room: int) -> None:
    most = share(lengths, room)
    assert sum(min(length, most) for length in lengths) <= room or not lengths
    if sum(lengths) <= room:
        assert all(length <= most for length in lengths)
    else:
        assert sum(min(length, most + 1) for length in lengths) > room


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(values, st.integers(0, 400))
def test_values_are_measured_about_as_json_writes_them(value: Any, limit: int) -> None:
    written = len(json.dumps(value, ensure_ascii=False))
    if fits(value, limit):
        assert written <= 3 * limit + 10
    if written * 4 + 10 <= limit:
        assert fits(value, limit)


def test_values_with_shared_parts_are_measured_without_being_written_out() -> None:
    value: Any = ["x" * 1_000]
    for _ in range(60):
        value = [value, value]
    assert not fits(value, 1_000_000)


PLANS: dict[str, Callable[[], Any]] = {
    "lines": lambda: decode_lines("1 [solve] why?\n" * 1_000_000),
    "one line": lambda: decode_lines("1 [solve] " + "why " * 1_000_000),
    "json": lambda: decode_json('{"sub_questions": [' + '{"text": "why?"},' * 500_000 + "]}"),
    "many": lambda: decode_json(json.dumps({"sub_questions": [{"text": "?"}] * 5_000})),
    "long in all": lambda: Plan(sub_questions=tuple(SubQuestion(id=n, text="w" * 15_000) for n in range(1, 40))),
    "too many": lambda: Plan(sub_questions=tuple(SubQuestion(id=n, text="?") for n in range(1, 1_200))),
}


@pytest.mark.parametrize("make", PLANS.values(), ids=list(PLANS))
def test_plans_larger_than_any_are_refused_before_they_are_made(make: Callable[[], Any]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PlanSizeError, match="more than"):
            make()
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    finally:
        tracemalloc.stop()


def test_the_plan_that_took_a_server_down_takes_no_memory() -> None:
    """A sub-question that refers to an answer of 700 kB 3,000 times, in every place where it is filled."""
    plan = Plan(sub_questions=(SubQuestion(id=1, text="a?"), SubQuestion(id=2, text="{1}" * 3_000)))
    tracemalloc.start()
    try:
        answers = {1: Answer(id=1, text="b" * 700_000)}
        assert answers[1].shortened
        assert len(fill(plan.sub_questions[1].text, {1: "b" * 700_000})) <= bounds.MAX_FILLED_CHARS
        with pytest.raises(ModelError, match="more than 40,000"):
            told(plan.sub_questions[1], answers)
        prompts.lines_messages("q", [], asked=plan, answers=answers)
        prompts.join_messages("q", plan, answers, may_replan=False)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_what_is_calculated_with_is_never_cut() -> None:
    digits = "1" * 60_000
    assert filled_expression("{1} + 1", {1: digits}) is None
    assert filled_expression("{1} + {1}" * 2_000, {1: "5"}) is None
    assert filled_expression("sum({1}) + " * 1_500 + "1", {1: ", ".join("123456789" for _ in range(4_000))}) is None


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


NESTED: Any = "x" * 1_000
for _ in range(50):
    NESTED = [NESTED, NESTED]
ERRORS: list[tuple[BaseException, str]] = [
    (ValueError("a\n  b"), "a b"),
    (KeyError("name"), "'name'"),
    (SystemExit(3), "3"),
    (OSError(2, "No such file"), "[Errno 2] No such file"),
    (ValueError(), ""),
    (UnspeakableError(), ""),
    (ValueError(10**5_000), ""),
]


@pytest.mark.parametrize(
    ("error", "words"), ERRORS, ids=lambda value: repr(value)[:20] if isinstance(value, str) else ""
)
def test_errors_in_one_line(error: BaseException, words: str) -> None:
    assert words_of_error(error) == words
    name = type(error).__name__
    assert one_line(error) == (f"{name}: {words}" if words else name)
    assert one_line(error, named=False) == (words or name)


def test_secrets_of_an_error_are_not_told_and_not_cut_in_two() -> None:
    error = ValueError(f"{'x' * 290} my-key http://me:word@host/v1")
    assert one_line(error, "my-key").startswith("ValueError: xxx")
    assert not any(part in one_line(error, "my-key") for part in ("my-k", "word"))


@pytest.mark.parametrize("error", [ValueError("a " * 10_000_000), ValueError(NESTED), RuntimeError("x", NESTED)])
def test_errors_of_any_size_are_told_in_few_words(error: BaseException) -> None:
    tracemalloc.start()
    try:
        assert 0 < len(words_of_error(error)) <= 300
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@given(st.text(max_size=200))
def test_short_texts_are_never_touched(text: str) -> None:
    assume(text.strip())
    answer = Answer(id=1, text=text, question=text, error=text, evidence=text)
    assert (answer.text, answer.question, answer.error, answer.evidence) == (text,) * 4


def test_a_plan_error_is_one_of_ours() -> None:
    assert issubclass(PlanSizeError, PlanError)
