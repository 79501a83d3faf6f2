"""No action happens twice: whatever plans, new plans, failures, kills and resumes come, in any order."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from anabranch.errors import EndpointError
from anabranch.graphs import journal
from tests.fakes import Reply
from tests.graphs.scripts import plan_json, planner, thread

NAMES = ("Ada", "Bob", "Cy")
QUESTION = {"messages": [("user", f"Greet {', '.join(NAMES)}, each in the way that you find best.")]}
FATES = st.sampled_from(["fine", "fine", "fine", "kill before", "kill after"])


class Killed(BaseException):
    """Stands for the end of the process: nothing in the run handles it."""


class World:
    """What happens outside, and what a person was asked about."""

    def __init__(self, plans: list[list[int]], fates: list[str], answers: list[bool]) -> None:
        self.greeted: Counter[str] = Counter()
        self.doubts: Counter[str] = Counter()
        self.plans = plans
        self.fates = iter(fates)
        self.answers = iter(answers)

    def greet(self) -> BaseTool:
        @tool
        def greet(name: str) -> str:
            """Greets somebody."""
            self.greeted[name] += 1
            if self.greeted.total() % 4 == 3:
                raise RuntimeError("they did not hear it")
            return f"{name} says hello"

        greet.metadata = {"effects": True}
        return greet

    def plan(self, prompt: str) -> Reply:
        done = prompt.count("[greet]")
        steps = self.plans.pop(0) if self.plans else []
        # Each plan says it in other words, as models do.
        return plan_json(
            *(("greet", f"Greet {NAMES[n]} ({done + k})", []) for k, n in enumerate(steps)), first_id=done + 1
        )

    def solve(self, prompt: str) -> Reply:
        if "JSON schema of the arguments" in prompt:
            task = prompt.rpartition("Task: ")[2]
            return f'{{"name": "{next(name for name in NAMES if name in task)}"}}'
        if next(self.fates, "fine") != "fine":
            return EndpointError("away")
        return "REPLAN: more of them" if self.plans else "All are greeted."

    def decide(self, request: dict[str, Any]) -> Command[Any]:
        decisions = []
        for action in request["action_requests"]:
            approved = next(self.answers, True)
            if approved and "nobody knows" in action["description"]:
                self.doubts[action["args"]["name"]] += 1
            decisions.append({"type": "approve" if approved else "reject"})
        return Command(resume={"decisions": decisions})


@settings(max_examples=60, deadline=None)
@given(
    plans=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=3),
    fates=st.lists(FATES, max_size=12),
    answers=st.lists(st.booleans(), max_size=6),
    approve=st.booleans(),
)
def test_no_action_twice(plans: list[list[int]], fates: list[str], answers: list[bool], approve: bool) -> None:
    world = World(plans, fates, answers)
    written = journal.Records.write

    async def write(records: journal.Records, call: journal.Call) -> None:
        fate = next(world.fates, "fine")
        if fate == "kill before":
            raise Killed
        await written(records, call)
        if fate == "kill after":
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal.Records, "write", write)
        saver = InMemorySaver()
        value: Any = QUESTION
        for _ in range(40):
            graph = planner(
                world.plan,
                world.solve,
                [world.greet()],
                checkpointer=saver,
                approve_actions=approve,
                max_replans=3,
                follow_ups="as_asked",
            )
            try:
                result = graph.invoke(value, thread(), durability="sync")
            except (EndpointError, Killed):
                value = None
                continue
            if "__interrupt__" not in result:
                break
            value = world.decide(result["__interrupt__"][0].value)
        else:
            pytest.fail("the question did not come to an end")
    for name, times in world.greeted.items():
        assert times <= 1 + world.doubts[name], (name, times)


PROGRAM = """
import os, sys, threading
from pathlib import Path
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from anabranch.graphs import actions, journal
from tests.graphs.scripts import plan_json, planner, thread

files = {actions.__file__, journal.__file__}
seen, moment = 0, 0

def trace(frame, event, arg):
    global seen
    if frame.f_code.co_filename not in files:
        return None
    if event == "line":
        seen += 1
        if seen == moment:
            os._exit(9)
    return trace

def ask(folder, resumed):
    @tool
    def send(to: str) -> str:
        "Sends a letter."
        with (folder / "sent").open("a") as file:
            file.write(to + " ")
        return "sent as number 7"

    send.metadata = {"effects": True}
    solver = lambda prompt: '{"to": "Ada"}' if "JSON schema" in prompt else "It was sent."
    question = {"messages": [("user", "Send a letter to Ada, please.")]}
    with SqliteSaver.from_conn_string(str(folder / "threads.sqlite")) as saver:
        graph = planner(lambda _: plan_json(("send", "Send a letter to Ada", [])), solver, [send],
                        checkpointer=saver, approve_actions=False, max_replans=0)
        begun = resumed and graph.get_state(thread()).next
        threading.settrace(None if resumed else trace)  # the thread of the loop begins after this
        result = graph.invoke(None if begun else question, thread())
        if "__interrupt__" in result:
            (folder / "asked").touch()
            graph.invoke(Command(resume="reject"), thread())

def forked(folder, at, resumed=False):
    global moment
    child = os.fork()
    if child == 0:
        moment = at
        folder.mkdir(exist_ok=True)
        ask(folder, resumed)
        (folder / "lines").write_text(str(seen))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

root = Path(sys.argv[1])
assert forked(root / "whole", 0) == 0
lines = int((root / "whole" / "lines").read_text())
for at in range(1, lines + 1):
    assert forked(root / str(at), at) == 9, at
    assert forked(root / str(at), 0, resumed=True) == 0, at
print(lines)
"""


@pytest.mark.slow
def test_killed_at_any_line_it_is_not_repeated(tmp_path: Path) -> None:
    """Kills a process at each line of the code that acts and keeps records, and goes on in another."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = int(done.stdout)
    assert lines >= 40
    asked = 0
    for folder in (tmp_path / str(at) for at in range(1, lines + 1)):
        sent = (folder / "sent").read_text() if (folder / "sent").exists() else ""
        assert sent in ("", "Ada "), (folder.name, sent)
        asked += (folder / "asked").exists()
        assert sent or (folder / "asked").exists(), folder.name
    assert asked > 0
