import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.codecs import (
    DONE,
    decode_json,
    decode_line,
    decode_lines,
    encode_json,
    encode_line,
    encode_lines,
    from_dict,
)
from anabranch.errors import CycleError, PlanError, PlanReferenceError, PlanSyntaxError
from anabranch.plan import Plan, SubQuestion
from tests.strategies import any_text, plans


def sub(id_: int, text: str = "q", *depends_on: int, route: str = "solve") -> SubQuestion:
    return SubQuestion(id=id_, text=text, route=route, depends_on=depends_on)


def split(plan: Plan, at: int) -> tuple[Plan, Plan]:
    """The plan's first sub-questions, and the others without the check that they stand alone."""
    return Plan(sub_questions=plan.sub_questions[:at]), Plan.model_construct(sub_questions=plan.sub_questions[at:])


# Round trips


@given(plans(), st.integers(0, 5))
def test_lines_round_trip_on_top_of_a_base(plan: Plan, at: int) -> None:
    base, new = split(plan, at)
    assert decode_lines(encode_lines(plan)) == plan
    assert decode_lines(encode_lines(new), base=base) == plan


@given(plans(), st.integers(0, 5))
def test_json_round_trip_on_top_of_a_base(plan: Plan, at: int) -> None:
    base, new = split(plan, at)
    assert decode_json(encode_json(plan)) == plan
    assert decode_json(encode_json(new), base=base) == plan


@given(plans(), st.sampled_from([None, 2]), st.booleans(), any_text.filter(lambda t: "```" not in t))
def test_json_in_a_fence_round_trips(plan: Plan, indent: int | None, named: bool, prose: str) -> None:
    text = json.dumps(json.loads(encode_json(plan)), indent=indent, ensure_ascii=named)
    assert decode_json(f"{prose}\n```{'json' if named else ''}\n{text}\n```\n{prose}") == plan


@given(plans())
def test_a_sub_question_is_always_one_line(plan: Plan) -> None:
    lines = encode_lines(plan).split("\n")
    assert len(lines) == max(1, len(plan.ids))
    assert [decode_line(line) for line in lines if plan.ids] == list(plan.sub_questions)


@given(plans(), st.sampled_from(["\r\n", "\n\n", "\n \n", "  \n\t"]))
def test_line_ends_and_blank_lines_do_not_matter(plan: Plan, separator: str) -> None:
    assert decode_lines("\n" + encode_lines(plan).replace("\n", separator) + "\r\n") == plan


@pytest.mark.parametrize(
    ("question", "line"),
    [
        (sub(1, "Who founded Craigslist?", route="search"), "1 [search] Who founded Craigslist?"),
        (sub(2, "When was {1} born?", 1), "2 [solve] When was {1} born?"),
        (sub(3, "An engineer?", 1, 2), "3 [solve after 1,2] An engineer?"),
        (sub(4, "{1}", 1, 3), "4 [solve after 3] {1}"),
        (sub(5, "a\nb\\n\rc"), "5 [solve] a\\nb\\\\n\\rc"),
    ],
)
def test_the_form_of_a_line(question: SubQuestion, line: str) -> None:
    assert encode_line(question) == line
    assert decode_line(line) == question


def test_words_for_empty_plans() -> None:
    assert encode_lines(Plan()) == "DIRECT"
    assert encode_lines(Plan(), empty=DONE) == "DONE"
    base = Plan(sub_questions=(sub(1),))
    assert decode_lines(" DIRECT\n") == Plan()
    assert decode_lines("DONE", base=base) == base
    assert decode_json('{"sub_questions": []}', base=base) == base


@pytest.mark.parametrize(
    "line",
    ["2. [solve] a", "2) [solve] a", "2: [solve] a", "  2 [solve] a ", "2[solve]a", "2 [solve] a\r", "02 [solve] a"],
)
def test_small_slips_in_a_line_are_forgiven(line: str) -> None:
    assert decode_line(line) == sub(2, "a")


# What is not a plan


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\n",
        "Sure! Here is the plan:\n1 [solve] a",
        "1 solve a",
        "[solve] a",
        "1 [] a",
        "1 [two words] a",
        "1 [solve after] a",
        "1 [solve after x] a",
        "1 [solve a",
        "x [solve] a",
        "-1 [solve] a",
        "\u0661 [solve] a",
        "1234567 [solve] a",
        "1 [solve]",
        "1 [solve]   ",
        "0 [solve] a",
        "direct",
        "DIRECT\n1 [solve] a",
        "1 [solve] a\nDONE",
        "```\n1 [solve] a\n```",
        "1 [" + "x" * 65 + "] a",
        "1 [solve] " + "x" * 20_001,
        "\ud800",
        "1 [solve] \ud800",
    ],
)
def test_text_that_is_no_plan_in_lines(text: str) -> None:
    with pytest.raises(PlanSyntaxError) as caught:
        decode_lines(text)
    assert len(str(caught.value)) < 300


def test_a_bad_line_names_its_sub_question() -> None:
    with pytest.raises(PlanSyntaxError, match="sub-question 7") as caught:
        decode_lines("1 [solve] a\n7 [solve]  ")
    assert caught.value.sub_question == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "null",
        "[]",
        "3",
        '"sub_questions"',
        "{}",
        '{"sub_questions": null}',
        '{"sub_questions": {}}',
        '{"sub_questions": [',
        '{"sub_questions": [1, null, "a"]}',
        '{"plan": []}',
        "[" * 100_000,
        '{"sub_questions": ' + "[" * 5_000 + "]" * 5_000 + "}",
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"sub_questions": [{"id": ' + "9" * 5_000 + ', "text": "a"}]}',
        "```json\n```",
        "```json\n{\n```",
        "\ufeff{}",
        "\x00",
    ],
)
def test_text_that_is_no_plan_in_json(text: str) -> None:
    with pytest.raises(PlanSyntaxError) as caught:
        decode_json(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "item",
    [
        "null",
        '"1 [solve] a"',
        "[]",
        '{"id": 3}',
        '{"id": 3, "text": null}',
        '{"id": 3, "text": 5}',
        '{"id": 3, "text": " "}',
        '{"id": 3, "text": ["a"]}',
        '{"id": 3, "text": "a", "route": "two words"}',
        '{"id": 3, "text": "a", "depends_on": ["b"]}',
        '{"id": 3, "text": "a", "depends_on": [1.5]}',
        '{"id": 3, "text": "a", "depends_on": [NaN]}',
        '{"id": 3, "text": "a", "depends_on": [[1]]}',
        '{"id": NaN, "text": "a"}',
        '{"id": Infinity, "text": "a"}',
        '{"id": 1e400, "text": "a"}',
        '{"id": 1000000, "text": "a"}',
        '{"id": -1, "text": "a"}',
        '{"id": 0, "text": "a"}',
        '{"id": 1.5, "text": "a"}',
        '{"id": "x", "text": "a"}',
        '{"id": ' + "9" * 4_000 + ', "text": "a"}',
    ],
)
def test_json_with_a_bad_sub_question_names_it(item: str) -> None:
    with pytest.raises(PlanSyntaxError, match=r"sub-question [23]: ") as caught:
        decode_json(f'{{"sub_questions": [{{"id": 1, "text": "a"}}, {item}]}}')
    # Its id if that is one at all, else its place.
    assert caught.value.sub_question == (3 if '"id": 3' in item else 2)


@given(any_text)
def test_any_text_is_a_plan_or_a_plan_error(text: str) -> None:
    for decode in (decode_lines, decode_json):
        try:
            assert isinstance(decode(text), Plan)
        except PlanError as error:
            assert str(error)  # noqa: PT017


scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3))
items = st.fixed_dictionaries({"id": scalars, "text": scalars}, optional={"route": values, "depends_on": values})


@given(values | st.fixed_dictionaries({"sub_questions": st.lists(items | values, max_size=3)}))
def test_any_parsed_json_is_a_plan_or_a_plan_error(data: Any) -> None:
    try:
        assert isinstance(from_dict(data), Plan)
    except PlanError as error:
        assert str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("lines", "error", "at_fault"),
    [
        ("1 [solve] a\n1 [solve] b", PlanReferenceError, 1),
        ("1 [solve] a\n2 [solve] {3}", PlanReferenceError, 2),
        ("1 [solve] {2}\n2 [solve] {1}", CycleError, 1),
        ("1 [solve] a\n2 [solve after 2] b", CycleError, 2),
    ],
)
def test_sub_questions_that_do_not_fit_together(lines: str, error: type[PlanError], at_fault: int) -> None:
    as_json = json.dumps({"sub_questions": [decode_line(line).model_dump() for line in lines.split("\n")]})
    for decode, text in ((decode_lines, lines), (decode_json, as_json)):
        with pytest.raises(error) as caught:
            decode(text)
        assert caught.value.sub_question == at_fault


def test_lines_stand_in_order() -> None:
    with pytest.raises(PlanReferenceError, match="comes later"):
        decode_lines("1 [solve] {2}\n2 [solve] a")


def objects(*items: str) -> str:
    return '{"sub_questions": [' + ", ".join(items) + "]}"


FIRST, SECOND = '{"id": 1, "text": "Who?"}', '{"id": 2, "text": "When was {1} born?", "depends_on": [1]}'
TWO = Plan(sub_questions=(SubQuestion(id=1, text="Who?"), SubQuestion(id=2, text="When was {1} born?")))


@pytest.mark.parametrize(
    "text",
    [
        f"Slots are written {{1}}. {objects(FIRST, SECOND)}",
        f"[{FIRST}, {SECOND}]",
        f'The form is {{"sub_questions": []}}. {objects(FIRST, SECOND)}',
        f"{{}} {objects(FIRST)} Better: {objects(FIRST, SECOND)}",
        objects(SECOND, FIRST),
        objects(FIRST, SECOND.replace("[1]", "null")),
        objects(FIRST, SECOND.replace("[1]", "1")),
        objects(FIRST.replace("1", '"1"'), SECOND),
        objects(FIRST.replace("}", ', "why": "x", "route": null}'), SECOND),
        f"<think>{objects(SECOND)}</think>{objects(FIRST, SECOND)}",
        objects(FIRST, SECOND).replace('"', "'"),
        objects(FIRST, SECOND).replace("[{", '[ // "the" plan\n {'),
        objects(FIRST, SECOND).replace("sub_questions", "subQuestions"),
        f'{{"plan": {objects(FIRST, SECOND)}}}',
        f'{{"steps": [{FIRST}, {SECOND}]}}',
        objects(FIRST.replace('"id": 1, ', ""), SECOND.replace('"id": 2, ', "")),
        objects(FIRST.replace("1", '"Q1"'), SECOND.replace("2", '"Q2"').replace("[1]", '["Q1"]')),
        objects(FIRST, SECOND.replace("[1]", '["{1}"]')),
        objects(FIRST.replace('"text"', '"question"'), SECOND),
    ],
)
def test_a_plan_is_read_out_of_a_loose_reply(text: str) -> None:
    assert decode_json(text) == TWO


def test_a_loose_slot_is_a_dependency_if_there_is_such_a_sub_question() -> None:
    plan = decode_json(objects(FIRST, '{"id": 2, "text": "When was { 1 } born, in { 7 }?"}'))
    assert plan.sub_questions[1].depends_on == (1,)
    assert decode_json(objects(FIRST, '{"id": 2, "text": "What is {{1}}?"}')).sub_questions[1].depends_on == ()
    said = objects(FIRST, '{"id": 2, "text": "What is { 1 }?", "depends_on": []}')
    assert decode_json(said).sub_questions[1].depends_on == ()


def test_new_sub_questions_may_not_take_an_id_of_the_base() -> None:
    base = Plan(sub_questions=(sub(1),))
    with pytest.raises(PlanReferenceError, match="appears twice"):
        decode_lines("1 [solve] b", base=base)


def test_json_between_prose_is_read() -> None:
    plan = Plan(sub_questions=(SubQuestion(id=1, text="a {b}"),))
    assert decode_json(f"Here is the plan: {encode_json(plan)} I hope it helps {{}}.") == plan


def test_literals_with_keys_that_are_no_text_are_no_plan() -> None:
    with pytest.raises(PlanError):
        decode_json('{1: ["a?"]}')
