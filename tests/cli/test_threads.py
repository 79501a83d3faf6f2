"""Threads, for real: processes that are killed in the middle, and go on."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from anabranch.agents.gate import Gate
from anabranch.cli.options import THREADS, recalled, remember
from anabranch.errors import EndpointError
from anabranch.graphs.planner import Planner, create_planner
from anabranch.graphs.unfinished import find_unfinished
from anabranch.locks import held
from tests.cli import scenario
from tests.cli.scenario import ANSWER, QUESTION
from tests.fakes import ScriptedChatModel
from tests.openai_server import OpenAIServer

pytestmark = [pytest.mark.loopback, pytest.mark.timeout(300)]
Models = Callable[..., list[str]]


async def test_a_question_that_no_node_has_seen_yet_is_not_lost() -> None:
    saver = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}, "metadata": remember({"mode": "dynamic"})}
    fine = direct(saver, gate=lambda _: False)
    assert await find_unfinished(saver, "t") is None
    await fine.ainvoke({"messages": [HumanMessage("the first question?", id="1")]}, config)
    assert await find_unfinished(saver, "t") is None
    with pytest.raises(ZeroDivisionError):
        await direct(saver, gate=lambda _: bool(1 // 0)).ainvoke(
            {"messages": [HumanMessage("the second question?", id="2")]}, config
        )
    unfinished = await find_unfinished(saver, "t")
    assert unfinished
    assert (unfinished.question, recalled(unfinished.metadata)) == ("the second question?", {"mode": "dynamic"})
    assert unfinished.answers == []
    result = await fine.ainvoke(None, config)
    assert [message.text for message in result["messages"]] == [
        "the first question?",
        "answer",
        "the second question?",
        "answer",
    ]


async def test_a_question_is_taken_back_out_of_the_conversation() -> None:
    saver = InMemorySaver()
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    solver = ScriptedChatModel(script=[ValueError("away")])
    with pytest.raises(EndpointError):
        await direct(saver, gate=lambda _: False, solver=solver).ainvoke(
            {"messages": [HumanMessage("the first question?", id="1")]}, config
        )
    unfinished = await find_unfinished(saver, "t")
    assert unfinished
    assert (unfinished.question, recalled(unfinished.metadata)) == ("the first question?", {})
    fine = direct(saver, gate=lambda _: False)
    result = await fine.ainvoke({"messages": [*unfinished.forget, HumanMessage("the second question?")]}, config)
    assert [message.text for message in result["messages"]] == ["the second question?", "answer"]


def direct(saver: InMemorySaver, *, gate: Gate, solver: ScriptedChatModel | None = None) -> Planner:
    """A planner that answers directly, as the gate says."""
    solver = solver or ScriptedChatModel(script=lambda _: "answer")
    return create_planner(decomposer=solver, solver=solver, gate=gate, checkpointer=saver)


@pytest.fixture
def killed(home: Path, models: Models) -> list[str]:
    """A thread whose run was killed while sub-question 2 was asked; the options it was started with."""
    options = models("--tool", "slow_tools:lookup", "--thread", "t")
    process = scenario.start(home, "ask", QUESTION, *options, SLOW="1000")
    scenario.wait_until(lambda: len(scenario.calls(home)) == 3 and recorded(home) == 2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    return options


def recorded(home: Path) -> int:
    """How many sub-questions are on record."""
    with closing(sqlite3.connect(home / "cache" / THREADS)) as connection:
        return int(connection.execute("select count(*) from writes where channel = '__return__'").fetchone()[0])


def test_a_killed_run_goes_on_where_it_was(home: Path, killed: list[str], server: OpenAIServer) -> None:
    before = scenario.calls(home)
    plans = sum("Reply with JSON only" in prompt for prompt in server.prompts)
    # Only the name of the thread is needed: the thread remembers the options.
    process = scenario.run(home, "ask", "--thread", "t")
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"{ANSWER}\n"
    assert process.stderr.count("  1 → Craig Newmark (from before)\n") == 1
    assert "  3 → 1969 (from before)" in process.stderr
    again = scenario.calls(home)[len(before) :]
    assert [call.replace("Craig Newmark", "…") for call in again] == ["When was … born?"]
    assert sum("Reply with JSON only" in prompt for prompt in server.prompts) == plans == 1


def test_the_same_question_goes_on_and_another_is_refused(home: Path, killed: list[str]) -> None:
    other = scenario.run(home, "ask", "Who is somebody else entirely?", *killed)
    assert (other.returncode, other.stdout) == (2, "")
    assert "is in the middle of another question (Who was born first" in other.stderr
    assert "--restart" in other.stderr
    same = scenario.run(home, "ask", QUESTION, *killed)
    assert same.returncode == 0, same.stderr
    assert "going on with" in same.stderr
    assert scenario.calls(home).count("Who founded Craigslist?") == 1


def test_restart_drops_the_unfinished_run(home: Path, killed: list[str], server: OpenAIServer) -> None:
    process = scenario.run(home, "ask", "Who is the other one, then?", *killed, "--restart")
    assert process.returncode == 0, process.stderr
    assert scenario.calls(home).count("Who founded Craigslist?") == 2
    assert QUESTION not in server.prompts[-1]
    assert "Who is the other one, then?" in server.prompts[-1]
    done = scenario.run(home, "ask", "--thread", "t", "--restart")
    assert done.returncode == 2
    assert "has nothing unfinished" in done.stderr


def test_a_finished_thread_takes_the_next_question(home: Path, models: Models, server: OpenAIServer) -> None:
    options = models("--tool", "slow_tools:lookup", "--thread", "t", "--checkpoints", "mine.sqlite")
    first = scenario.run(home, "ask", QUESTION, *options)
    assert first.returncode == 0, first.stderr
    second = scenario.run(home, "ask", "And who was born second, then?", *options, "--json")
    data = json.loads(second.stdout)
    assert data["question"] == "And who was born second, then?"
    assert len(data["answers"]) == 3
    assert ANSWER in server.prompts[-1]
    assert (home / "mine.sqlite").exists()


def test_a_run_that_failed_goes_on_once_the_server_is_back(home: Path, models: Models, server: OpenAIServer) -> None:
    options = models("--tool", "slow_tools:lookup", "--thread", "t")
    usual = server.script
    server.script = lambda request: (
        (400, {"error": {"message": "away"}}) if "found: " in str(request["messages"]) else usual(request)
    )
    failed = scenario.run(home, "ask", QUESTION, *options)
    assert failed.returncode == 1
    assert "error: the solver model failed" in failed.stderr
    assert "anabranch ask --thread t" in failed.stderr.splitlines()[-1]
    server.script = usual
    assert scenario.run(home, "ask", "--thread", "t").stdout == f"{ANSWER}\n"


@pytest.mark.loopback
def test_of_two_runs_on_one_thread_the_second_says_who_is_there(home: Path, models: Models) -> None:
    with held(home / "cache" / THREADS, "x", part="thread 't'"):
        result = scenario.run(home, "ask", QUESTION, *models("--tool", "slow_tools:lookup", "--thread", "t"))
    assert result.returncode == 1
    assert f"(thread 't'): process {os.getpid()} on " in result.stderr
    assert result.stderr.strip().endswith("or use another --thread, or other --checkpoints")
    assert scenario.calls(home) == []


@pytest.mark.loopback
def test_a_locked_file_is_found_out_before_the_first_call(home: Path, models: Models, server: OpenAIServer) -> None:
    options = models("--tool", "slow_tools:lookup", "--thread", "t", "--checkpoints", "t.sqlite")
    assert scenario.run(home, "ask", QUESTION, *options).returncode == 0
    asked = len(server.requests)
    with closing(sqlite3.connect(home / "t.sqlite")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        result = scenario.run(home, "ask", QUESTION, *options)
    assert result.returncode == 1
    assert "t.sqlite" in result.stderr
    assert "another program is writing to it; wait until that has ended" in result.stderr
    assert len(server.requests) == asked
