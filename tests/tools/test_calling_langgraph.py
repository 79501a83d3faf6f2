"""Tools by LangGraph's means: what is injected, what they give back, and what they cannot do to the run."""

import asyncio
import io
import locale
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException, tool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from anabranch.errors import ModelError
from anabranch.graphs.state import PlannerState
from anabranch.tools.calling import ToolRun, call_tool, content_text, running
from tests.graphs.scripts import plan_json, planner, thread

QUESTION = {"messages": [("user", "What is it, please?")]}


@dataclass
class Context:
    user: str


@tool
def by_state(query: str, asked: Annotated[str, InjectedState("question")]) -> str:
    """Looks up."""
    return f"{query} for {asked}"


@tool
async def by_whole_state(query: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Looks up."""
    return f"{query} of {len(state['plan'].sub_questions)}, {len(state['messages'])} message"


@tool
def by_store(query: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
    """Looks up."""
    found = store.get(("facts",), "a")
    return str(found and found.value["it"])


@tool
async def by_runtime(query: str, runtime: ToolRuntime[Context]) -> str:
    """Looks up."""
    return f"{runtime.context.user} asks {runtime.state['question']} in {runtime.tool_call_id}"


@tool
def by_config(query: str, config: RunnableConfig) -> str:
    """Looks up."""
    return str(config["configurable"]["thread_id"])


SEEN: list[tuple[BaseTool, str]] = [
    (by_state, "sub? for What is it, please?"),
    (by_whole_state, "sub? of 1, 1 message"),
    (by_store, "blue"),
    (by_runtime, "Ada asks What is it, please? in call_1"),
    (by_config, "t"),
]


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(("lookup", "seen"), SEEN, ids=lambda value: getattr(value, "name", ""))
async def test_what_langgraph_injects_reaches_the_tool(lookup: BaseTool, seen: str, sync: bool) -> None:
    store = InMemoryStore()
    store.put(("facts",), "a", {"it": "blue"})
    plan = plan_json((lookup.name, "sub?", []))
    graph = planner([plan], lambda _: "read", [lookup], store=store, context_schema=Context, max_replans=0)
    options: Any = {"config": thread(), "context": Context("Ada")}
    result = graph.invoke(QUESTION, **options) if sync else await graph.ainvoke(QUESTION, **options)
    assert result["answers"][1].evidence == seen


class WithUser(PlannerState):
    user: NotRequired[str]


@tool
def by_own_state(query: str, user: Annotated[str, InjectedState("user")], runtime: ToolRuntime) -> Command[Any]:
    """Looks up."""
    said = ToolMessage(f"{user} may", tool_call_id=runtime.tool_call_id)
    return Command(update={"messages": [said], "user": "Bob"})


def test_a_state_of_ones_own_goes_in_and_out() -> None:
    plan = plan_json(("by_own_state", "sub?", []))
    graph = planner([plan], lambda _: "read", [by_own_state], state_schema=WithUser, max_replans=0)
    result = graph.invoke({**QUESTION, "user": "Ada"})
    assert result["answers"][1].evidence == "Ada may"
    assert result["user"] == "Bob"
    assert "user" in graph.get_input_jsonschema()["properties"]


async def test_a_model_cannot_forge_what_is_injected() -> None:
    with running(ToolRun({"question": "Q"})):
        assert (await call_tool(by_state, {"query": "a", "asked": "forged"})).text == "a for Q"


async def test_outside_of_a_graph_there_is_no_state() -> None:
    with pytest.raises(KeyError):
        await call_tool(by_state, {"query": "a"})


# What tools give back


@tool
def commands(query: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Looks up."""
    said = ToolMessage(f"found {query}", tool_call_id=tool_call_id)
    return Command(update={"messages": [said], "feedback": "noted"})


async def test_a_command_gives_its_message_as_the_result_and_its_update_to_the_graph() -> None:
    with running(ToolRun()) as run:
        result = await call_tool(commands, {"query": "a"})
    assert result.text == "found a"
    assert [command.update for command in run.commands] == [{"feedback": "noted"}]


def test_the_update_of_a_command_reaches_the_planners_state() -> None:
    plan = plan_json(("commands", "sub?", []))
    graph = planner([plan], lambda _: "read", [commands], max_replans=0)
    updates = [part["execute"] for part in graph.stream(QUESTION, stream_mode="updates") if "execute" in part]
    assert updates[0]["feedback"] == "noted"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a", "a"),
        ([{"type": "text", "text": "12"}, {"type": "text", "text": "17"}], "12\n17"),
        (["12", "17"], "12\n17"),
        ([{"type": "text", "text": "a"}, {"type": "image", "base64": "x" * 99}], "a\n[image]"),
        ([{"type": "json", "json": {"a": 1}}], '{"type": "json", "json": {"a": 1}}'),
        ([], ""),
    ],
)
def test_content_blocks_keep_their_form(content: Any, text: str) -> None:
    assert content_text(content) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [([12, 17, 9], "[12, 17, 9]"), ({"a": [1]}, '{"a": [1]}'), (3.5, "3.5"), (True, "true"), ("ä", "ä")],
)
async def test_values_keep_their_form(value: Any, text: str) -> None:
    given = StructuredTool.from_function(lambda: value, name="give", description="Gives.")
    assert (await call_tool(given, {})).text == text


