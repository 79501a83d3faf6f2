"""A question, its plan, a tool and a script for the tests of the command line; and the command as a process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.openai_server import Reply, prompt_of

QUESTION = "Who was born first, the founder of Craigslist or Linus Torvalds?"
ANSWER = "Craig Newmark was born first."
STEPS: list[dict[str, Any]] = [
    {"id": 1, "text": "Who founded Craigslist?", "route": "lookup", "depends_on": []},
    {"id": 2, "text": "When was {1} born?", "route": "lookup", "depends_on": [1]},
    {"id": 3, "text": "When was Linus Torvalds born?", "route": "lookup", "depends_on": []},
]
SOLVE_STEPS = [{**step, "route": "solve"} for step in STEPS]

TOOLS = '''
import os, pathlib, time

def lookup(query: str) -> str:
    """Looks up facts about people."""
    calls = pathlib.Path("calls.txt")
    with calls.open("a") as file:
        file.write(query + "\\n")
    if "Newmark" in query and os.environ.get("SLOW"):
        time.sleep(float(os.environ["SLOW"]))
    return "found: " + ("Craig Newmark" if "founded" in query else "1952" if "Newmark" in query else "1969")

not_a_tool = 3

def undocumented(query: str) -> str:
    return ""
'''
"""Module `slow_tools`: a tool that writes down its calls, and hangs on one of them if SLOW says so."""


def script(plan: Sequence[Mapping[str, Any]] = STEPS) -> Callable[[dict[str, Any]], Reply]:
    """Replies for a decomposer that always writes this plan, and for the solver and joiner of the scenario."""

    def reply(request: dict[str, Any]) -> Reply:
        prompt = prompt_of(request)
        if "Reply with JSON only" in prompt:
            return json.dumps({"sub_questions": list(plan)})
        if "found: " in prompt:
            return prompt.rpartition("found: ")[2].split("\n")[0]
        return ANSWER

    return reply


def command(*arguments: str) -> list[str]:
    """The command line as a process; the same entry point as the installed script."""
    return [sys.executable, "-c", "from anabranch.cli import main; main()", *arguments]


def environment(home: Path, **extra: str) -> dict[str, str]:
    """An environment with a cache of its own, in which nothing of the user's leaks in."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANABRANCH_", "COV_"))}
    root = str(Path(__file__).parents[2])
    return kept | {"ANABRANCH_CACHE_DIR": str(home / "cache"), "PYTHONPATH": root, "NO_COLOR": "1"} | extra


def run(home: Path, *arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end, in the folder `home`."""
    return subprocess.run(
        command(*arguments),
        cwd=home,
        env=environment(home, **extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def start(
    home: Path, *arguments: str, stdout: int = subprocess.PIPE, stderr: int | IO[str] = subprocess.PIPE, **extra: str
) -> subprocess.Popen[str]:
    """Starts the command, in the folder `home`."""
    return subprocess.Popen(
        command(*arguments),
        cwd=home,
        env=environment(home, **extra),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for a condition, and fails if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def calls(home: Path) -> list[str]:
    """What the tool was called with."""
    path = home / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []
