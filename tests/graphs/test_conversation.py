"""Follow-up questions in the graph: everything after the gate sees a question that stands by itself."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from anabranch.agents.models import RoleModel
from anabranch.config import Budget
from anabranch.errors import EndpointError
from anabranch.graphs.planner import create_planner
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json, planner, thread

FOLLOW_UP = "And when was he born?"
WHOLE = "When was Craig Newmark born?"
TURNS = [("user", "Who founded Craigslist?"), ("assistant", "Craig Newmark did.")]
PLAN = plan_json(("lookup", "When was Craig Newmark born?", []))


@tool
def lookup(query: str) -> str:
    """Looks facts up."""
    return "Craig Newmark was born in 1952." if "Newmark" in query else "nothing"


def solver(prompt: str) -> str:
    if "Last message: " in prompt:
        return f"QUESTION: {WHOLE}" if FOLLOW_UP in prompt else "CONVERSATION"
    return "1952"


def conversation(asked: str = FOLLOW_UP) -> dict[str, Any]:
    return {"messages": [*TURNS, ("user", asked)]}


def test_the_decomposer_the_steps_and_the_joiner_see_the_whole_question() -> None:
    decomposer, answering = ScriptedChatModel(script=[PLAN]), ScriptedChatModel(script=solver)
    graph = planner(decomposer, answering, [lookup])
    parts: list[Any] = list(graph.stream(conversation(), stream_mode=["custom", "values"]))
    state = parts[-1][1]
    assert state["answer"] == "1952"
    assert f"Question: {WHOLE}" in decomposer.prompts[0]
    assert FOLLOW_UP not in decomposer.prompts[0]
    assert f"Question: {WHOLE}" in answering.prompts[-1]
    assert parts[1] == ("custom", {"type": "question", "asked": FOLLOW_UP, "question": WHOLE})
    assert state["usage"]["solver"].calls == 2


def test_the_state_has_both_questions() -> None:
    graph = planner([PLAN], solver, [lookup], checkpointer=InMemorySaver())
    graph.invoke(conversation(), thread())
    values = graph.get_state(thread()).values
    assert (values["asked"], values["question"], values["turn"]) == (FOLLOW_UP, WHOLE, "question")


async def test_what_is_about_the_last_answer_is_answered_from_it_without_a_plan() -> None:
    answering = ScriptedChatModel(script=solver)
    result = await planner([], answering, [lookup]).ainvoke(conversation("Please make that answer a bit shorter."))
    assert result["answer"] == "1952"
    assert "ai: Craig Newmark did.\nhuman: Please make that answer a bit shorter." in answering.prompts[-1]


def test_thanks_take_one_call() -> None:
    answering = ScriptedChatModel(script=["You are welcome."])
    assert planner([], answering, [lookup], gate="always").invoke(conversation("Thank you!"))["answer"]


def test_what_could_not_be_rewritten_is_planned_with_the_earlier_turns_in_sight() -> None:
    decomposer = ScriptedChatModel(script=[PLAN])
    answering = ScriptedChatModel(script=lambda prompt: "1952")
    result = planner(decomposer, answering, [lookup]).invoke(conversation())
    assert result["answer"] == "1952"
    assert "Assistant: Craig Newmark did.\n" in decomposer.prompts[0]
    assert decomposer.prompts[0].endswith(f"Question: Who founded Craigslist? Craig Newmark did. {FOLLOW_UP}")


def test_a_run_that_goes_on_does_not_rewrite_again() -> None:
    answering = ScriptedChatModel(script=solver)
    decomposer = ScriptedChatModel(script=[ConnectionError("no route"), PLAN])
    graph = planner(decomposer, answering, [lookup], checkpointer=InMemorySaver())
    with pytest.raises(EndpointError):
        graph.invoke(conversation(), thread())
    assert graph.invoke(None, thread())["answer"] == "1952"
    assert sum("Last message: " in prompt for prompt in answering.prompts) == 1


def test_the_call_counts_against_the_budget() -> None:
    answering = ScriptedChatModel(script=solver)
    graph = planner([PLAN], answering, [lookup], budget=Budget(max_calls=2), max_replans=0)
    assert "the budget is used up" in graph.invoke(conversation())["answers"][1].error
    assert len(answering.prompts) == 1


def test_the_callers_system_message_is_in_every_call_that_writes_for_the_user_and_comes_first() -> None:
    answering = ScriptedChatModel(script=solver)
    pirate = SystemMessage("You are a pirate.")
    messages = [
        pirate,
        HumanMessage("Who founded Craigslist?"),
        AIMessage("Craig Newmark did."),
        HumanMessage(FOLLOW_UP),
    ]
    planner([PLAN], answering, [lookup]).invoke({"messages": messages})
    assert answering.prompts[-1].startswith("system: You are a pirate.\n\nAnswer the question")
    assert answering.prompts[-1].count("system: ") == 1


@pytest.mark.parametrize(
    ("asked", "answer"), [("Thanks!", "You are welcome."), ("ok, danke schön", "Gern geschehen."), ("Bye!", "Bye!")]
)
def test_an_in_process_model_is_not_asked_to_answer_thanks(asked: str, answer: str) -> None:
    unasked = ScriptedChatModel(script=[])
    graph = create_planner(decomposer=unasked, solver=RoleModel(unasked, small=True), tools=[lookup])
    result = graph.invoke(conversation(asked))
    assert (result["answer"], result["status"]) == (answer, "answered")