async def test_the_artifact_comes_along() -> None:
    @tool(response_format="content_and_artifact")
    async def find(query: str) -> tuple[str, list[int]]:
        """Finds."""
        return "three", [1, 2, 3]

    assert (await call_tool(find, {"query": "a"})).artifact == [1, 2, 3]


async def test_an_error_that_a_tool_handled_itself_is_a_failure() -> None:
    @tool
    def find(query: str) -> str:
        """Finds."""
        raise ToolException("no line")

    find.handle_tool_error = True
    with pytest.raises(ModelError, match="find failed: no line"):
        await call_tool(find, {"query": "a"})


# What tools cannot do


class ByClass(BaseTool):
    name: str = "by_class"
    description: str = "Looks up."

    def _run(self, query: str, run_manager: Any = None) -> str:
        if query == "exit":
            sys.exit(3)
        return f"{query} {run_manager is not None}"


class ByAsyncClass(ByClass):
    async def _arun(self, query: str, run_manager: Any = None) -> str:
        if query == "exit":
            sys.exit(3)
        return f"{query} {run_manager is not None}"


@pytest.mark.parametrize("kind", [ByClass, ByAsyncClass])
async def test_tools_of_ones_own_class_are_contained_too(kind: Callable[[], BaseTool]) -> None:
    assert (await call_tool(kind(), {"query": "a"})).text == "a True"
    with pytest.raises(ToolException, match="SystemExit: 3"):
        await call_tool(kind(), {"query": "exit"})


def stop_loop() -> str:
    asyncio.get_event_loop().stop()
    return "stopped"


def run_out() -> str:
    return next(iter(()))


def raising(error: BaseException) -> Callable[[], str]:
    def body() -> str:
        raise error

    return body


