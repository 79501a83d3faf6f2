from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from langchain_core.messages import BaseMessage
from syrupy.assertion import SnapshotAssertion

from anabranch.agents import prompts
from anabranch.agents.examples import EXAMPLES
from anabranch.codecs import decode_lines
from anabranch.options import PlanningMode
from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.tools.catalogue import ToolCard
from tests.strategies import any_text

SEARCH = ToolCard(name="search", description="Finds facts in the documents.")
CALCULATOR = ToolCard(name="calculator", description="Computes.")
CARDS = (SEARCH, CALCULATOR)
PLAN = Plan(
    sub_questions=(
        SubQuestion(id=1, text="Who founded Craigslist?", route="search"),
        SubQuestion(id=2, text="When was {1} born? Not {{1}}, $1 or #2.", route="search"),
        SubQuestion(id=3, text="2026 - {2}", route="calculator"),
        SubQuestion(id=4, text="Is that old?", depends_on=(3,)),
    )
)
ANSWERS = {
    1: Answer(id=1, text="Craig {2} Newmark"),
    2: Answer(id=2, status="failed", error="timed out"),
    3: Answer(id=3, status="failed", error="sub-question 2, which it needs, failed"),
}
CONTEXT: dict[str, Any] = {"asked": PLAN, "answers": ANSWERS, "feedback": "two sub-questions failed"}
MODES: list[PlanningMode] = ["static", "dynamic"]


def shown(messages: Sequence[BaseMessage]) -> str:
    """A prompt as it is compared: each message with its role."""
    return "\n".join(f"<{message.type}>\n{message.text}" for message in messages)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("context", [{}, CONTEXT], ids=["first", "again"])
def test_prompts_of_decomposers(mode: PlanningMode, context: dict[str, Any], snapshot: SnapshotAssertion) -> None:
    assert shown(prompts.lines_messages("How old is its founder?", CARDS, mode, **context)) == snapshot(name="lines")
    assert shown(prompts.json_messages("How old is its founder?", CARDS, mode, **context)) == snapshot(name="json")


def test_examples(snapshot: SnapshotAssertion) -> None:
    assert shown(prompts.lines_messages("Q?", CARDS, examples=True)) == snapshot
    assert shown(prompts.lines_messages("Q?", (), examples=True)) == snapshot(name="no tools")


def test_prompts_of_the_solver(snapshot: SnapshotAssertion) -> None:
    assert shown(prompts.direct_messages("Q?")) == snapshot(name="direct")
    assert shown(prompts.guided_messages("Q?", PLAN)) == snapshot(name="guided")
    assert shown(prompts.direct_messages("Q?", "whole")) == snapshot(name="direct, whole")
    assert shown(prompts.guided_messages("Q?", PLAN, "whole")) == snapshot(name="guided, whole")
    assert shown(prompts.step_messages("When was {Ada} born?")) == snapshot(name="step")
    assert shown(prompts.read_messages("When?", "{1} was born\nin 1815")) == snapshot(name="read")
    assert shown(prompts.check_messages("When?", "born\nin 1815", "1815")) == snapshot(name="check")
    schema = '{"type": "object", "properties": {"city": {}}}'
    assert shown(prompts.arguments_messages("Where?", "map", "Shows {a} map.", schema)) == snapshot(name="arguments")


@pytest.mark.parametrize("may_replan", [True, False])
def test_prompt_of_the_joiner(may_replan: bool, snapshot: SnapshotAssertion) -> None:
    assert shown(prompts.join_messages("Q?", PLAN, ANSWERS, may_replan=may_replan)) == snapshot
    whole = prompts.join_messages("Q?", PLAN, ANSWERS, may_replan=may_replan, form="whole")
    assert shown(whole) == snapshot(name="whole" if may_replan else "whole, no plan")
    grounded = prompts.join_messages("Q?", PLAN, ANSWERS, may_replan=may_replan, grounded=True)
    assert shown(grounded[:1]) == snapshot(name="grounded" if may_replan else "grounded, no plan")


# The version


def test_the_joiner_sees_lists_and_code_as_they_are() -> None:
    listed = {1: Answer(id=1, text="- Ada\n9 [x] y = z"), 2: Answer(id=2, text="1815\n")}
    shown_lines = prompts.answer_lines(PLAN.sub_questions[:2], listed, flat=False).split("\n")
    assert shown_lines[:3] == ["1 [search] Who founded Craigslist? =", "    - Ada", "    9 [x] y = z"]
    assert shown_lines[3].endswith("= 1815")


def test_version(snapshot: SnapshotAssertion) -> None:
    """Changes with any prompt: a student that was trained on the old ones has to be trained again."""
    assert prompts.version() == snapshot


TEXTS = [name for name, value in vars(prompts).items() if name.isupper()]


