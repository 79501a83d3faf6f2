"""Routes that are more than tools: agents, compiled graphs and other planners."""

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from anabranch import agent_tool
from anabranch.config import Budget, Price
from anabranch.errors import ConfigurationError
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, search, thread

PLAN = plan_json(("billing", "Which invoices of Ada are open?", []), ("billing", "How much is {1}?", [1]))
BOTH = plan_json(("billing", "Cancel invoice 7", []), ("billing", "Cancel invoice 8", []))
ONE = plan_json(("billing", "Cancel invoice 7", []))


@tool(response_format="content_and_artifact")
def invoices(customer: str) -> tuple[str, list[Document]]:
    """Lists the invoices of a customer."""
    page = Document(f"{customer}: invoice 7, open", metadata={"source": "ledger.csv", "page": 3})
    return page.page_content, [page]


@tool
def cancel(number: int) -> str:
    """Cancels an invoice."""
    return f"Invoice {number} is cancelled."


def calls(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"{name}-{arguments}"}])


def clerk(prompt: str) -> Reply:
    """The model of the specialist."""
    if "tool: " in prompt:
        last = prompt.rsplit("tool: ", 1)[1]
        return "invoice 7" if "open" in last else last
    if "How much is invoice 7?" in prompt:
        return "It is 30 EUR."
    if "Cancel invoice" in prompt:
        return calls("cancel", number=int(prompt.rsplit(" ", 1)[1]))
    return calls("invoices", customer="Ada")


def specialist(script: Any = clerk, tools: list[BaseTool] | None = None, **options: Any) -> Any:
    model = ScriptedChatModel(script=script)
    return create_agent(model, tools=[invoices, cancel] if tools is None else tools, name="billing", **options)


def billing(agent: Any = None, **options: Any) -> BaseTool:
    return agent_tool(agent or specialist(), description="Answers questions about invoices.", **options)


def joined(prompt: str) -> Reply:
    return "All in all: " + prompt.rsplit("= ", 1)[1].split("\n")[0]


# What it is asked, and what it says


@pytest.mark.parametrize("sync", [True, False])
async def test_a_plan_is_routed_to_an_agent_with_tools_of_its_own(sync: bool) -> None:
    graph = planner([PLAN], joined, [billing()])
    result = await asyncio.to_thread(graph.invoke, ask()) if sync else await graph.ainvoke(ask())
    answers = result["answers"]
    assert [answers[1].text, answers[2].text] == ["invoice 7", "It is 30 EUR."]
    assert (answers[2].route, answers[2].arguments) == ("billing", {"question": "How much is invoice 7?"})
    assert result["answer"] == "All in all: It is 30 EUR."
    (passage,) = answers[1].sources
    assert (passage.source, passage.page, passage.text) == ("ledger.csv", 3, "Ada: invoice 7, open")
    assert (passage.tool, passage.arguments) == ("billing", {"question": "Which invoices of Ada are open?"})


def test_it_gets_the_answers_that_it_depends_on_and_have_no_slot() -> None:
    plan = plan_json(("search", "Who founded Craigslist?", []), ("billing", "What does the founder owe?", [1]))
    model = ScriptedChatModel(script=["Nothing."])
    agent = create_agent(model, name="billing")
    script: list[Reply] = ["Craig Newmark", "Nothing."]
    planner([plan], script, [search, billing(agent)]).invoke(ask())
    assert model.prompts == [
        "human: What does the founder owe? (known: Who founded Craigslist? Craig Newmark)",
    ]


def test_a_graph_of_any_kind_and_a_plain_runnable_are_routes() -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"You asked: {state['messages'][-1].text}")]}

    built = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END)
    chat = ScriptedChatModel(script=["forty-two"])
    tools: list[BaseTool] = [
        agent_tool(built.compile(), name="echo", description="Repeats."),
        agent_tool(_messages | chat, name="chat", description="Talks."),
    ]
    plan = plan_json(("echo", "Hello?", []), ("chat", "How many?", []))
    answers = planner([plan], joined, tools).invoke(ask())["answers"]
    assert [answers[1].text, answers[2].text] == ["You asked: Hello?", "forty-two"]


def _messages(given: dict[str, Any]) -> Any:
    return given["messages"]


def test_structured_responses_and_results_of_tools_without_passages_are_kept() -> None:
    agent = specialist(tools=[cancel])
    result = planner([ONE], joined, [billing(agent)]).invoke(ask())
    (source,) = result["answers"][1].sources
    assert (source.title, source.text, source.tool) == ("cancel", "Invoice 7 is cancelled.", "billing")

    class Structured(MessagesState):
        structured_response: dict[str, Any]

    def node(state: Structured) -> dict[str, Any]:
        return {"messages": [AIMessage("")], "structured_response": {"open": [7]}}

    built = StateGraph(Structured).add_node("node", node).add_edge(START, "node").compile(name="billing")
    assert planner([ONE], joined, [billing(built)]).invoke(ask())["answers"][1].text == '{"open":[7]}'


# Another planner


def test_another_planner_is_a_route_and_its_sources_are_those_of_the_answer() -> None:
    inner = planner([CRAIGSLIST], name="facts")
    plan = plan_json(("facts", "When was the founder of Craigslist born?", []))
    graph = planner([plan], joined, [agent_tool(inner, description="Knows founders.")])
    result = graph.invoke(ask())
    assert result["answers"][1].text == "In 1952"
    assert result["answers"][1].sources[-1].text == "Craig Newmark was born in 1952."
    # Its calls are booked once: plan, two read answers, and its joiner.
    assert result["answers"][1].usage.calls == 4
    assert result["usage"]["decomposer"].calls == 1


def test_another_planner_that_found_nothing_has_not_answered() -> None:
    inner = planner([plan_json(("search", "Who is it?", []))], name="facts", max_replans=0)
    plan = plan_json(("facts", "Who is it?", []))
    result = planner([plan], joined, [agent_tool(inner, description="Knows.")], max_replans=0).invoke(ask())
    assert result["answers"][1].not_found
    assert result["status"] == "not_found"


# Events


async def test_its_events_nest_and_the_messages_of_the_planner_are_the_answer_alone() -> None:
    def build() -> Any:
        agent = create_agent(ScriptedChatModel(script=clerk, word_delay=0.0), tools=[invoices], name="billing")
        plan = plan_json(("billing", "Which invoices of Ada are open?", []))
        return planner([plan], ScriptedChatModel(script=joined, word_delay=0.0), [billing(agent)])

    spaces, nested = set(), ""
    async for space, (message, _) in build().astream(ask(), stream_mode="messages", subgraphs=True):
        spaces.add(tuple(part.partition(":")[0] for part in space))
        nested += message.text if space else ""
    assert ("execute", "sub_question") in spaces
    assert "invoice 7" in nested
    shown = "".join([message.text async for message, _ in build().astream(ask(), stream_mode="messages")])
    assert shown == "All in all: invoice 7"


def test_what_a_planner_inside_reports_comes_under_its_namespace() -> None:
    inner = planner([CRAIGSLIST], name="facts")
    plan = plan_json(("facts", "When was the founder of Craigslist born?", []))
    graph = planner([plan], joined, [agent_tool(inner, description="Knows founders.")])
    events: Any = list(graph.stream(ask(), stream_mode="custom", subgraphs=True))
    plans = {space[:1] and space[0].partition(":")[0]: event for space, event in events if event["type"] == "plan"}
    assert set(plans) == {(), "execute"}
    assert len(plans["execute"]["plan"]["sub_questions"]) == 2
    again = planner([plan], joined, [agent_tool(planner([CRAIGSLIST], name="facts"), description="Knows founders.")])
    own: Any = list(again.stream(ask(), stream_mode="custom"))
    assert [event["type"] for event in own] == ["plan", "sub_question", "sub_question", "answer"]


# A person in the loop


def guarded() -> Any:
    return specialist(middleware=[HumanInTheLoopMiddleware(interrupt_on={"cancel": True})])


