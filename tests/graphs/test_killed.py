"""Whole runs are killed with SIGKILL at many moments and go on in another process, on SQLite and on PostgreSQL."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import postgres

MOMENTS = 48
PROGRAM = """
import asyncio, os, signal, sys
from contextlib import AsyncExitStack
from pathlib import Path
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.types import Command
import anabranch.graphs
from anabranch.graphs.checkpointers import open_checkpointer
from anabranch.graphs.unfinished import find_unfinished
from tests.graphs.scripts import plan_json, planner, thread

place, moments = sys.argv[2], int(sys.argv[3])
code = os.path.dirname(anabranch.graphs.__file__)
seen, moment = 0, 0

def trace(frame, event, arg):
    global seen
    if not frame.f_code.co_filename.startswith(code):
        return None
    if event == "line":
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace

PLAN = plan_json(("look_up", "Who founded Craigslist?", []), ("look_up", "When was {1} born?", [1]),
                 ("look_up", "When was Linus Torvalds born?", []), ("send", "Send a letter to {1}", [1]),
                 ("solve", "Who was born first, {1} in {2} or Linus Torvalds in {3}?", [1, 2, 3]))
SECOND = plan_json(("look_up", "Where was {1} born?", [1]), first_id=6)
FOUND = {"Who founded Craigslist?": "Craig Newmark", "When was Craig Newmark born?": "1952",
         "When was Linus Torvalds born?": "1969", "Where was Craig Newmark born?": "Morristown"}

async def ask(folder, name):
    def write(line):
        with (folder / "log").open("a") as file:
            file.write(line + "\\n")

    @tool
    async def look_up(query: str) -> str:
        "Looks facts up."
        write(query)
        return "found: " + FOUND[query]

    @tool
    async def send(to: str) -> str:
        "Sends a letter."
        write("sent to " + to)
        return "found: sent as number 7"

    send.metadata = {"effects": True}

    def solver(prompt):
        if "JSON schema" in prompt:
            return '{"to": "Craig Newmark"}'
        if "Sub-questions and their answers" in prompt:
            if "Morristown" not in prompt:
                return "REPLAN: the place is missing"
            return "Both: " + " ".join(word for word in ("1952", "1969", "Morristown", "number 7") if word in prompt)
        if "found: " in prompt:
            return prompt.rpartition("found: ")[2].split("\\n")[0]
        if "Who was born first" in prompt:
            return "Craig Newmark"
        return "NOT FOUND"

    def plan(prompt):
        write("planned")
        return SECOND if "Craig Newmark" in prompt else PLAN

    async with AsyncExitStack() as stack:
        saver = await open_checkpointer(stack, place if "://" in place else folder / "threads.sqlite")
        graph = planner(plan, solver, [look_up, send], checkpointer=saver, approve_actions=False, max_replans=1)
        config = thread(name)
        value = {"messages": [HumanMessage("Who was born first, and is the letter sent?")]}
        state = await graph.aget_state(config)
        finished = (state.values.get("messages") or [None])[-1]
        if state.next or await find_unfinished(saver, name):
            value = None
        elif finished is not None:
            return print(finished.text)
        result = await graph.ainvoke(value, config)
        if "__interrupt__" in result:
            write("asked")
            result = await graph.ainvoke(Command(resume="reject"), config)
        print(result["messages"][-1].text)

def forked(folder, at):
    global moment
    child = os.fork()
    if child == 0:
        moment = at
        folder.mkdir(exist_ok=True)
        with (folder / "output").open("a") as output:
            os.dup2(output.fileno(), 1)
            if at is not None:
                sys.settrace(trace)
            asyncio.run(ask(folder, folder.name))
            sys.settrace(None)
            sys.stdout.flush()
            (folder / "lines").write_text(str(seen))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

root = Path(sys.argv[1])
assert forked(root / "whole", 0) == 0
lines = int((root / "whole" / "lines").read_text())
points = sorted({1 + lines * n // moments for n in range(moments)})
for at in points:
    assert forked(root / f"at {at}", at) == -signal.SIGKILL, at
    assert forked(root / f"at {at}", None) == 0, at
print(lines)
"""


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield "sqlite"
        return
    with postgres() as server:
        yield server.address


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_a_run_that_was_killed_goes_on(place: str, tmp_path: Path) -> None:
    """Look-ups happen at least once, actions at most once, and the answer is that of a run that was left alone."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), place, str(MOMENTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole = Counter((tmp_path / "whole" / "log").read_text().splitlines())
    right = (tmp_path / "whole" / "output").read_text()
    assert set(whole.values()) == {1, 2}, whole
    assert "number 7" in right
    assert whole["planned"] == 2
    killed = [path for path in tmp_path.iterdir() if path.name.startswith("at ")]
    assert len(killed) == MOMENTS
    for folder in killed:
        log = Counter((folder / "log").read_text().splitlines())
        answer = (folder / "output").read_text()
        assert log["sent to Craig Newmark"] <= 1, (folder.name, log)
        asked = log.pop("asked", 0)
        if not asked:
            assert answer == right, (folder.name, answer)
        assert "1952 1969 Morristown" in answer, (folder.name, answer)
        for line, times in whole.items():
            if not line.startswith("sent"):
                assert times <= log[line] <= times + 1, (folder.name, log)
