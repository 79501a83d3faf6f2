"""Closed and full standard streams, readers that leave, signals: ends as people expect them, and nothing lost."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import scenario
from tests.cli.scenario import ANSWER, QUESTION
from tests.openai_server import OpenAIServer

pytestmark = pytest.mark.loopback
Models = Callable[..., list[str]]
CLOSED = "standard output is closed, so the answer could not be written"


def shell(home: Path, arguments: list[str], ending: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Runs the command with a piece of shell after it; what is left of its output, and its exit code."""
    quoted = " ".join(f"'{argument}'" for argument in scenario.command(*arguments))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{quoted} {ending}"],
        cwd=home,
        env=scenario.environment(home, **extra),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "ending", "code", "out", "err"),
    [
        ("ask", ">&-", 1, "", CLOSED),
        ("chat", ">&-", 1, "", CLOSED),
        ("ask", "2>&-", 0, ANSWER, ""),
        ("chat", "<&-", 0, "", ""),
        ("ask", ">/dev/full", 1, "", "standard output cannot be written (No space left on device)"),
        ("ask", "2>/dev/full", 0, ANSWER, ""),
        ("ask", "| true", 1, "", ""),
        ("batch", ">&- 2>&- <&-", 0, "", ""),
        ("batch", "| true", 0, "", "1 answered"),
        ("ask", "2>&1 | true", 1, "", ""),
    ],
)
def test_streams(home: Path, models: Models, command: str, ending: str, code: int, out: str, err: str) -> None:
    (home / "q.jsonl").write_text(json.dumps({"id": 1, "question": QUESTION}))
    given = {"chat": ["chat"], "batch": ["ask", "--batch", "q.jsonl"]}.get(command, [command, QUESTION])
    process = shell(home, [*given, *models("--tool", "slow_tools:lookup")], ending)
    assert process.returncode == code, process.stderr
    assert process.stdout.strip() == out
    assert err in process.stderr
    for word in ("Traceback", "BrokenPipe", "Exception ignored"):
        assert word not in process.stderr
    if command == "batch":
        (line,) = (home / "q.answers.jsonl").read_text().splitlines()
        assert json.loads(line)["answer"] == ANSWER
    if code and "closed" in err:
        assert scenario.calls(home) == []


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "interrupted")]
)
def test_signals(
    home: Path, models: Models, server: OpenAIServer, number: signal.Signals, code: int, word: str
) -> None:
    """All at once, as most of it is waiting."""
    (home / "q.jsonl").write_text(
        "".join(json.dumps({"id": n, "question": f"What is {n}?", "answer": "1"}) + "\n" for n in range(3000))
    )
    options = models("--tool", "slow_tools:lookup")
    server.delay = 0.5
    commands = {
        "ask": ["ask", QUESTION, *options, "--thread", "t"],
        "chat": ["chat", *options],
        "batch": ["ask", "--batch", "q.jsonl", *models("--concurrency", "2")],
        "eval": ["eval", "--data", "q.jsonl", "--system", "cot", *models("--concurrency", "2")],
        "mcp": ["serve", "mcp", *options],
    }
    running = {
        name: subprocess.Popen(
            scenario.command(*arguments),
            cwd=home,
            env=scenario.environment(home, SLOW="1000"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, arguments in commands.items()
    }
    chat = running["chat"].stdin
    assert chat
    chat.write(QUESTION + "\n")
    chat.flush()
    kept = {"batch": home / "q.answers.jsonl", "eval": home / "eval" / "records.jsonl"}
    scenario.wait_until(lambda: sum("Newmark" in call for call in scenario.calls(home)) >= 2)
    scenario.wait_until(lambda: all(path.exists() and path.read_text().count("\n") >= 2 for path in kept.values()))
    time.sleep(0.5)
    for process in running.values():
        process.send_signal(number)
    for name, process in running.items():
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (name, out, err)
        assert word in err.splitlines()[-1], name
        assert "Traceback" not in err
        if name == "ask":
            assert "nothing is lost, go on with: anabranch ask --thread t" in err.splitlines()[-1]
    for path in kept.values():
        lines = path.read_text().splitlines()
        assert 2 <= len([json.loads(line) for line in lines]) < 3000


def test_a_line_that_is_no_text_does_not_end_a_conversation(home: Path, models: Models) -> None:
    (home / "lines").write_bytes(b"caf\xe9, who?\n" + QUESTION.encode() + b"\n")
    process = shell(home, ["chat", *models("--tool", "slow_tools:lookup")], "< lines")
    assert process.stdout.strip() == ANSWER
    assert "the question is not valid UTF-8 text; check its encoding" in process.stderr
    assert process.returncode == 1


def test_arguments_and_settings_that_are_no_text(home: Path, models: Models) -> None:
    odd = os.fsdecode(b"caf\xe9")
    options = models("--tool", "slow_tools:lookup")
    assert scenario.run(home, "ask", odd, *options).returncode == 2
    kept = scenario.run(home, "ask", QUESTION, *options, "--thread", odd, ANABRANCH_CACHE_DIR=str(home / odd))
    assert kept.returncode == 0, kept.stderr
    assert (home / odd / "threads.sqlite").exists()
    again = scenario.run(home, "ask", *options, "--thread", odd, ANABRANCH_CACHE_DIR=str(home / odd))
    assert r"the thread 'caf\xe9' has nothing unfinished" in again.stderr.replace("\\\\", "\\")
    refused = scenario.run(home, "ask", QUESTION, *options, ANABRANCH_API_KEY=odd)
    assert refused.returncode == 2
    assert "ANABRANCH_API_KEY has characters that a header cannot carry" in refused.stderr
    docs = scenario.run(home, "ask", QUESTION, *options, "--docs", odd + "2")
    assert docs.returncode == 2
    assert r"there is no 'caf\xe92'; check the path" in docs.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_loses_nothing_in_any_encoding(home: Path, models: Models, encoding: str) -> None:
    question = "Łódź \u202e 😀 é?"
    process = shell(home, ["ask", "--json", question, *models("--tool", "none")], "> out", PYTHONIOENCODING=encoding)
    assert process.returncode == 0, process.stderr
    assert json.loads((home / "out").read_text(encoding))["question"] == question