HARM: list[tuple[str, Callable[[], str], str]] = [
    ("exit", raising(SystemExit(2)), "SystemExit: 2"),
    ("interrupt", raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    ("cancel", raising(asyncio.CancelledError()), "CancelledError"),
    ("generator", raising(GeneratorExit()), "GeneratorExit"),
    ("base", raising(BaseException("odd")), "BaseException: odd"),
    ("next", run_out, "StopIteration"),
    ("timeout", raising(TimeoutError("the archive is slow")), "TimeoutError: the archive is slow"),
]


@pytest.mark.parametrize("sync_graph", [True, False])
@pytest.mark.parametrize("sync_tool", [True, False])
@pytest.mark.parametrize(("harm", "body", "told"), HARM, ids=[name for name, _, _ in HARM])
async def test_what_a_tool_raises_stays_in_its_sub_question(
    harm: str, body: Callable[[], str], told: str, sync_tool: bool, sync_graph: bool
) -> None:
    if sync_tool:

        @tool
        def broken(query: str) -> str:
            """Breaks."""
            return body()
    else:

        @tool
        async def broken(query: str) -> str:
            """Breaks."""
            return body()

    plan = plan_json(("broken", "sub?", []), ("solve", "other?", []))
    graph = planner([plan], lambda _: "fine", [broken], max_replans=0)
    result = await asyncio.to_thread(graph.invoke, QUESTION) if sync_graph else await graph.ainvoke(QUESTION)
    assert told in str(result["answers"][1].error)
    assert result["answers"][2].text == "fine"


@pytest.mark.parametrize("sync_graph", [True, False])
async def test_a_tool_that_cancels_its_own_task_cancels_no_other(sync_graph: bool) -> None:
    @tool
    async def cancelling(query: str) -> str:
        """Cancels itself."""
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(1)
        return "not reached"

    plan = plan_json(("cancelling", "sub?", []), ("solve", "other?", []))
    graph = planner([plan], lambda _: "fine", [cancelling], max_replans=0)
    result = await asyncio.to_thread(graph.invoke, QUESTION) if sync_graph else await graph.ainvoke(QUESTION)
    assert "CancelledError" in str(result["answers"][1].error)
    assert result["answers"][2].text == "fine"


async def test_a_cancelled_call_is_cancelled() -> None:
    @tool
    async def slow(query: str) -> str:
        """Takes long."""
        await asyncio.sleep(10)
        return "late"

    call = asyncio.create_task(call_tool(slow, {"query": "a"}))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def _recurse() -> str:
    return _recurse()


def _leave_threads() -> str:
    for _ in range(5):
        threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()
    return "left"


def _close_stdout() -> str:
    sys.stdout.close()
    return "closed"


def _move() -> str:
    os.chdir("/")
    return "moved"


def _handle_signals() -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return "handled"


def _speak_another_language() -> str:
    locale.setlocale(locale.LC_ALL, "C")
    return "spoken"


@pytest.mark.parametrize(
    "body", [_recurse, _leave_threads, _close_stdout, _move, _handle_signals, _speak_another_language]
)
async def test_what_a_tool_does_to_its_process_ends_no_question(
    body: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    spoken = locale.setlocale(locale.LC_ALL)

    @tool
    def harmful(query: str) -> str:
        """Does harm."""
        return body()

    plan = plan_json(("harmful", "sub?", []), ("solve", "other?", []))
    try:
        graph = planner([plan], lambda _: "fine", [harmful], max_replans=0)
        answers = (await graph.ainvoke(QUESTION))["answers"]
        assert answers[2].text == "fine"
        assert answers[1].text == "fine" or answers[1].error
    finally:
        locale.setlocale(locale.LC_ALL, spoken)


def test_a_tool_that_stops_the_background_loop_does_not_stop_later_calls() -> None:
    @tool
    async def stopping(query: str) -> str:
        """Stops the loop."""
        return stop_loop()

    plan = plan_json(("stopping", "sub?", []))
    for _ in range(2):
        result = planner([plan], lambda _: "read", [stopping], max_replans=0).invoke(QUESTION)
        assert result["answers"][1].text == "read"


def test_a_tool_may_ask_another_planner() -> None:
    inner = planner(["{}"], lambda _: "from inside", [])

    @tool
    def inside(query: str) -> str:
        """Asks."""
        return str(inner.invoke({"messages": [("user", query)]})["answer"])

    @tool
    async def wrongly(query: str) -> str:
        """Asks synchronously on the loop."""
        return str(inner.invoke({"messages": [("user", query)]})["answer"])

    plan = plan_json(("inside", "What is in there?", []), ("wrongly", "What is in there now?", []))
    inner_plan = '{"sub_questions": []}'
    inner = planner([inner_plan, inner_plan], lambda _: "from inside", [])
    result = planner([plan], lambda _: "read", [inside, wrongly], max_replans=0).invoke(QUESTION)
    assert result["answers"][1].evidence == "from inside"
    assert "use `await" in str(result["answers"][2].error)