@pytest.mark.parametrize("sync", [True, False])
async def test_what_it_asks_a_person_comes_up_and_goes_on_inside_it(sync: bool) -> None:
    graph = planner([BOTH], joined, [billing(guarded())], checkpointer=InMemorySaver())

    async def run(value: Any) -> Any:
        return await (asyncio.to_thread(graph.invoke, value, thread()) if sync else graph.ainvoke(value, thread()))

    asked = (await run(ask()))["__interrupt__"]
    assert sorted(each.value["action_requests"][0]["args"]["number"] for each in asked) == [7, 8]
    numbers = {each.id: each.value["action_requests"][0]["args"]["number"] for each in asked}
    yes, no = {"decisions": [{"type": "approve"}]}, {"decisions": [{"type": "reject", "message": "not this one"}]}
    decisions = {id_: yes if number == 7 else no for id_, number in numbers.items()}
    result = await run(Command(resume=decisions))
    assert result["answers"][1].text == "Invoice 7 is cancelled."
    assert result["answers"][2].text.endswith("not this one")


def test_it_goes_on_where_it_was_with_a_checkpointer_that_is_synchronous_alone(tmp_path: Any) -> None:
    model = ScriptedChatModel(script=clerk)
    agent = create_agent(
        model, tools=[cancel], name="billing", middleware=[HumanInTheLoopMiddleware(interrupt_on={"cancel": True})]
    )
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        graph = planner([ONE], joined, [billing(agent)], checkpointer=saver)
        assert graph.invoke(ask(), thread())["__interrupt__"]
        result = graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread())
    assert result["answers"][1].text == "Invoice 7 is cancelled."
    assert len(model.prompts) == 2  # the call that proposed it is not made again


@pytest.mark.parametrize("options", [{"effects": True}, {}])
def test_one_that_changes_something_waits_for_a_person_with_the_sub_question_itself(options: dict[str, Any]) -> None:
    more = {} if options else {"unmarked_tools": "action"}
    model = ScriptedChatModel(script=clerk)
    agent = create_agent(model, tools=[cancel], name="billing")
    graph = planner([ONE], joined, [billing(agent, **options)], checkpointer=InMemorySaver(), **more)
    (asked,) = graph.invoke(ask(), thread())["__interrupt__"][0].value["action_requests"]
    assert (asked["name"], asked["args"]) == ("billing", {"question": "Cancel invoice 7"})
    assert not model.prompts
    assert graph.invoke(Command(resume="approve"), thread())["answers"][1].text == "Invoice 7 is cancelled."


def test_one_that_changes_something_may_ask_again_inside() -> None:
    graph = planner([ONE], joined, [billing(guarded(), effects=True)], checkpointer=InMemorySaver())
    graph.invoke(ask(), thread())
    (inside,) = graph.invoke(Command(resume="approve"), thread())["__interrupt__"]
    assert inside.value["action_requests"][0]["args"] == {"number": 7}
    result = graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread())
    assert result["answers"][1].text == "Invoice 7 is cancelled."


# What goes wrong


def failing(state: MessagesState) -> dict[str, Any]:
    raise ValueError("the ledger is closed")


def forever(state: MessagesState) -> Command[Any]:
    return Command(goto="node")


def silent(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("")]}


def handing_over(state: MessagesState) -> Command[Any]:
    return Command(goto="other", graph=Command.PARENT)


@pytest.mark.parametrize(
    ("node", "error"),
    [
        (failing, "ValueError: the ledger is closed"),
        (forever, "GraphRecursionError: Recursion limit"),
        (silent, "billing gave no answer"),
        (handing_over, "billing hands the question over to another agent, which a plan has no place for"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_fails_in_it_is_a_failed_answer(node: Any, error: str) -> None:
    built = StateGraph(MessagesState).add_node("node", node).add_edge(START, "node")
    graph = built.compile(name="billing").with_config(recursion_limit=5)
    plan = plan_json(("billing", "Cancel invoice 7", []), ("search", "Who founded Craigslist?", []))

    def script(prompt: str) -> Reply:
        return "So it was." if "Sub-questions and their answers:" in prompt else "Craig Newmark"

    result = planner([plan], script, [search, billing(graph)], max_replans=0).invoke(ask())
    assert (result["answers"][1].error or "").startswith(error)
    assert result["answers"][2].text == "Craig Newmark"
    assert result["status"] == "partial"


async def test_one_that_hangs_is_ended_by_the_time_limit_of_a_step() -> None:
    model = ScriptedChatModel(script=clerk, delay=60.0)
    agent = create_agent(model, name="billing")
    graph = planner([ONE], joined, [billing(agent)], step_timeout=0.2, max_replans=0)
    result = await graph.ainvoke(ask())
    assert result["answers"][1].error == "no answer within 0.2 s"
    assert model.cancelled == ["Cancel invoice 7"]


# What it takes


def test_its_model_calls_are_booked_with_their_price() -> None:
    result = planner([ONE], joined, [billing(price=Price(input=1e6, output=0))]).invoke(ask())
    usage = result["answers"][1].usage
    assert usage.calls == 2
    assert usage.usd == usage.input_tokens > 0 < usage.output_tokens
    assert result["usage"]["solver"].calls == 2
    assert planner([ONE], joined, [billing()]).invoke(ask())["answers"][1].usage.usd is None


@pytest.mark.parametrize("sync", [True, False])
async def test_a_budget_ends_its_calls(sync: bool) -> None:
    def again(prompt: str) -> Reply:
        return calls("invoices", customer=str(len(prompt)))

    model = ScriptedChatModel(script=again)
    agent = create_agent(model, tools=[invoices], name="billing")
    plan = plan_json(("search", "Who founded Craigslist?", []), ("billing", "What does {1} owe?", [1]))
    script: list[Reply] = ["Craig Newmark"]
    graph = planner([plan], script, [search, billing(agent)], budget=Budget(max_calls=5), max_replans=0)
    result = await asyncio.to_thread(graph.invoke, ask()) if sync else await graph.ainvoke(ask())
    assert result["answers"][2].error == (
        "BudgetExceededError: the budget is used up (max_calls=5); raise it or ask less at once"
    )
    assert len(model.prompts) == 3  # beside the plan and the answer that was read
    assert result["status"] == "partial"


def test_the_time_of_a_budget_ends_it() -> None:
    model = ScriptedChatModel(script=clerk, delay=60.0)
    agent = create_agent(model, name="billing")
    plan = plan_json(("search", "Who founded Craigslist?", []), ("billing", "What does he owe?", []))
    script: list[Reply] = ["Craig Newmark"]
    budget = Budget(max_seconds=0.5)
    result = planner([plan], script, [search, billing(agent)], budget=budget, max_replans=0).invoke(ask())
    assert "max_seconds" in (result["answers"][2].error or "")


# What cannot be a route


class Other(TypedDict):
    text: str


def test_what_cannot_be_a_route_says_what_to_do() -> None:
    unnamed = create_agent(ScriptedChatModel(script=[]))
    with pytest.raises(ConfigurationError, match="no name that plans can route to"):
        agent_tool(unnamed, description="Answers.")
    with pytest.raises(ConfigurationError, match="has no description"):
        agent_tool(specialist(), description=" ")
    built = StateGraph(Other).add_node("node", lambda state: state).add_edge(START, "node").compile(name="other")
    with pytest.raises(ConfigurationError, match="has no key 'messages'"):
        agent_tool(built, description="Answers.")
    bare: Any = specialist()
    with pytest.raises(ConfigurationError, match=r"'billing' among the tools is a graph.*agent_tool\(graph"):
        planner([], tools=[bare])
    with pytest.raises(ConfigurationError, match="cannot be a route"):
        planner([], tools=[agent_tool(specialist(), name="solve", description="Answers.")])


def test_an_interrupt_in_a_node_of_a_plain_graph_is_resumed() -> None:
    def confirm(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"You said {interrupt('Which invoice?')}")]}

    built = StateGraph(MessagesState).add_node("confirm", confirm).add_edge(START, "confirm").compile(name="billing")
    graph = planner([ONE], joined, [billing(built)], checkpointer=InMemorySaver())
    assert graph.invoke(ask(), thread())["__interrupt__"][0].value == "Which invoice?"
    assert graph.invoke(Command(resume="number 7"), thread())["answers"][1].text == "You said number 7"
