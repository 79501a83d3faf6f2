import asyncio
import threading
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt
from syrupy.assertion import SnapshotAssertion

from anabranch.agents.decomposer import JsonDecomposer, LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.config import Budget, Price
from anabranch.errors import ConfigurationError, EndpointError, QuestionError
from anabranch.graphs.planner import create_planner
from anabranch.plan import Answer
from anabranch.tools import calculator
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, reader, search, thread


def test_a_multi_step_question_goes_in_and_an_answer_comes_out() -> None:
    result = planner([CRAIGSLIST]).invoke(ask())
    assert result["answer"] == "In 1952"
    assert [answer.text for answer in result["answers"].values()] == ["Craig Newmark", "1952"]
    assert result["plan"].ids == (1, 2)
    assert result["messages"][-1].text == "In 1952"


@pytest.mark.parametrize(
    ("plan", "script"),
    [(CRAIGSLIST, reader), (plan_json(("solve", "Who?", [])), reader), (plan_json(), reader)],
    ids=["joined", "guided", "direct"],
)
def test_the_answer_has_a_name_and_the_usage_of_its_turn_which_callbacks_count_once(plan: str, script: Any) -> None:
    def counted(reply: str) -> AIMessage:
        return AIMessage(
            reply,
            response_metadata={"model_name": "m"},
            usage_metadata={"input_tokens": 30, "output_tokens": 4, "total_tokens": 34},
        )

    graph = planner(lambda _: counted(plan), lambda prompt: counted(script(prompt)), name="travel planner")
    with get_usage_metadata_callback() as seen:
        result = graph.invoke(ask())
    message = result["messages"][-1]
    calls = sum(used.calls for used in result["usage"].values())
    assert message.name == "travel_planner"
    assert message.usage_metadata["total_tokens"] == 34 * calls == seen.usage_metadata["m"]["total_tokens"]


async def test_async_gives_the_same() -> None:
    result = await planner([CRAIGSLIST]).ainvoke(ask())
    assert result["answer"] == "In 1952"


def test_it_is_a_compiled_state_graph() -> None:
    assert isinstance(planner([]), CompiledStateGraph)


@pytest.mark.parametrize("options", [{}, {"mode": "dynamic"}, {"review": True}], ids=str)
def test_the_drawn_graph(options: dict[str, Any], snapshot: SnapshotAssertion) -> None:
    assert planner([], checkpointer=True, **options).get_graph().draw_mermaid() == snapshot


def test_usage_is_counted_by_role_and_priced() -> None:
    solver = ScriptedChatModel(script=reader)
    graph = create_planner(
        decomposer=ScriptedChatModel(script=[CRAIGSLIST]), solver=solver, tools=[search], max_replans=0
    )
    usage = graph.invoke(ask())["usage"]
    assert {role: used.calls for role, used in usage.items()} == {"decomposer": 1, "solver": 2, "joiner": 1}
    assert usage["solver"].input_tokens == sum(len(p.split()) for p in solver.prompts[:2])
    assert usage["solver"].usd is None


def test_a_priced_model_has_a_cost() -> None:
    solver = RoleModel(ScriptedChatModel(script=["Answer: 4"]), Price(input=1e6, output=0))
    result = create_planner(decomposer=ScriptedChatModel(script=[plan_json()]), solver=solver).invoke(
        ask("What is 2+2?")
    )
    assert result["usage"]["solver"].usd == result["usage"]["solver"].input_tokens


def test_an_empty_plan_is_answered_directly() -> None:
    reply = "Blue.\n\n- by day\n- in good weather"
    result = planner([plan_json()], [reply]).invoke(ask("What colour is the sky?"))
    assert result["answer"] == reply
    assert result["plan"].is_direct


def test_the_short_form_is_the_answer_alone() -> None:
    graph = planner([plan_json()], ["Because it is. Answer: blue"], answer_form="short")
    result = graph.invoke(ask("What colour is the sky?"))
    assert result["answer"] == "blue"
    assert result["messages"][-1].additional_kwargs["working"] == "Because it is. Answer: blue"


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="whole, short"):
        planner([], answer_form="long")


