"""The review of a plan: what is asked in a terminal, and what comes of it."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from anabranch.cli import review
from anabranch.errors import ConfigurationError
from anabranch.graphs.channels import plain
from anabranch.plan import Plan, SubQuestion
from tests.cli import scenario
from tests.cli.scenario import ANSWER, QUESTION
from tests.openai_server import OpenAIServer

PLAN = Plan(
    sub_questions=(SubQuestion(id=1, text="Who?", route="search"), SubQuestion(id=2, text="When was {1} born?"))
)
VALUE = {"question": "Q?", "plan": plain(PLAN), "error": None}
Models = Callable[..., list[str]]


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person types, in order."""
    typed: list[str] = []
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: typed.pop(0))
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: typed.pop(0) == "y")
    return typed


def editor(path: Path, monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """An editor that writes these plans, one each time; the plan it was given is kept in `given.txt`."""
    (path / "texts").mkdir()
    for number, text in enumerate(texts):
        (path / "texts" / str(number)).write_text(text)
    program = path / "editor.py"
    program.write_text(
        "import pathlib, shutil, sys\n"
        f"texts = sorted(pathlib.Path({str(path / 'texts')!r}).iterdir())\n"
        f"shutil.copy(sys.argv[1], {str(path / 'given.txt')!r})\n"
        "texts[0].replace(sys.argv[1])\n"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {program}")


ACTIONS: dict[str, Any] = {
    "action_requests": [{"name": "cancel_order", "args": {"order_id": 7}, "description": "Cancel order 7."}],
    "error": None,
}


@pytest.mark.parametrize(
    ("typed", "decision"),
    [
        (["a"], {"type": "approve"}),
        (["?", "r", "too late"], {"type": "reject", "message": "too late"}),
        (["g", "done by phone"], {"type": "respond", "message": "done by phone"}),
    ],
)
def test_an_action_is_shown_and_decided(
    replies: list[str],
    typed: list[str],
    decision: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(review, "need_terminal", lambda _: None)
    replies += typed
    assert review.decide(ACTIONS, 8) == {"decisions": [decision]}
    assert 'cancel_order {"order_id": 7}' in capsys.readouterr().err


def test_the_arguments_of_an_action_can_be_edited(
    replies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "need_terminal", lambda _: None)
    editor(tmp_path, monkeypatch, "no json", '# a note\n{"order_id": 8}')
    replies += ["e", "e"]
    edited = {"name": "cancel_order", "args": {"order_id": 8}}
    assert review.decide(ACTIONS, 8) == {"decisions": [{"type": "edit", "edited_action": edited}]}


def test_an_action_without_a_terminal_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the action cancel_order asks in the terminal"):
        review.decide(ACTIONS, 8)


@pytest.mark.parametrize(
    ("typed", "decision"),
    [
        (["a"], {"type": "approve"}),
        (["what?", "Reject"], {"type": "reject"}),
        (["n", "shorter"], {"type": "respond", "message": "shorter"}),
    ],
)
def test_decisions(replies: list[str], typed: list[str], decision: dict[str, Any]) -> None:
    replies += typed
    assert review.decide(VALUE, 8) == decision


def test_an_edited_plan(replies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(tmp_path, monkeypatch, "# a note\n\n1 [search] Who else?\n2 [solve after 1] Why?\n")
    replies += ["e"]
    decision = review.decide(VALUE, 8)
    assert decision["type"] == "edit"
    plan = Plan.model_validate(decision["plan"])
    assert [q.text for q in plan.sub_questions] == ["Who else?", "Why?"]
    assert plan.sub_questions[1].depends_on == (1,)
    given = (tmp_path / "given.txt").read_text()
    assert given.endswith("1 [search] Who?\n2 [solve] When was {1} born?\n")


def test_a_cycle_is_named_and_edited_again(
    replies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "1 [search] Who?"
    editor(tmp_path, monkeypatch, "1 [solve] What is {2}?\n2 [solve] What is {1}?", "gibberish", f"{good}\n" * 2, good)
    replies += ["e", "y", "y", "y"]
    assert review.decide(VALUE, 8)["plan"] == plain(Plan(sub_questions=PLAN.sub_questions[:1]))
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("that plan cannot run")]
    assert errors[0].endswith("sub-questions wait for each other: 1 → 2 → 1; remove one dependency")
    assert "not a sub-question: 'gibberish'" in errors[1]
    assert "appears twice" in errors[2]


def test_an_edit_given_up_or_without_change_asks_again(
    replies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(tmp_path, monkeypatch, "gibberish", "1 [search] Who?\n2 [solve] When was {1} born?\n")
    replies += ["e", "n", "e", "a"]
    assert review.decide(VALUE, 8) == {"type": "approve"}


def test_a_plan_that_the_planner_refused_says_why(replies: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    replies += ["a"]
    review.decide({**VALUE, "error": "sub-question 1 has the unknown route 'x'"}, 8)
    assert "that plan cannot run: sub-question 1 has the unknown route 'x'" in capsys.readouterr().err


def test_an_editor_that_fails(replies: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("/no/such/editor", "false", "'"):
        monkeypatch.setenv("VISUAL", command)
        replies[:] = ["e"]
        with pytest.raises(ConfigurationError, match="set EDITOR to one that works"):
            review.decide(VALUE, 8)


class Terminal:
    """The command in a pseudo-terminal."""

    def __init__(self, home: Path, *arguments: str, **extra: str) -> None:
        self.screen = ""
        self._main, side = pty.openpty()
        self.process = subprocess.Popen(
            scenario.command(*arguments),
            cwd=home,
            env=scenario.environment(home, TERM="xterm", COLUMNS="100", LINES="40", **extra),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)

    def read_until(self, text: str, seconds: float = 60) -> None:
        """Reads until a text shows up after what was read before."""
        start, deadline = len(self.screen), time.monotonic() + seconds
        while text not in self.screen[start:]:
            assert time.monotonic() < deadline, self.screen
            if select.select([self._main], [], [], 0.1)[0]:
                try:
                    self.screen += os.read(self._main, 65_536).decode(errors="replace")
                except OSError:
                    assert text in self.screen[start:], self.screen
                    return

    def type(self, text: str) -> None:
        """Types a line."""
        os.write(self._main, f"{text}\n".encode())

    def close(self) -> int:
        """Waits for the end, and returns the exit code."""
        code = self.process.wait(timeout=30)
        os.close(self._main)
        return code


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts the command in a terminal."""
    opened: list[Terminal] = []

    def start(*arguments: str, **extra: str) -> Terminal:
        opened.append(Terminal(home, *arguments, **extra))
        return opened[-1]

    yield start
    for each in opened:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


@pytest.mark.loopback
def test_a_plan_is_approved_in_a_terminal(
    home: Path, models: Models, terminal: Callable[..., Terminal], server: OpenAIServer
) -> None:
    window = terminal("ask", QUESTION, *models("--tool", "slow_tools:lookup", "--review"))
    window.read_until("[n]ew plan: ")
    assert scenario.calls(home) == []
    window.type("n")
    window.read_until("what should be different: ")
    window.type("fewer steps")
    window.read_until("[n]ew plan: ")
    assert "fewer steps" in server.prompts[-1]
    window.type("a")
    window.read_until("cost unknown")
    assert ANSWER in window.screen
    assert window.close() == 0


@pytest.mark.loopback
def test_an_interrupted_review_is_asked_again(home: Path, models: Models, terminal: Callable[..., Terminal]) -> None:
    options = models("--tool", "slow_tools:lookup", "--review", "--thread", "t")
    window = terminal("ask", QUESTION, *options)
    window.read_until("[n]ew plan: ")
    os.write(window._main, b"\x04")
    window.read_until("go on with: anabranch ask --thread t")
    assert window.close() == 130
    refused = scenario.run(home, "ask", "--thread", "t")
    assert refused.returncode == 2
    assert "--review asks in the terminal" in refused.stderr
    window = terminal("ask", "--thread", "t")
    window.read_until("[n]ew plan: ")
    window.type("r")
    window.read_until("the plan was rejected")
    assert window.close() == 1
    assert scenario.calls(home) == []
