"""The planner before the first step of LangChain's agents."""

import asyncio
import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import TodoListMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from anabranch.errors import EndpointError
from anabranch.graphs.planner import Planner, create_planner
from anabranch.middleware import PlannerMiddleware
from tests.fakes import ScriptedChatModel
from tests.graphs import scripts
from tests.graphs.scripts import CRAIGSLIST, plan_json, planner, reader, search, thread

FOUND = "1 [search] Who founded Craigslist? = Craig Newmark"
TODOS = [
    {"content": "Who founded Craigslist?", "status": "completed"},
    {"content": "When was Craig Newmark born?", "status": "completed"},
]


def ask(question: str = "When was the founder of Craigslist born?") -> Any:
    """Input of an agent."""
    return scripts.ask(question)


def look_ups(*plans: str, **options: Any) -> Planner:
    return planner(list(plans) or [CRAIGSLIST], final_answer=False, **options)


def model() -> ScriptedChatModel:
    return ScriptedChatModel(script=lambda prompt: "In 1952." if "= 1952" in prompt else "I do not know.")


@tool
def book(date: str) -> str:
    """Books a table."""
    return f"booked for {date}"


def test_the_agent_begins_with_what_was_found() -> None:
    chat = model()
    agent = create_agent(chat, middleware=[PlannerMiddleware(look_ups())], system_prompt="Be kind.")
    result = agent.invoke(ask())
    assert result["messages"][-1].text == "In 1952."
    assert result["todos"] == TODOS
    assert len(result["messages"]) == 2
    assert result["planned"]["usage"]["decomposer"]["calls"] == 1
    (prompt,) = chat.prompts
    assert prompt.startswith("system: Be kind.\n\nBefore you began")
    assert FOUND in prompt
    assert "2 [search] When was Craig Newmark born? = 1952" in prompt


async def test_what_a_planner_makes_of_its_answers_is_told() -> None:
    chat = model()
    agent = create_agent(chat, middleware=[PlannerMiddleware(planner([CRAIGSLIST]))])
    words, state = "", dict[str, Any]()
    part: Any
    async for mode, part in agent.astream(ask(), stream_mode=["values", "messages"]):
        if mode == "values":
            state = part
        else:
            words += str(getattr(part[0], "text", ""))
    assert words == "In 1952."
    assert state["planned"]["answer"]
    assert chat.prompts[0].partition("\nhuman: ")[0].endswith(f"Put together, they give: {state['planned']['answer']}")


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_an_agent_stops_where_the_planner_has_the_answer(way: str) -> None:
    chat = model()
    middleware = PlannerMiddleware(planner([CRAIGSLIST]), stop_when_answered=True)
    agent = create_agent(chat, tools=[book], middleware=[middleware])
    result = agent.invoke(ask()) if way == "invoke" else await agent.ainvoke(ask())
    assert chat.prompts == []
    assert [type(message) for message in result["messages"]] == [HumanMessage, AIMessage]
    assert result["messages"][-1].text == result["planned"]["answer"] != ""
    assert result["todos"] == TODOS


async def test_an_agent_goes_on_where_the_planner_has_no_answer() -> None:
    chat = model()
    plan = plan_json(("search", "Where is it?", []))
    middleware = PlannerMiddleware(planner([plan, plan]), stop_when_answered=True)
    result = await create_agent(chat, middleware=[middleware]).ainvoke(ask())
    assert (result["messages"][-1].text, len(chat.prompts)) == ("I do not know.", 1)


async def test_behind_a_planner_without_a_final_answer_no_agent_stops() -> None:
    agent = create_agent(model(), middleware=[PlannerMiddleware(look_ups(), stop_when_answered=True)])
    assert (await agent.ainvoke(ask()))["messages"][-1].text == "In 1952."


async def test_asynchronously_its_events_are_streamed_and_no_words_of_its_own() -> None:
    agent = create_agent(model(), middleware=[PlannerMiddleware(look_ups())])
    events, words = [], ""
    part: Any
    async for mode, part in agent.astream(ask(), stream_mode=["custom", "messages"]):
        if mode == "custom":
            events.append(part["type"])
        else:
            words += str(getattr(part[0], "text", ""))
    assert [event for event in events if event != "todos"] == ["plan", *["sub_question"] * 4]
    assert words == "In 1952."


MOVES = [
    (("Who founded Craigslist?", "pending"), ("When was {1} born?", "pending")),
    (("Who founded Craigslist?", "in_progress"), ("When was {1} born?", "pending")),
    (("Who founded Craigslist?", "completed"), ("When was Craig Newmark born?", "pending")),
    (("Who founded Craigslist?", "completed"), ("When was Craig Newmark born?", "in_progress")),
    (("Who founded Craigslist?", "completed"), ("When was Craig Newmark born?", "completed")),
]