def test_the_gate_answers_a_greeting_without_a_decomposer() -> None:
    result = planner([], ["Answer: Hello!"]).invoke(ask("hello"))
    assert result["answer"] == "Hello!"


def test_a_plan_without_tools_guides_one_call() -> None:
    plan = plan_json(("solve", "How many eggs a day?", []), ("solve", "How much do {1} eggs cost?", [1]))
    solver = ScriptedChatModel(script=["16-7=9, 9*2=18. Answer: 18"])
    result = planner([plan], solver).invoke(ask("How much does Janet earn?"))
    assert result["answer"] == "18"
    assert "2. How much do the answer to 1 eggs cost?" in solver.prompts[0]


def test_a_decomposer_that_writes_nonsense_twice_leads_to_the_direct_answer() -> None:
    events: list[Any] = list(planner(["no json", "{"], ["Answer: 42"]).stream(ask(), stream_mode=["custom", "values"]))
    assert events[-1][1]["answer"] == "42"
    problems = next(event["problems"] for mode, event in events if mode == "custom")
    assert len(problems) == 2


def test_a_failed_tool_is_seen_by_the_joiner_and_its_dependents_are_not_asked() -> None:
    @tool
    def broken(query: str) -> str:
        """Fails."""
        raise OSError("disk on fire")

    plan = plan_json(("broken", "a?", []), ("broken", "b of {1}?", [1]), ("solve", "c?", []))
    solver = ScriptedChatModel(script=["see", "It burned."])
    result = planner([plan], solver, [broken], max_replans=0).invoke(ask())
    assert [a.status for a in result["answers"].values()] == ["failed", "failed", "done"]
    assert "1 [broken] a? = FAILED (OSError: disk on fire)" in solver.prompts[-1]
    assert result["answer"] == "It burned."


def test_a_tool_that_hangs_becomes_a_failed_answer() -> None:
    released = threading.Event()

    @tool
    def hang(query: str) -> str:
        """Hangs."""
        released.wait(60)
        return "late"

    plan = plan_json(("hang", "a?", []), ("solve", "b?", []))
    result = planner([plan], ["b", "joined"], [hang], step_timeout=0.1, max_replans=0).invoke(ask())
    released.set()
    assert result["answers"][1].error == "no answer within 0.1 s"
    assert result["answer"] == "joined"


def test_a_second_turn_starts_afresh_and_knows_the_first() -> None:
    solver = ScriptedChatModel(script=["Answer: blue", "QUESTION: And what colour is grass?", "Answer: green"])
    graph = planner([plan_json(), plan_json()], solver, checkpointer=InMemorySaver())
    graph.invoke(ask("What colour is the sky?"), thread())
    result = graph.invoke(ask("And what colour is grass?"), thread())
    assert result["answer"] == "green"
    assert "ai: blue" in solver.prompts[2]
    assert len(result["messages"]) == 4
    assert result["usage"]["solver"].calls == 2


def test_a_run_stopped_by_a_dead_server_resumes_without_repeating_anything() -> None:
    away = [True]

    def solver(prompt: str) -> Any:
        if "born in" in prompt and away:
            away.clear()
            return ConnectionError("no route")
        return reader(prompt)

    decomposer, answering = ScriptedChatModel(script=[CRAIGSLIST]), ScriptedChatModel(script=solver)
    graph = planner(decomposer, answering, checkpointer=InMemorySaver())
    with pytest.raises(EndpointError, match="solver model failed: ConnectionError: no route"):
        graph.invoke(ask(), thread())
    result = graph.invoke(None, thread())
    assert result["answer"] == "In 1952"
    assert sum("founded by" in p and "Sub-questions" not in p for p in answering.prompts) == 1
    assert len(decomposer.prompts) == 1
    assert result["usage"]["solver"].calls == 2


