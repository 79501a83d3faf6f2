"""Prompts in the form that every chat model takes."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from anabranch.agents.messages import is_system, orderly
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, plan_json, planner, reader

OURS, CALLERS = SystemMessage("Answer."), SystemMessage("You work for the town.")
CALL = AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "1"}])
QUESTION = HumanMessage("When was the founder of Craigslist born?")


def said(messages: list[BaseMessage]) -> list[tuple[str, Any]]:
    return [(message.type, message.content) for message in messages]


def test_system_messages_are_one_at_the_beginning() -> None:
    prompt = [OURS, HumanMessage("Hi"), CALLERS, AIMessage("Hello"), HumanMessage("Q?"), SystemMessage("Be brief.")]
    assert said(orderly(prompt)) == [
        ("system", "Answer.\n\nYou work for the town.\n\nBe brief."),
        ("human", "Hi"),
        ("ai", "Hello"),
        ("human", "Q?"),
    ]


def test_one_that_comes_late_is_moved() -> None:
    assert orderly([HumanMessage("Q?"), CALLERS]) == [CALLERS, HumanMessage("Q?")]


def test_the_developers_instructions_are_system_messages() -> None:
    prompt = [OURS, ChatMessage(content="Be kind.", role="developer"), HumanMessage("Q?")]
    assert said(orderly(prompt))[0] == ("system", "Answer.\n\nBe kind.")


def test_text_blocks_become_text_and_other_blocks_stay() -> None:
    text = SystemMessage([{"type": "text", "text": "You work for the town."}])
    assert said(orderly([OURS, text]))[0] == ("system", "Answer.\n\nYou work for the town.")
    cached = {"type": "text", "text": "You work for the town.", "cache_control": {"type": "ephemeral"}}
    assert said(orderly([OURS, SystemMessage([cached])]))[0] == (
        "system",
        [{"type": "text", "text": "Answer."}, cached],
    )


def test_two_messages_of_one_speaker_are_joined() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    prompt = [HumanMessage("a"), HumanMessage([image]), AIMessage("b"), AIMessage("c"), HumanMessage("d")]
    assert said(orderly(prompt)) == [
        ("human", [{"type": "text", "text": "a"}, image]),
        ("ai", "b\n\nc"),
        ("human", "d"),
    ]


def test_tool_calls_and_their_results_stay_apart() -> None:
    prompt = [OURS, HumanMessage("Q?"), CALL, ToolMessage("7", tool_call_id="1"), ToolMessage("8", tool_call_id="2")]
    assert orderly(prompt) == prompt


MESSAGES = st.lists(
    st.builds(lambda kind, text: kind(text), st.sampled_from([SystemMessage, HumanMessage, AIMessage]), st.text()),
    max_size=8,
)


@given(MESSAGES)
def test_nothing_is_lost_and_the_order_holds(messages: list[BaseMessage]) -> None:
    ordered = orderly(messages)
    assert not any(is_system(message) for message in ordered[1:])
    assert all(one.type != other.type for one, other in pairwise(ordered))
    for kind in ("system", "human", "ai"):
        words = " ".join(message.text for message in ordered if message.type == kind).split()
        assert words == " ".join(message.text for message in messages if message.type == kind).split()
    assert orderly(ordered) == ordered


# The prompts of a whole planner


PLACES = {
    "first": [CALLERS, QUESTION],
    "between": [HumanMessage("Hi"), CALLERS, AIMessage("Hello"), QUESTION],
    "last": [QUESTION, CALLERS],
    "two": [CALLERS, CALLERS, QUESTION],
}


@pytest.mark.parametrize("messages", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    "plan", [CRAIGSLIST, plan_json(("solve", "Who?", [])), plan_json()], ids=["join", "guided", "direct"]
)
def test_no_prompt_of_a_planner_has_two_and_who_writes_to_the_user_sees_the_callers(
    messages: list[BaseMessage], plan: str
) -> None:
    solver = ScriptedChatModel(script=reader)
    graph = planner([plan], solver)
    graph.invoke({"messages": messages})
    for prompt in solver.prompts:
        lines = prompt.split("\n")
        assert [line for line in lines if line.startswith("system:")] == lines[:1]
    assert "You work for the town." in solver.prompts[-1]
