"""`grounded=True`: an answer comes out of tool results, or it was not found."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from anabranch.agents.grounding import out_of_thin_air
from anabranch.errors import ConfigurationError
from anabranch.graphs.grounded import NOT_FOUND_TEXT, grounded_plan
from anabranch.plan import Plan, SubQuestion
from anabranch.tools import calculator, document_search
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import ask, plan_json, planner

HANDBOOK = [
    Document("Full-time staff have thirty days of leave, 30 in all.", metadata={"source": "leave.md"}),
    Document("Bicycles may be parked in the cellar.", metadata={"source": "parking.md"}),
]
LEAVE = "How many days of leave are there?"


def solver(read: str, joined: str = "", direct: str = "165 euros") -> ScriptedChatModel:
    def script(prompt: str) -> Reply:
        if "Sub-questions and their answers:" in prompt:
            return joined or prompt.rsplit("= ", 1)[1].split("\n")[0]
        return read if "Result:" in prompt else direct

    return ScriptedChatModel(script=script)


def grounded(plans: list[str], solver: ScriptedChatModel, **options: Any) -> Any:
    tools = [document_search(HANDBOOK, k=1), calculator()]
    return planner(plans, solver, tools, grounded=True, **{"max_replans": 0, **options})


@pytest.mark.parametrize(
    "plan",
    [plan_json(), plan_json(("solve", "How many days?", [])), "DIRECT", "nonsense"],
    ids=["direct", "solve", "a word", "no plan"],
)
def test_what_no_plan_looks_up_is_looked_up_as_it_is_asked(plan: str) -> None:
    result = grounded([plan] * 2, solver("30 days")).invoke(ask(LEAVE))
    assert (result["answer"], result["status"]) == ("30 days", "answered")
    assert [(step.route, step.text) for step in result["plan"].sub_questions] == [("search", LEAVE)]
    assert [source.source for source in result["sources"]] == ["leave.md"]


@pytest.mark.parametrize(
    ("read", "joined"),
    [("NOT FOUND", "165 euros"), ("165 euros", ""), ("thirty days", "NOT FOUND"), ("Mr Kowalski", "")],
    ids=["not found", "read out of thin air", "not what was asked", "a name"],
)
def test_what_does_not_stand_there_was_not_found(read: str, joined: str) -> None:
    chat = solver(read, joined)
    result = grounded([plan_json(("search", "What is the fee?", []))], chat).invoke(ask("What is the fee for leave?"))
    assert (result["answer"], result["status"], result["sources"]) == (NOT_FOUND_TEXT, "not_found", [])


def test_before_nothing_is_found_the_question_is_looked_up_as_it_was_asked() -> None:
    def script(prompt: str) -> Reply:
        if "Sub-questions and their answers:" in prompt:
            return "thirty days" if "= thirty" in prompt else "NOT FOUND"
        return "thirty days" if prompt.endswith(f"Question: {LEAVE}") else "NOT FOUND"

    for plan in (
        plan_json(("search", "What is leave?", [])),
        plan_json(("search", "Who?", []), ("solve", "{1}?", [1])),
    ):
        result = grounded([plan], ScriptedChatModel(script=script), max_replans=1).invoke(ask(LEAVE))
        assert (result["answer"], result["status"]) == ("thirty days", "answered")
        assert result["plan"].sub_questions[-1].text == LEAVE


def test_a_joiner_that_makes_things_up_is_not_heard() -> None:
    chat = solver("thirty days", "Thirty days, and 165 euros for parking.")
    result = grounded([plan_json(("search", LEAVE, []))], chat).invoke(ask(LEAVE))
    assert (result["answer"], result["status"]) == ("thirty days", "answered")


def test_a_joiner_that_repeats_a_failure_has_found_nothing() -> None:
    def script(prompt: str) -> Reply:
        if "Sub-questions and their answers:" in prompt:
            return "FAILED"
        return "30 days" if prompt.endswith(LEAVE) else "NOT FOUND"

    plan = plan_json(("search", LEAVE, []), ("search", "What is the fee for parking?", []))
    result = grounded([plan], ScriptedChatModel(script=script)).invoke(ask("What is the fee for leave?"))
    assert (result["answer"], result["status"]) == (NOT_FOUND_TEXT, "not_found")


def test_a_joiner_may_add_up_what_was_found() -> None:
    plan = plan_json(("search", LEAVE, []), ("search", "Where may bicycles be parked?", []))

    def script(prompt: str) -> Reply:
        if "Sub-questions and their answers:" in prompt:
            return "There are 30 days a year, so 60 in 2 years."
        return "in the cellar" if "Bicycles" in prompt else "30 days"

    result = grounded([plan], ScriptedChatModel(script=script)).invoke(ask("How many days of leave in 2 years?"))
    assert (result["answer"], result["status"]) == ("There are 30 days a year, so 60 in 2 years.", "answered")


def test_what_is_calculated_from_what_stands_there_is_an_answer() -> None:
    def script(prompt: str) -> Reply:
        if "Write the calculation" in prompt:
            return "= 2 * 30 days"
        return "60 days" if "Result:" in prompt else "It is 60 days."

    question = "How many days of leave are there in two years?"
    chat = ScriptedChatModel(script=script)
    result = grounded([plan_json(("search", question, []))], chat).invoke(ask(question))
    assert (result["answer"], result["status"]) == ("It is 60 days.", "answered")


@pytest.mark.parametrize(("verdict", "status"), [("**No.**", "not_found"), ("YES", "answered")])
def test_what_may_be_about_something_else_is_checked(verdict: str, status: str) -> None:
    def script(prompt: str) -> Reply:
        if "You check answers" in prompt:
            return verdict
        return "30" if "Result:" in prompt else "30 days"

    chat = ScriptedChatModel(script=script)
    question = "How many days of sick leave are there?"
    assert grounded([plan_json(("search", question, []))], chat).invoke(ask(question))["status"] == status
    checks = [prompt for prompt in chat.prompts if "You check answers" in prompt]
    assert ["Answer: 30\n" in prompt for prompt in checks] == [True]


def test_the_stream_has_what_was_checked() -> None:
    for joined, answer in (("Thirty days, as it stands there.", None), ("It is 165 euros.", "thirty days")):
        chat = ScriptedChatModel(script=solver("thirty days", joined).script, word_delay=0.0)
        parts = grounded([plan_json(("search", LEAVE, []))], chat).stream(ask(LEAVE), stream_mode="messages")
        assert "".join(message.text for message, _ in parts) == (answer or joined)


def test_steps_reason_over_answers_alone() -> None:
    plan = plan_json(("search", LEAVE, []), ("solve", "Is {1} more than twenty?", [1]))
    chat = solver("30")
    result = grounded([plan], chat).invoke(ask(LEAVE))
    assert result["status"] == "answered"
    assert any("Result:\n30\n\nQuestion: Is 30 more than twenty?" in prompt for prompt in chat.prompts)


def test_steps_that_rest_on_nothing_are_looked_up() -> None:
    steps = (
        SubQuestion(id=1, text="a?"),
        SubQuestion(id=2, text="b {1}?"),
        SubQuestion(id=3, text="1+1", route="calculator"),
    )
    plan = grounded_plan(
        Plan(sub_questions=(*steps, SubQuestion(id=4, text="c?", route="search"))), Plan(), "q", ["search"], 8
    )
    assert [step.route for step in plan.sub_questions] == ["search", "solve", "calculator", "search"]


@pytest.mark.parametrize("message", ["Thanks!", "hello"])
def test_small_talk_is_answered(message: str) -> None:
    result = grounded([], solver("", direct="You are welcome.")).invoke(ask(message))
    assert (result["answer"], result["status"]) == ("You are welcome.", "answered")


def test_a_short_question_is_no_small_talk() -> None:
    assert grounded([plan_json()], solver("NOT FOUND")).invoke(ask("parking fee"))["status"] == "not_found"


def test_what_is_about_the_conversation_is_answered_from_it() -> None:
    chat = ScriptedChatModel(script=lambda p: "CONVERSATION" if "Last message:" in p else "Thirty.")
    messages = [
        HumanMessage(LEAVE),
        AIMessage("There are thirty days of leave."),
        HumanMessage("Make it shorter please"),
    ]
    result = grounded([], chat).invoke({"messages": messages})
    assert result["answer"] == "Thirty."
    assert "State no facts but those that were said" in chat.prompts[-1]


@pytest.mark.parametrize("tools", [[], [calculator()]])
def test_it_needs_a_tool_that_looks_things_up(tools: list[Any]) -> None:
    with pytest.raises(ConfigurationError, match="document_search"):
        planner([], tools=tools, grounded=True)


def test_guided_plans_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match="guided"):
        grounded([], solver(""), protocol="guided")


@pytest.mark.parametrize(
    ("answer", "strange"),
    [
        ("thirty days", []),
        ("3 of them", ["3"]),
        ("1. thirty days\n2. more", []),
        ("165 euros", ["165"]),
        ("Yes", []),
        ("Tobias Meyer", ["tobias", "meyer"]),
        ("Ask Anna Berg", []),
        ("You get them once a year. They are yours.", []),
        ("Il y a trente jours de congé, dit Anna Berg.", []),
    ],
)
def test_numbers_and_names_must_stand_somewhere(answer: str, strange: list[str]) -> None:
    known = ["Full-time staff have thirty days of leave.", "Ask Anna Berg for more."]
    assert out_of_thin_air(answer, known) == strange