@pytest.mark.parametrize("limit", ["max_calls", "max_tokens", "max_usd"])
def test_a_budget_stops_calls_and_joins_what_there_is(limit: str) -> None:
    def run(budget: Budget | None) -> tuple[dict[str, Any], ScriptedChatModel]:
        price = Price(input=1, output=1)
        decomposer, solver = ScriptedChatModel(script=[CRAIGSLIST]), ScriptedChatModel(script=reader)
        graph = create_planner(
            decomposer=JsonDecomposer(RoleModel(decomposer, price)),
            solver=RoleModel(solver, price),
            tools=[search],
            budget=budget,
        )
        return graph.invoke(ask()), solver

    planning = run(None)[0]["usage"]["decomposer"]
    limits: dict[str, Any] = {"max_calls": 2, "max_tokens": planning.total_tokens + 1, "max_usd": planning.usd + 1e-6}
    result, solver = run(Budget(**{limit: limits[limit]}))
    assert len(solver.prompts) == 1
    assert "budget" in result["answers"][2].error
    assert "Craig Newmark" in result["answer"]


@pytest.mark.parametrize("question", ["", "   ", "x" * 100_000])
def test_a_bad_question_is_the_users_mistake(question: str) -> None:
    with pytest.raises(QuestionError):
        planner([]).invoke(ask(question))


def test_no_human_message_is_the_users_mistake() -> None:
    with pytest.raises(QuestionError, match="no human message"):
        planner([]).invoke({"messages": []})


