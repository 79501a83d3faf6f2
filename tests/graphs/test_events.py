"""What a planner tells while it runs, heard and streamed."""

from typing import Any

from anabranch import agent_tool
from anabranch.graphs.events import hearing_events
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner


def told(events: list[Any]) -> list[tuple[Any, ...]]:
    """What of events is the same in each run."""
    return [(event["type"], event.get("id"), event.get("status"), event.get("answer")) for event in events]


async def test_what_is_heard_is_what_is_streamed() -> None:
    streamed = [event async for event in planner([CRAIGSLIST]).astream(ask(), stream_mode="custom")]
    heard: list[Any] = []
    with hearing_events(heard.append):
        result = await planner([CRAIGSLIST]).ainvoke(ask())
    assert told(heard) == told(streamed)
    assert {event["type"] for event in heard} == {"plan", "sub_question", "answer"}
    assert heard[-1]["answer"] == result["answer"] == "In 1952"


async def test_what_a_planner_tells_that_answers_a_sub_question_is_not_heard() -> None:
    inner = agent_tool(planner([CRAIGSLIST]), name="history", description="Answers questions about founders.")
    outer = planner([plan_json(("history", "When was the founder of Craigslist born?", []))], tools=[inner])
    heard: list[Any] = []
    with hearing_events(heard.append):
        await outer.ainvoke(ask())
    (plan,) = [event["plan"]["sub_questions"] for event in heard if event["type"] == "plan"]
    assert [question["route"] for question in plan] == ["history"]
    assert [event["type"] for event in heard].count("answer") == 1
