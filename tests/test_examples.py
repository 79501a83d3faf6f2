"""What the README shows, run for real on the embedded models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def demo_commands() -> list[str]:
    lines = (ROOT / "Makefile").read_text().splitlines()
    return [line.split("ask ", 1)[1] for line in lines if "anabranch ask" in line]


def test_the_demo_answers_both_of_its_questions() -> None:
    arithmetic, documents = demo_commands()
    assert run("-m", "anabranch.cli", "ask", arithmetic.strip('"')) == "38\n"
    folder, question = documents.removeprefix("--docs ").split(" ", 1)
    assert run("-m", "anabranch.cli", "ask", "--docs", folder, question.strip('"')) == "Kestrel Hythe\n"


def test_the_planner_answers_inside_another_graph() -> None:
    assert "Kestrel Hythe" in run("examples/embed_in_langgraph.py")


def test_a_plan_is_reviewed_and_then_ticks_off() -> None:
    output = run("examples/review_and_stream.py")
    assert output.startswith("flowchart TD")
    assert "2 started" in output
    assert output.endswith("Kestrel Hythe\n")