@pytest.mark.parametrize(
    "options",
    [{"mode": "sideways"}, {"max_sub_questions": 0}, {"max_replans": -1}, {"tools": [search, search]}],
    ids=str,
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        create_planner(decomposer=ScriptedChatModel(script=[]), solver=ScriptedChatModel(script=[]), **options)


async def test_events_show_the_plan_first_and_then_each_sub_question() -> None:
    events: list[Any] = [
        part["data"]
        async for part in planner([CRAIGSLIST]).astream(ask(), stream_mode=["custom"], version="v2")
        if part["type"] == "custom"
    ]
    assert [(event["type"], event.get("id"), event.get("status")) for event in events] == [
        ("plan", None, None),
        ("sub_question", 1, "started"),
        ("sub_question", 1, "done"),
        ("sub_question", 2, "started"),
        ("sub_question", 2, "done"),
        ("answer", None, "answered"),
    ]
    assert Answer.model_validate({k: v for k, v in events[2].items() if k != "type"}).text == "Craig Newmark"


async def test_message_streams_hold_the_answer_once_and_no_plan() -> None:
    stream: Any = planner([CRAIGSLIST]).astream(ask(), stream_mode="messages")
    parts = [part async for part in stream if part[0].text]
    assert [message.text for message, _ in parts if not isinstance(message, HumanMessage)] == ["In 1952"]


async def test_many_questions_at_once_none_lost() -> None:
    graph = planner(lambda p: CRAIGSLIST)
    results = await asyncio.gather(*(graph.ainvoke(ask()) for _ in range(100)))
    assert [result["answer"] for result in results] == ["In 1952"] * 100


def test_it_works_as_a_node_of_another_graph_that_keeps_threads() -> None:
    outer = StateGraph(MessagesState)
    outer.add_node("planner", planner(lambda p: CRAIGSLIST))
    outer.add_edge(START, "planner")
    graph: Any = outer.compile(checkpointer=InMemorySaver())
    assert graph.invoke(ask(), thread())["messages"][-1].text == "In 1952"
    assert graph.invoke(ask(), thread())["messages"][-1].text == "In 1952"


def test_the_step_graph_can_be_replaced() -> None:
    from anabranch.graphs.step import StepState

    builder = StateGraph(StepState)
    builder.add_node("shout", lambda state: {"answer": state["text"].upper()})
    builder.add_edge(START, "shout")
    plan = plan_json(("search", "a?", []), ("search", "b of {1}", [1]))
    result = planner([plan], ["done"], step_graph=builder.compile()).invoke(ask())
    assert result["answers"][2].text == "B OF A?"


def test_the_runs_context_reaches_tools() -> None:
    from dataclasses import dataclass

    from langgraph.runtime import get_runtime

    @dataclass
    class Tenant:
        name: str

    @tool(return_direct=True)
    def whoami(query: str) -> str:
        """Tells who asks."""
        return get_runtime(Tenant).context.name

    plan = plan_json(("whoami", "Who asks?", []), ("whoami", "And now?", []))
    graph = planner([plan], ["ok"], [whoami], context_schema=Tenant)
    assert graph.invoke(ask(), context=Tenant("acme"))["answers"][1].text == "acme"


def test_functions_are_tools_too() -> None:
    def weather(query: str) -> str:
        """Tells the weather."""
        return "sunny"

    graph = planner([plan_json(("weather", "Weather in Oslo?", []))], ["sunny", "It is sunny"], [weather])  # type: ignore[list-item]
    assert graph.invoke(ask())["answer"] == "It is sunny"


@pytest.mark.parametrize("sync", [True, False])
async def test_a_tool_may_ask_a_person_and_only_its_own_sub_question_runs_again(sync: bool) -> None:
    runs = []

    @tool(return_direct=True)
    def approve(query: str) -> str:
        """Asks a person."""
        runs.append(query)
        return str(interrupt(query)) if query == "pay?" else "done"

    plan = plan_json(("approve", "look?", []), ("approve", "pay?", []), ("approve", "after {2}", [2]))
    graph = planner([plan], ["ok"], [approve], checkpointer=InMemorySaver())
    paused = graph.invoke(ask(), thread()) if sync else await graph.ainvoke(ask(), thread())
    assert paused["__interrupt__"][0].value == "pay?"
    resume: Any = Command(resume="paid")
    result = graph.invoke(resume, thread()) if sync else await graph.ainvoke(resume, thread())
    assert [answer.text for answer in result["answers"].values()] == ["done", "paid", "done"]
    assert sorted(runs[:2]) == ["look?", "pay?"]
    assert runs[2:] == ["pay?", "after paid"]


@pytest.mark.parametrize(
    ("protocol", "asked"), [("auto", "human: How many eggs"), ("guided", "These sub-questions may help")]
)
def test_a_larger_solver_is_not_guided_by_the_embedded_decomposer(protocol: str, asked: str) -> None:
    weak = LineDecomposer(RoleModel(ScriptedChatModel(script=["1 [solve] How many a day?"]), small=True))
    solver = ScriptedChatModel(script=["Answer: 9"])
    graph = planner(weak, solver, protocol=protocol)
    result = graph.invoke(ask("How many eggs are that in a week?"))
    assert result["answer"] == "9"
    assert result["plan"].is_direct == (protocol == "auto")
    assert asked in solver.prompts[0]


@pytest.mark.parametrize("tools", [[], [calculator()]])
def test_the_embedded_decomposer_is_not_asked_for_what_nobody_would_follow(tools: list[BaseTool]) -> None:
    writer = ScriptedChatModel(script=[])
    graph = planner(LineDecomposer(RoleModel(writer, small=True)), ["Answer: 9"], tools)
    question = ask("How many eggs are that in a week?")
    parts: list[Any] = list(graph.stream(question, stream_mode=["custom", "values"]))
    assert parts[-1][1]["answer"] == "9"
    assert writer.prompts == []
    event, _ = [part for kind, part in parts if kind == "custom"]
    assert event["problems"] == ["the embedded decomposer's plan is no guide for this solver"]


def test_of_many_tools_the_decomposer_sees_those_that_fit() -> None:
    from langchain_core.tools import StructuredTool

    others = [
        StructuredTool.from_function(lambda: "", name=f"other_{n}", description=f"Weighs thing number {n}.")
        for n in range(60)
    ]
    writer = ScriptedChatModel(script=lambda _: CRAIGSLIST)
    result = planner(writer, tools=[*others, search]).invoke(ask())
    assert result["answer"] == "In 1952"
    assert writer.prompts[0].count("other_") == 23
    assert "search: " in writer.prompts[0]
    everything = ScriptedChatModel(script=lambda _: CRAIGSLIST)
    planner(everything, tools=[*others, search], tool_retrieval=None).invoke(ask())
    assert everything.prompts[0].count("other_") == 60
