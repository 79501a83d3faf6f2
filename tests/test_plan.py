import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from syrupy.assertion import SnapshotAssertion

from anabranch.errors import CycleError, PlanReferenceError, PlanSizeError, UnknownRouteError
from anabranch.plan import Answer, Plan, SubQuestion, Usage, escape, fill, find_cycle, slots
from tests.strategies import any_text, plans

BRACELESS = any_text.map(lambda text: text.replace("{", "").replace("}", ""))


def sub(id_: int, text: str = "q", *depends_on: int, route: str = "solve") -> SubQuestion:
    return SubQuestion(id=id_, text=text, route=route, depends_on=depends_on)


def plan(*questions: SubQuestion) -> Plan:
    return Plan(sub_questions=questions)


# Slots


@given(st.lists(st.tuples(st.integers(1, 9), BRACELESS), max_size=6), BRACELESS, st.lists(any_text, min_size=9))
def test_answers_are_inserted_verbatim_and_never_scanned_again(
    parts: list[tuple[int, str]], head: str, texts: list[str]
) -> None:
    answers = dict(enumerate(texts, 1))
    text = head + "".join(f"{{{id_}}}{rest}" for id_, rest in parts)
    assert fill(text, answers) == head + "".join(answers[id_] + rest for id_, rest in parts)


@given(any_text, any_text)
def test_what_is_no_slot_stays(text: str, answer: str) -> None:
    quoted = re.compile(r"\{+[0-9]{1,6}\}+")
    plain = quoted.sub("", text)
    if not quoted.search(plain):
        assert fill(plain, dict.fromkeys(range(100), answer)) == plain


BRACED = st.lists(st.sampled_from(["{", "}", "{1}", "{{2}}", "1", "a"]), max_size=8).map("".join)


@given(any_text | BRACED, any_text)
@example("{1}", "a")
@example("{{1}}", "a")
def test_escaped_text_comes_back(text: str, answer: str) -> None:
    assert fill(escape(text), {1: answer, 2: answer}) == text
    assert slots(escape(text)) == set()


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{1} and {1}", "A and A"),
        ("{1}{2}", "A{1}"),
        ("{{1}}", "{1}"),
        ("{{1}", "{A"),
        ("{1}}", "A}"),
        ("{{{1}}}", "{{1}}"),
        ("{01}", "A"),
        ("{ 1 } {1 } {} {a} {-1} {+1} {1.0}", "{ 1 } {1 } {} {a} {-1} {+1} {1.0}"),
        ("{\u0661} {\uff11} {²}", "{\u0661} {\uff11} {²}"),
        ("{1234567}", "{1234567}"),
        ("$1 #1 \\1 \\g<1> %1 [1] (1)", "$1 #1 \\1 \\g<1> %1 [1] (1)"),
        ("{9}", "{9}"),
        ("", ""),
    ],
)
def test_fill(text: str, filled: str) -> None:
    assert fill(text, {1: "A", 2: "{1}"}) == filled


@pytest.mark.parametrize(
    ("text", "found"), [("{1} {3} {1}", {1, 3}), ("{{1}} {2}", {2}), ("{x} $1 { 1 }", set()), ("{\u0661}", set())]
)
def test_slots(text: str, found: set[int]) -> None:
    assert slots(text) == found


# Sub-questions


def test_slots_are_added_to_the_dependencies() -> None:
    assert sub(5, "{3} or {1}", 4, 1, 4).depends_on == (1, 3, 4)


def test_literal_braces_are_no_dependency() -> None:
    assert plan(sub(1, "what does {{7}} mean?")).sub_questions[0].depends_on == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 0, "text": "q"},
        {"id": 1_000_000, "text": "q"},
        {"id": 1, "text": ""},
        {"id": 1, "text": " \n\t\u3000"},
        {"id": 1, "text": "x" * 20_001},
        {"id": 1, "text": "\ud800"},
        {"id": 1, "text": "q", "route": "two words"},
        {"id": 1, "text": "q", "route": ""},
        {"id": 1, "text": "q", "route": "a]"},
        {"id": 1, "text": "q", "route": "search\n"},
        {"id": 1, "text": "q", "route": "x" * 65},
        {"id": 1, "text": "q", "tool": "search"},
    ],
)
def test_refuses_sub_questions_that_could_not_be_written(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SubQuestion.model_validate(fields)


# Plans


@given(plans())
def test_a_valid_plan_is_its_own_json(valid: Plan) -> None:
    assert Plan.model_validate_json(valid.model_dump_json()) == valid
    assert Plan.model_validate(valid.model_dump(mode="json")) == valid


@given(plans())
def test_properties_of_a_valid_plan(valid: Plan) -> None:
    used = {d for q in valid.sub_questions for d in q.depends_on}
    assert valid.is_direct == (not valid.ids)
    assert {q.id for q in valid.sinks} == set(valid.ids) - used
    assert valid.next_id > max(valid.ids, default=0)
    if valid.next_id <= 999_999:
        assert valid.extended([sub(valid.next_id, "q", *valid.ids)]).ids == (*valid.ids, valid.next_id)


@pytest.mark.parametrize(("text", "why"), [("", "at least 1"), (" \n", "at least 1"), ("x" * 20_000 + "\n", "at most")])
def test_text_that_does_not_fit(text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        SubQuestion(id=1, text=text)


def test_text_is_stripped_and_its_schema_has_the_limits() -> None:
    assert SubQuestion(id=1, text=" Why? \n").text == "Why?"
    schema = SubQuestion.model_json_schema()["properties"]["text"]
    assert (schema["minLength"], schema["maxLength"]) == (1, 20_000)


def test_an_empty_plan_is_direct() -> None:
    assert Plan().is_direct
    assert Plan().next_id == 1
    assert Plan().sinks == ()


@pytest.mark.parametrize(
    ("questions", "at_fault", "message"),
    [
        ([sub(1), sub(1)], 1, "appears twice"),
        ([sub(1), sub(2, "{7}")], 2, r"refers to \{7\}, which is not in the plan"),
        ([sub(1, "{0}")], 1, "not in the plan"),
        ([sub(1), sub(3, "q", 2), sub(2)], 3, "comes later; put 2 first"),
        ([sub(2, "{1}"), sub(1)], 2, "comes later"),
    ],
)
def test_bad_references(questions: list[SubQuestion], at_fault: int, message: str) -> None:
    with pytest.raises(PlanReferenceError, match=message) as caught:
        plan(*questions)
    assert caught.value.sub_question == at_fault


def test_a_sub_question_cannot_wait_for_itself() -> None:
    with pytest.raises(CycleError, match="4 → 4") as caught:
        plan(sub(1), sub(4, "is {4} so?", 1))
    assert caught.value.sub_question == 4


@given(st.integers(2, 40), st.randoms(use_true_random=False))
def test_a_cycle_of_any_length_is_named(length: int, random: object) -> None:
    ids = list(range(1, length + 1))
    getattr(random, "shuffle")(ids)  # noqa: B009
    waits = dict(zip(ids, [*ids[1:], ids[0]], strict=True))
    with pytest.raises(CycleError) as caught:
        plan(sub(99), *(sub(id_, "q", waits[id_], 99) for id_ in sorted(ids)))
    path = [int(id_) for id_ in re.findall(r"\d+", str(caught.value).split(";")[0])]
    assert path[0] == path[-1] == caught.value.sub_question
    assert set(path) == set(ids)
    assert all(waits[one] == other for one, other in itertools.pairwise(path))


def test_a_long_cycle_does_not_exhaust_the_stack() -> None:
    graph = {id_: [id_ + 1] for id_ in range(1, 5000)} | {5000: [1]}
    assert len(find_cycle(graph)) == 5000


@given(plans())
def test_valid_plans_have_no_cycle(valid: Plan) -> None:
    assert find_cycle({q.id: q.depends_on for q in valid.sub_questions}) == []


@given(plans(), st.data())
def test_an_unknown_route_is_named(valid: Plan, data: st.DataObject) -> None:
    used = {q.route for q in valid.sub_questions} - {"solve"}
    valid.check(used, len(valid.ids))
    if used:
        missing = data.draw(st.sampled_from(sorted(used)))
        with pytest.raises(UnknownRouteError, match=re.escape(repr(missing))) as caught:
            valid.check(used - {missing}, len(valid.ids))
        first = next(q.id for q in valid.sub_questions if q.route == missing)
        assert caught.value.sub_question == first


def test_an_unknown_route_error_lists_the_known_ones() -> None:
    with pytest.raises(UnknownRouteError, match="use one of: solve, calculator, search"):
        plan(sub(1, route="serch")).check(["search", "calculator"], 8)


def test_too_many_sub_questions() -> None:
    three = plan(sub(1), sub(5), sub(9))
    three.check([], 3)
    with pytest.raises(PlanSizeError, match="3 sub-questions, more than 2") as caught:
        three.check([], 2)
    assert caught.value.sub_question == 9


def test_restricted_keeps_the_order() -> None:
    whole = plan(sub(1), sub(2), sub(3, "{1}"))
    assert whole.restricted([3, 1]).ids == (1, 3)
    with pytest.raises(PlanReferenceError):
        whole.restricted([2, 3])


def test_plans_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        sub(1).text = "other"
    with pytest.raises(ValidationError):
        Plan().sub_questions = ()


# Usage


def test_usage_adds_up_and_an_unknown_price_stays_unknown() -> None:
    known = Usage(input_tokens=1, output_tokens=2, calls=1, usd=0.5)
    assert known + known == Usage(input_tokens=2, output_tokens=4, calls=2, usd=1.0)
    assert (known + Usage(calls=1, usd=None)).usd is None
    assert known.total_tokens == 3


# Mermaid

NODE = re.compile(r'    q(\d+)\["([^"\n]*)"\]')
EDGE = re.compile(r"    q(\d+) --> q(\d+)")


@given(plans())
def test_no_text_breaks_out_of_its_label(valid: Plan) -> None:
    lines = valid.to_mermaid().splitlines()
    nodes = [match for line in lines if (match := NODE.fullmatch(line))]
    edges = [match for line in lines if (match := EDGE.fullmatch(line))]
    assert [int(node[1]) for node in nodes] == list(valid.ids)
    assert [(int(e[1]), int(e[2])) for e in edges] == [(d, q.id) for q in valid.sub_questions for d in q.depends_on]
    assert len(lines) == 1 + (len(nodes) + len(edges) or 1)
    assert lines[0] == "flowchart TD"
    assert all(set(re.sub(r"<br/>|#\d+;", "", node[2])).isdisjoint('"<>[]{}()|`;#&\\') for node in nodes)


@given(plans(), st.data())
def test_statuses_add_no_nodes(valid: Plan, data: st.DataObject) -> None:
    statuses = st.sampled_from(["done", "failed"])
    answers = {id_: Answer.model_validate({"id": id_, "status": data.draw(statuses)}) for id_ in valid.ids}
    lines = valid.to_mermaid(answers).splitlines()
    for status in ("done", "failed"):
        members = [f"q{id_}" for id_, answer in answers.items() if answer.status == status]
        assert (f"    class {','.join(members)} {status}" in lines) == bool(members)
    assert lines[: len(valid.to_mermaid().splitlines())] == valid.to_mermaid().splitlines()


def test_mermaid_of_a_plan_with_answers(snapshot: SnapshotAssertion) -> None:
    drawn = plan(
        sub(1, "Who founded Craigslist?", route="search"),
        sub(2, 'When was {1} born? ("year"; not #2)\nReply <b>short</b>', route="search"),
        sub(4, "2026 - {2}", 1, route="calculator"),
    )
    answers = {1: Answer(id=1, text="Craig Newmark"), 2: Answer(id=2, status="failed", error="away")}
    assert drawn.to_mermaid(answers) == snapshot


def test_mermaid_of_a_direct_plan(snapshot: SnapshotAssertion) -> None:
    assert Plan().to_mermaid() == snapshot
