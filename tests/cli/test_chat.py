"""`anabranch chat`, against a real (scripted) server."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anabranch.cli import app
from tests.cli import scenario
from tests.openai_server import OpenAIServer, Reply, prompt_of

pytestmark = pytest.mark.loopback
Models = Callable[..., list[str]]
FOLLOW_UP = "And when was he born?"
WHOLE = "When was Craig Newmark born?"


def script(request: dict[str, Any]) -> Reply:
    """A decomposer that looks the question up as it is, and a solver that understands the follow-up."""
    prompt = prompt_of(request)
    if "Last message: " in prompt:
        return f"QUESTION: {WHOLE}"
    if "Reply with JSON only" in prompt:
        asked = prompt.rpartition("Question: ")[2].strip()
        return json.dumps({"sub_questions": [{"id": 1, "text": asked, "route": "lookup", "depends_on": []}]})
    return (
        prompt.rpartition("found: ")[2].split("\n")[0]
        if "found: " in prompt
        else prompt.rpartition("= ")[2].split("\n")[0]
    )


@pytest.fixture(autouse=True)
def scripted(server: OpenAIServer) -> None:
    server.script = script


def chat(*arguments: str, stdin: str) -> Result:
    return CliRunner().invoke(app, ["chat", *arguments], input=stdin)


def test_piped_lines_are_answered_one_by_one(home: Path, models: Models) -> None:
    options = models("--tool", "slow_tools:lookup")
    result = chat(*options, stdin=f"Who founded Craigslist?\n\n{FOLLOW_UP}\n/exit\nnever asked\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].startswith("Craig Newmark")
    assert len(result.stdout.splitlines()) == 2
    assert scenario.calls(home) == ["Who founded Craigslist?", WHOLE]
    assert f"understood as: {WHOLE}" in result.stderr.splitlines()
    assert "> " not in result.stdout


def test_a_thread_keeps_the_conversation(home: Path, models: Models) -> None:
    options = models("--tool", "slow_tools:lookup", "--thread", "t")
    chat(*options, stdin="Who founded Craigslist?")
    result = chat(*options, stdin=FOLLOW_UP)
    assert scenario.calls(home) == ["Who founded Craigslist?", WHOLE]
    assert "> Who founded Craigslist?" in result.stderr.splitlines()
    asked = CliRunner().invoke(app, ["ask", FOLLOW_UP, *options])
    assert asked.exit_code == 0, asked.stderr
    assert scenario.calls(home)[-1] == WHOLE


def test_what_goes_wrong_is_told_and_the_conversation_goes_on(home: Path, models: Models, server: OpenAIServer) -> None:
    def failing(request: dict[str, Any]) -> Reply:
        return (401, {"error": {"message": "no key"}}) if "badly" in prompt_of(request) else script(request)

    server.script = failing
    result = chat(*models("--tool", "slow_tools:lookup"), stdin="Does it go badly?\nWho founded Craigslist?\n")
    assert result.exit_code == 1
    assert any(line.startswith("error: the decomposer model failed: ") for line in result.stderr.splitlines())
    assert result.stdout.startswith("Craig Newmark")


def test_a_line_can_go_on(home: Path, models: Models) -> None:
    chat(*models("--tool", "slow_tools:lookup"), stdin="Who founded\\\nCraigslist?\n")
    assert scenario.calls(home) == ["Who founded", "Craigslist?"]  # one call, two lines


def test_help_and_mistakes(home: Path, models: Models) -> None:
    assert "--docs" in chat("--help", stdin="").stdout
    assert "--batch" not in chat("--help", stdin="").stdout
    assert "Ctrl-D ends" in chat(*models(), stdin="/help\n").stderr
    assert chat(*models("--mode", "quick"), stdin="").exit_code == 2
    assert chat(*models("--checkpoints", "x"), stdin="").exit_code == 2


def test_an_unfinished_question_of_the_thread_is_answered_first(
    home: Path, models: Models, server: OpenAIServer
) -> None:
    options = models("--tool", "slow_tools:lookup", "--thread", "t")
    server.script = lambda _: (500, {"error": {"message": "down"}})
    CliRunner().invoke(app, ["ask", "Who founded Craigslist?", *options])
    server.script = script
    result = chat(*options, stdin="")
    assert result.stdout.startswith("Craig Newmark")
    assert "going on with: Who founded Craigslist?" in result.stderr


@pytest.mark.slow
def test_ctrl_c_ends_the_answer_and_not_the_conversation(home: Path, models: Models) -> None:
    arguments = scenario.command("chat", *models("--tool", "slow_tools:lookup"))
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        arguments,
        cwd=home,
        env=scenario.environment(home, SLOW="30"),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(terminal)
    os.write(controller, b"When was Craig Newmark born?\n")
    scenario.wait_until(lambda: scenario.calls(home) == ["When was Craig Newmark born?"])
    process.send_signal(signal.SIGINT)
    os.write(controller, b"Who founded Craigslist?\n/exit\n")
    out, err = process.communicate(timeout=60)
    os.close(controller)
    assert process.returncode == 0, err
    assert "stopped; ask something else" in err
    assert out.startswith("Craig Newmark")
