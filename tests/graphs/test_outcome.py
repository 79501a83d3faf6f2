"""The status of a result, and the sources that it rests on."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from anabranch.agents.reply import Ending
from anabranch.config import Budget
from anabranch.graphs.outcome import labels, sources_of_answers, status_of
from anabranch.plan import Answer, Plan, Source, SubQuestion
from anabranch.tools import document_search
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, reader

PLAN = Plan(
    sub_questions=(
        SubQuestion(id=1, text="a?", route="search"),
        SubQuestion(id=2, text="b?", route="solve"),
        SubQuestion(id=3, text="c?", route="search"),
    )
)


def done(id_: int, route: str = "search") -> Answer:
    return Answer(id=id_, text="x", route=route)


def cut(id_: int) -> Answer:
    return Answer(id=id_, text="x", cut=True)


def failed(id_: int, *, not_found: bool = False) -> Answer:
    return Answer(id=id_, status="failed", route="search", error="e", not_found=not_found)


@pytest.mark.parametrize(
    ("answers", "options", "status"),
    [
        ([], {}, "answered"),
        ([], {"ending": "cut"}, "partial"),
        ([], {"ending": "refused"}, "refused"),
        ([done(1), cut(2)], {}, "partial"),
        ([done(1), done(2)], {"ending": "empty"}, "partial"),
        ([done(1), done(2, "solve"), done(3)], {}, "answered"),
        ([done(1), done(2, "solve"), done(3)], {"exhausted": True}, "partial"),
        ([done(1), done(2, "solve"), failed(3)], {}, "partial"),
        ([failed(1), failed(3)], {}, "failed"),
        ([failed(1, not_found=True), failed(3)], {}, "failed"),
        ([failed(1, not_found=True), failed(3, not_found=True)], {}, "not_found"),
        ([failed(1, not_found=True), done(2, "solve"), failed(3, not_found=True)], {}, "not_found"),
        ([failed(1, not_found=True), done(2, "solve"), done(3)], {}, "partial"),
        ([failed(1), done(2, "solve"), done(3)], {"begun": 1}, "answered"),
        ([failed(1), done(2, "solve"), failed(3)], {"begun": 1}, "partial"),
        ([failed(1), done(2, "solve"), done(3)], {"begun": 3}, "partial"),
    ],
)
def test_the_status(answers: list[Answer], options: dict[str, Any], status: str) -> None:
    assert status_of(PLAN, {answer.id: answer for answer in answers}, **options) == status


def test_sources_are_those_that_share_words_with_the_answers() -> None:
    passages = [
        Source(sub_question=1, tool="search", source="leave.md", text="Leave is thirty days a year."),
        Source(sub_question=1, tool="search", source="travel.pdf", page=3, text="By train, and by day."),
    ]
    sum_ = Source(sub_question=2, tool="calculator", text="30")
    answers = {
        1: Answer(id=1, text="thirty days", sources=(passages[0], passages[1])),
        2: Answer(id=2, text="30", sources=(sum_,)),
        3: Answer(id=3, text="Tibet", sources=(passages[1], passages[0])),
    }
    assert sources_of_answers(PLAN, {1: answers[1]}) == [passages[0]]
    assert sources_of_answers(PLAN, answers) == [passages[0], sum_, passages[1]]
    assert labels(sources_of_answers(PLAN, answers)) == ["leave.md", "travel.pdf, page 3"]
    assert sources_of_answers(PLAN, {1: failed(1)}) == []


BIOGRAPHIES = [
    Document("Craigslist was founded by Craig Newmark.", metadata={"source": "sites.md", "title": "Sites"}),
    Document("Craig Newmark was born in 1952.", metadata={"source": "people.pdf", "page": 2}),
]


async def test_a_result_has_its_sources() -> None:
    result = await planner([CRAIGSLIST], tools=[document_search(BIOGRAPHIES, k=1)]).ainvoke(ask())
    assert (result["answer"], result["status"]) == ("In 1952", "answered")
    assert [(s.sub_question, s.tool, s.label) for s in result["sources"]] == [
        (1, "search", "sites.md"),
        (2, "search", "people.pdf, page 2"),
    ]
    assert result["sources"][0].arguments == {"query": "Who founded Craigslist?"}
    events = planner([CRAIGSLIST], tools=[document_search(BIOGRAPHIES, k=1)]).astream(ask(), stream_mode="custom")
    last: Any = [event async for event in events][-1]
    assert (last["type"], last["answer"], last["status"]) == ("answer", "In 1952", "answered")
    assert [source["source"] for source in last["sources"]] == ["sites.md", "people.pdf"]


@tool
def broken(query: str) -> str:
    """Fails."""
    raise ValueError("out of order")


@pytest.mark.parametrize(
    ("route", "text", "status"),
    [
        ("search", "Who is the pope?", "not_found"),
        ("search", "Zzz?", "not_found"),
        ("broken", "Who?", "failed"),
    ],
)
def test_look_ups_that_find_nothing(route: str, text: str, status: str) -> None:
    tools = [document_search(BIOGRAPHIES, k=1), broken]
    result = planner([plan_json((route, text, []))], tools=tools, max_replans=0).invoke(ask())
    assert result["status"] == status
    assert result["answer"]
    assert result["sources"] == []


def test_what_needs_what_was_not_found_is_not_found() -> None:
    plan = plan_json(("search", "Who is the pope?", []), ("search", "When was {1} born?", [1]))
    result = planner([plan], tools=[document_search(BIOGRAPHIES, k=1)], max_replans=0).invoke(ask())
    assert result["status"] == "not_found"
    assert all(answer.not_found for answer in result["answers"].values())


def test_a_new_plan_makes_up_for_what_failed() -> None:
    replan = plan_json(("search", "When was Craig Newmark born?", []), first_id=2)
    plans = [plan_json(("search", "Who is the pope?", [])), replan]
    result = planner(plans, tools=[document_search(BIOGRAPHIES, k=1)]).invoke(ask())
    assert result["status"] == "answered"


@pytest.mark.parametrize(
    ("message", "ending", "status", "finish"),
    [
        (AIMessage("One, two", response_metadata={"finish_reason": "length"}), "cut", "partial", "length"),
        (AIMessage("", additional_kwargs={"refusal": "No."}), "refused", "refused", "content_filter"),
        (AIMessage("Three", response_metadata={"finish_reason": "stop"}), "whole", "answered", "stop"),
    ],
)
def test_how_the_reply_ended(message: AIMessage, ending: Ending, status: str, finish: str) -> None:
    result = planner([plan_json()], [message], []).invoke(ask())
    assert result["status"] == status
    assert result["messages"][-1].response_metadata["finish_reason"] == finish


def test_a_part_that_was_cut_off_is_told() -> None:
    plan = plan_json(("solve", "Who founded it?", []), ("solve", "When was {1} born?", [1]))
    cut_off = AIMessage("Craig", response_metadata={"finish_reason": "length"})
    result = planner([plan], [cut_off, "1952", "In 1952."], [], protocol="per_node").invoke(ask())
    assert [each.cut for each in result["answers"].values()] == [True, False]
    assert (result["answer"], result["status"]) == ("In 1952.", "partial")


def test_a_joiner_without_words_leaves_what_was_found() -> None:
    def joined(message: AIMessage) -> dict[str, Any]:
        plan = plan_json(("solve", "Who founded it?", []), ("solve", "When was {1} born?", [1]))
        made = planner([plan], ["Craig", "1952", message], [], protocol="per_node")
        found: dict[str, Any] = made.invoke(ask())
        return found

    empty = joined(AIMessage("", response_metadata={"finish_reason": "stop"}))
    assert (empty["answer"], empty["status"]) == ("1952", "partial")
    refused = joined(AIMessage("", response_metadata={"finish_reason": "content_filter"}))
    assert refused["status"] == "refused"
    assert "What was found: Craig; 1952." in refused["answer"]


def test_a_budget_that_ran_out_leaves_a_part() -> None:
    result = planner([CRAIGSLIST], reader, budget=Budget(max_calls=3)).invoke(ask())
    assert (result["answer"], result["status"]) == ("1952", "partial")