def moved(todos: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((todo["content"], todo["status"]) for todo in todos)


async def test_todos_move_while_the_plan_runs() -> None:
    seen = asyncio.Event()

    @tool("search")
    async def waiting(query: str) -> str:
        """Looks facts up, once it was seen that the first look-up has started."""
        await asyncio.wait_for(seen.wait(), 20)
        found: str = await search.ainvoke(query)
        return found

    middleware = PlannerMiddleware(look_ups(tools=[waiting]))
    events, updates = [], []
    part: Any
    async for mode, part in create_agent(model(), middleware=[middleware]).astream(
        ask(), stream_mode=["custom", "updates"]
    ):
        if mode == "updates":
            updates += [moved(part["todos"]["todos"])] if "todos" in part else []
        elif part["type"] == "todos":
            events.append(moved(part["todos"]))
        if MOVES[1] in events and MOVES[1] in updates:
            seen.set()
    assert events == updates == MOVES


def test_todos_move_without_an_event_loop() -> None:
    seen = threading.Event()

    @tool("search")
    def waiting(query: str) -> str:
        """Looks facts up, once it was seen that the first look-up has started."""
        assert seen.wait(20)
        found: str = search.invoke(query)
        return found

    middleware = PlannerMiddleware(look_ups(tools=[waiting]))
    updates = []
    part: Any
    for mode, part in create_agent(model(), middleware=[middleware]).stream(ask(), stream_mode=["custom", "updates"]):
        if mode == "updates" and "todos" in part:
            updates.append(moved(part["todos"]["todos"]))
            if updates[-1] == MOVES[1]:
                seen.set()
    assert updates == MOVES


async def test_todos_move_on_a_thread_and_stay_there() -> None:
    middleware = PlannerMiddleware(look_ups())
    agent = create_agent(model(), middleware=[middleware], checkpointer=InMemorySaver())
    updates: list[Any] = [part async for part in agent.astream(ask(), thread(), stream_mode="updates")]
    assert [moved(part["todos"]["todos"]) for part in updates if "todos" in part] == MOVES
    assert (await agent.aget_state(thread())).values["todos"] == TODOS


async def test_the_agent_keeps_its_tools() -> None:
    calls = AIMessage("", tool_calls=[{"name": "book", "args": {"date": "1952"}, "id": "a"}])
    chat = ScriptedChatModel(script=[calls, "It is booked."])
    agent = create_agent(chat, tools=[book], middleware=[PlannerMiddleware(look_ups())])
    result = await agent.ainvoke(ask())
    assert [type(message) for message in result["messages"][2:]] == [ToolMessage, AIMessage]
    assert all(FOUND in prompt for prompt in chat.prompts)
    assert [len(bound["tools"]) for bound in chat.bound] == [1, 1]


@pytest.mark.parametrize(
    ("options", "config"),
    [({"when": False}, {}), ({"when": lambda state: len(state["messages"]) > 1}, {}), ({}, {"plan": False})],
)
async def test_planning_is_switched_off(options: dict[str, Any], config: dict[str, Any]) -> None:
    agent = create_agent(model(), middleware=[PlannerMiddleware(look_ups(""), **options)])
    result = await agent.ainvoke(ask(), {"configurable": config})
    assert result["messages"][-1].text == "I do not know."
    assert not result.get("todos")


async def test_a_turn_without_a_plan_forgets_the_plan_before() -> None:
    middleware = PlannerMiddleware(look_ups(CRAIGSLIST, plan_json()))
    chat = model()
    agent = create_agent(chat, middleware=[middleware], checkpointer=InMemorySaver())
    first = await agent.ainvoke(ask(), thread())
    assert first["todos"] == TODOS
    second = await agent.ainvoke(ask("Who are you, and what is a planner?"), thread())
    assert second["todos"] == []
    assert "Before you began" not in chat.prompts[-1]
    third = await agent.ainvoke(ask("Thanks!"), {"configurable": {"thread_id": "t", "plan": False}})
    assert third["messages"][-1].text == "I do not know."


async def test_what_failed_is_left_to_the_agent() -> None:
    plan = plan_json(("search", "Who founded Craigslist?", []), ("search", "Where does {1} live?", [1]))
    chat = model()
    agent = create_agent(chat, middleware=[PlannerMiddleware(look_ups(plan))])
    result = await agent.ainvoke(ask())
    assert [todo["status"] for todo in result["todos"]] == ["completed", "pending"]
    assert result["todos"][1]["content"] == "Where does Craig Newmark live?"
    assert "FAILED" in chat.prompts[0]


async def test_where_nothing_was_found_the_agent_begins_as_without_a_plan() -> None:
    chat = model()
    agent = create_agent(chat, middleware=[PlannerMiddleware(look_ups(plan_json(("search", "Where is it?", []))))])
    result = await agent.ainvoke(ask())
    assert [todo["status"] for todo in result["todos"]] == ["pending"]
    assert "Before you began" not in chat.prompts[0]


async def test_without_its_models_the_agent_works_on(caplog: pytest.LogCaptureFixture) -> None:
    away = ScriptedChatModel(script=lambda _: EndpointError("the server is away; start it"))
    middleware = PlannerMiddleware(create_planner(decomposer=away, solver=away, tools=[search], final_answer=False))
    result = await create_agent(model(), middleware=[middleware]).ainvoke(ask())
    assert result["messages"][-1].text == "I do not know."
    assert "start it" in result["planned"]["error"]
    assert "the agent works without a plan" in caplog.text


async def test_beside_the_todo_list_of_langchain() -> None:
    beside: list[Any] = [TodoListMiddleware(), PlannerMiddleware(look_ups())]
    agent = create_agent(model(), middleware=beside)
    assert (await agent.ainvoke(ask()))["todos"] == TODOS


async def test_the_same_middleware_serves_many_at_once() -> None:
    agent = create_agent(model(), middleware=[PlannerMiddleware(look_ups(*[CRAIGSLIST] * 8))])
    results = await asyncio.gather(*(agent.ainvoke(ask()) for _ in range(8)))
    assert all(result["todos"] == TODOS for result in results)


async def test_a_planner_without_a_final_answer_ends_with_its_answers() -> None:
    solver = ScriptedChatModel(script=reader)
    result = await planner([CRAIGSLIST], solver, final_answer=False).ainvoke(ask())
    assert [answer.text for answer in result["answers"].values()] == ["Craig Newmark", "1952"]
    assert (result["answer"], result["status"], len(result["messages"])) == ("", "answered", 1)
    assert result["sources"]
    assert len(solver.prompts) == 2
