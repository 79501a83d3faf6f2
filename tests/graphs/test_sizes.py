"""Sizes of what a run puts together: prompts, answers, state, whatever models, tools and people write."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from anabranch import bounds
from anabranch.plan import Answer
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, planner, thread

QUESTION = {"messages": [("user", "What comes of it?")]}
MOST = bounds.MAX_LISTED_CHARS + bounds.MAX_EVIDENCE_CHARS + bounds.MAX_UNDERSTOOD_CHARS
JOIN = "Sub-questions and their answers:"


@pytest.fixture
def measured() -> Iterator[None]:
    """Fails if more than 150 MB are held at any time."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150 * 10**6


def longest(model: ScriptedChatModel) -> int:
    return max((len(prompt) for prompt in model.prompts), default=0)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("slots", [True, False], ids=["in slots", "known"])
def test_a_solver_that_echoes_does_not_blow_up_its_prompts(slots: bool) -> None:
    steps: list[Any] = [("solve", "word " * 500, [])]
    for n in range(2, 8):
        earlier = list(range(1, n))
        steps.append(("solve", " ".join(f"{{{i}}}" for i in earlier) * 5 if slots else f"And then {n}?", earlier))
    solving = ScriptedChatModel(script=lambda prompt: "joined" if JOIN in prompt else prompt * 4)
    result = planner([plan_json(*steps)], solving, protocol="per_node").invoke(QUESTION)
    assert longest(solving) <= MOST
    assert all(len(answer.text) <= bounds.MAX_ANSWER_CHARS for answer in result["answers"].values())
    assert all(len(answer.question) <= bounds.MAX_TOLD_CHARS for answer in result["answers"].values())
    assert result["answers"][7].shortened
    assert result["status"] == "partial"


def test_more_slots_than_there_is_room_for_fail_their_sub_question_and_no_other() -> None:
    plan = plan_json(("solve", "a?", []), ("solve", "{1}" * 3_000, [1]), ("solve", "When was {1}?", [1]))
    solving = ScriptedChatModel(script=lambda prompt: "joined" if JOIN in prompt else "b" * 700)
    result = planner([plan], solving, max_replans=0, protocol="per_node").invoke(QUESTION)
    assert "refer to them fewer times" in (result["answers"][2].error or "")
    assert result["answers"][3].ok
    assert result["status"] == "partial"


@pytest.mark.usefixtures("measured")
def test_a_reply_without_end_is_cut_and_said_to_be() -> None:
    reply = AIMessage("word " * 1_000_000, additional_kwargs={"reasoning_content": "hm " * 1_000_000})
    solving = ScriptedChatModel(script=[reply])
    result = planner([plan_json()], solving).invoke(QUESTION)
    assert len(result["answer"]) <= bounds.MAX_REPLY_CHARS
    assert (result["status"], result["messages"][-1].response_metadata["finish_reason"]) == ("partial", "length")


@pytest.mark.usefixtures("measured")
def test_a_joiner_s_wish_and_a_decomposer_s_plan_without_end() -> None:
    def solve(prompt: str) -> Reply:
        return "REPLAN: " + "more " * 1_000_000 if JOIN in prompt else "x"

    deciding = ScriptedChatModel(script=lambda _: plan_json(*[("solve", "why? " * 3_000, [])] * 8))
    result = planner(deciding, solve, max_replans=1).invoke(QUESTION)
    assert longest(deciding) <= MOST
    assert result["status"] == "answered"
    endless = planner(ScriptedChatModel(script=lambda _: "1 [solve] a?\n" * 500_000), lambda _: "Answer: 4")
    assert endless.invoke(QUESTION)["answer"] == "4"


def nested() -> Any:
    value: Any = "x" * 1_000
    for _ in range(40):
        value = [value, value]
    return value


@tool
def swollen(query: str) -> Any:
    """Gives a value of 16 kB that takes more than there is when it is written out."""
    return nested()


@tool
async def flood(query: str) -> str:
    """Gives a long text."""
    return "word" * 4_000_000


@tool
def raising(query: str) -> str:
    """Raises a value of any size."""
    raise ValueError(nested(), "a " * 1_000_000)


@tool
def exiting(query: str) -> str:
    """Ends with a value of any size."""
    raise SystemExit(nested())


@tool(response_format="content_and_artifact")
def with_artifact(query: str) -> tuple[Any, Any]:
    """Gives a small text, and something large beside it, which is nobody's business."""
    return "fine", nested()


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("one", [swollen, flood, raising, exiting, with_artifact], ids=lambda each: each.name)
def test_what_tools_give_and_raise_is_held_before_it_is_made_a_text_of(one: BaseTool) -> None:
    solving = ScriptedChatModel(script=lambda prompt: "read")
    plan = plan_json((one.name, "What is it?", []))
    answer: Answer = planner([plan], solving, [one], max_replans=0).invoke(QUESTION)["answers"][1]
    assert answer.ok == (one.name in ("flood", "with_artifact"))
    assert len(answer.error or "") < 400
    assert longest(solving) <= MOST


@pytest.mark.usefixtures("measured")
def test_a_tool_that_answers_itself_at_length_is_cut_visibly() -> None:
    @tool(return_direct=True)
    def tell(query: str) -> str:
        """Tells all."""
        return "word" * 200_000

    tell.metadata = {"max_chars": 10**9}
    result = planner([plan_json(("tell", "What is it?", []))], lambda _: "joined", [tell]).invoke(QUESTION)
    assert len(result["answers"][1].text) <= bounds.MAX_ANSWER_CHARS
    assert result["answers"][1].shortened
    assert result["status"] == "partial"


# What people send


@tool
def send(text: str) -> str:
    """Sends a text."""
    return f"sent {len(text)} characters"


send.metadata = {"effects": True}


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "decision",
    [
        {"type": "edit", "edited_action": {"name": "send", "args": {"text": "x" * 5_000_000}}},
        {"type": "respond", "message": "x" * 5_000_000},
        {"type": "reject", "message": "x" * 5_000_000},
    ],
    ids=["edit", "respond", "reject"],
)
def test_a_decision_on_an_action_that_is_too_long_is_asked_for_again(decision: dict[str, Any]) -> None:
    solving = ScriptedChatModel(script=lambda prompt: '{"text": "it"}' if "JSON schema" in prompt else "done")
    graph = planner([plan_json(("send", "Send it", []))], solving, [send], checkpointer=InMemorySaver())
    graph.invoke(QUESTION, thread())
    again = graph.invoke(Command(resume={"decisions": [decision]}), thread())
    assert "characters" in again["__interrupt__"][0].value["error"]
    assert graph.invoke(Command(resume="approve"), thread())["answers"][1].text == "sent 2 characters"


def test_an_action_never_takes_over_an_answer_that_was_cut() -> None:
    solving = ScriptedChatModel(script=lambda prompt: "joined" if JOIN in prompt else "word " * 20_000)
    plan = plan_json(("solve", "What is there to say?", []), ("send", "Send this: {1}", [1]))
    result = planner([plan], solving, [send], max_replans=0).invoke(QUESTION)
    assert "too long to be taken over whole" in (result["answers"][2].error or "")


@pytest.mark.usefixtures("measured")
def test_a_plan_that_is_edited_into_a_huge_one_is_refused() -> None:
    graph = planner([plan_json(("solve", "a?", []))], lambda _: "x", review=True, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, thread())
    questions = [{"id": n, "text": "why? " * 3_000} for n in range(1, 40)]
    with pytest.raises(ValueError, match="more than 400,000"):
        graph.invoke(Command(resume={"type": "edit", "plan": {"sub_questions": questions}}), thread())
    with pytest.raises(ValueError, match="at most"):
        graph.invoke(Command(resume="x" * 5_000_000), thread())
    assert graph.invoke(Command(resume="approve"), thread())["answer"]


@pytest.mark.usefixtures("measured")
def test_a_state_that_somebody_edits_is_held_to_the_same_limits() -> None:
    solving = ScriptedChatModel(script=lambda _: "x")
    graph = planner([plan_json(("solve", "a?", []))], solving, checkpointer=InMemorySaver())
    plan = {"sub_questions": [{"id": 1, "text": "a?"}, {"id": 2, "text": "{1}" * 3_000, "depends_on": [1]}]}
    answers = {1: {"id": 1, "text": "b" * 5_000_000}}
    values = {**QUESTION, "question": "q" * 5_000_000, "plan": plan, "answers": answers}
    graph.update_state(thread(), values, as_node="plan")
    state = graph.invoke(None, thread())
    assert len(state["answers"][1].text) <= bounds.MAX_ANSWER_CHARS
    assert longest(solving) <= MOST


@pytest.mark.parametrize("question", ["{1}" * 6_600, "word " * 3_900, "{{1}}" * 3_900])
def test_a_long_question_is_looked_up_as_it_was_asked(question: str) -> None:
    def decide(prompt: str) -> Reply:
        return plan_json()

    asked: list[str] = []

    @tool
    def look(query: str) -> str:
        """Looks facts up."""
        asked.append(query)
        return "It was in 1952."

    graph = planner(decide, lambda _: "1952", [look], grounded=True)
    assert graph.invoke({"messages": [("user", question)]})["answer"]
    assert 0 < len(asked[0]) <= 20_000