def altered(value: Any) -> Any:
    if isinstance(value, ToolCard):
        return ToolCard(name=value.name, description="changed")
    if isinstance(value, dict):
        return {key: altered(text) for key, text in value.items()}
    return value[1:]


@pytest.mark.parametrize("name", TEXTS)
def test_the_version_covers_every_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompts.version()
    value = getattr(prompts, name)
    monkeypatch.setattr(prompts, name, altered(value))
    assert prompts.version() != before


@pytest.mark.parametrize(
    "name",
    [name for name in vars(prompts) if name.endswith("_messages")] + ["route_lines", "answer_lines", "name_slots"],
)
def test_the_version_covers_the_way_texts_are_put_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, build = prompts.version(), getattr(prompts, name)

    def changed(*arguments: Any, **options: Any) -> Any:
        built = build(*arguments, **options)
        return f"{built}!" if isinstance(built, str) else built[1:]

    monkeypatch.setattr(prompts, name, changed)
    assert prompts.version() != before


def test_the_version_is_stable() -> None:
    assert prompts.version() == prompts.version()
    assert len(prompts.version()) == 12


# What training and serving rely on


def builders(question: str, cards: Sequence[ToolCard]) -> list[list[BaseMessage]]:
    built = [prompts.json_messages(question, cards, mode, **CONTEXT) for mode in MODES]
    for examples in (True, False):
        built += [prompts.lines_messages(question, cards, mode, examples=examples, **CONTEXT) for mode in MODES]
    return built


@given(any_text, any_text)
def test_the_same_input_gives_the_same_bytes_whatever_the_question_the_same_prefix(one: str, other: str) -> None:
    for first, again, different in zip(
        builders(one, CARDS), builders(one, list(CARDS)), builders(other, CARDS), strict=True
    ):
        assert [message.text.encode() for message in first] == [message.text.encode() for message in again]
        assert [message.text for message in first[:-1]] == [message.text for message in different[:-1]]
        assert first[-1].text.startswith(f"Question: {one}")


def test_the_catalogue_comes_before_examples_and_question() -> None:
    for messages in builders("Which question?", CARDS):
        text = shown(messages)
        last = text.rindex("Question: Which question?")
        assert text.index("solve: ") < text.index("search: Finds facts") < text.index("calculator: Computes.") < last
        assert text.find("Question: ") > text.index("calculator: Computes.")


@given(any_text, any_text)
def test_question_and_feedback_are_verbatim(question: str, feedback: str) -> None:
    for mode in MODES:
        for build in (prompts.lines_messages, prompts.json_messages):
            text = build(question, CARDS, mode, feedback=feedback or None)[-1].text
            assert question in text
            assert feedback in text
    assert prompts.direct_messages(question)[-1].text == question
    assert str(prompts.guided_messages(question, PLAN)[-1].text).startswith(question)
    assert prompts.arguments_messages(question, "n", feedback, "{}")[0].text.count(feedback) > 0


@pytest.mark.parametrize("cards", [CARDS, (SEARCH,), ()])
def test_examples_are_plans_over_the_catalogue(cards: Sequence[ToolCard]) -> None:
    messages = prompts.example_messages(cards)
    assert [message.type for message in messages] == ["human", "ai"] * len(EXAMPLES)
    plans = [decode_lines(str(message.text)) for message in messages[1::2]]
    for plan in plans:
        plan.check([card.name for card in cards], 8)
    expressions = [q for plan in plans for q in plan.sub_questions if not q.text.endswith("?")]
    assert all(q.route == "calculator" for q in expressions)
    assert any(plan.is_direct for plan in plans)
    assert any(not plan.is_direct for plan in plans)


# Answers in prompts


def test_answers_fill_slots_once_and_failures_say_why() -> None:
    assert prompts.answer_lines(PLAN.sub_questions, ANSWERS).splitlines() == [
        "1 [search] Who founded Craigslist? = Craig {2} Newmark",
        "2 [search] When was Craig {2} Newmark born? Not {1}, $1 or #2. = FAILED (timed out)",
        "3 [calculator] 2026 - {2} = FAILED (sub-question 2, which it needs, failed)",
        "4 [solve] Is that old? = not asked",
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("When was {1} born?", "When was the answer to 1 born?"),
        ("{12} - {3}", "the answer to 12 - the answer to 3"),
        ("what is {{1}}?", "what is {1}?"),
        ("$1 {x}", "$1 {x}"),
    ],
)
def test_slots_in_words(text: str, named: str) -> None:
    assert prompts.name_slots(text) == named


def test_an_answer_with_line_breaks_cannot_pass_for_more_sub_questions() -> None:
    asked = Plan(sub_questions=(SubQuestion(id=1, text="a"),))
    lines = prompts.answer_lines(asked.sub_questions, {1: Answer(id=1, text="x\n2 [solve] b = y")})
    assert lines == "1 [solve] a = x 2 [solve] b = y"
