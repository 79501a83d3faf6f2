"""Bad input: one line that says what to do, exit code 2 (1 where it is not the user's fault), no traceback."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from anabranch.cli import app
from anabranch.cli.failures import exit_code, guarded, one_line
from anabranch.errors import BackendError, BudgetExceededError, CycleError, ModelError, QuestionError
from tests.cli import scenario
from tests.ports import nobody

BAD = {
    "no question": ((), "there is no question"),
    "empty question": (("",), "the question is empty"),
    "blank question": (("  \n ",), "the question is empty"),
    "long question": (("x" * 100_000,), "100,000 characters, more than 20,000"),
    "binary question": (("a\udcffb",), "not valid UTF-8"),
    "unknown mode": (("Q?", "--mode", "quick"), "unknown mode 'quick'; use one of: static, dynamic"),
    "unknown protocol": (("Q?", "--protocol", "x"), "unknown protocol 'x'; use one of: auto, guided, per_node"),
    "bad price": (("Q?", "--price", "1"), "not IN,OUT"),
    "negative price": (("Q?", "--price", "-1,2"), "not IN,OUT"),
    "no sub-questions": (("Q?", "--max-sub-questions", "0"), "must be at least 1"),
    "no replans": (("Q?", "--max-replans", "-1"), "must be at least 0"),
    "no tokens": (("Q?", "--budget-tokens", "0"), "must be at least 1"),
    "no time": (("Q?", "--timeout", "0"), "more than 0 seconds"),
    "no time for a call": (("Q?", "--call-timeout", "0"), "more than 0 seconds"),
    "no time for a question": (("Q?", "--budget-seconds", "-1"), "more than 0 seconds"),
    "no answer": (("Q?", "--max-answer-tokens", "0"), "must be at least 1"),
    "not a time": (("Q?", "--timeout", "nan"), "more than 0 seconds"),
    "missing document": (("Q?", "--docs", "nothing-here"), "there is no 'nothing-here'"),
    "binary document": (("Q?", "--docs", "binary.txt"), "binary.txt cannot be used"),
    "unknown tool": (("Q?", "--tool", "hammer"), "unknown tool 'hammer'"),
    "search without documents": (("Q?", "--tool", "search"), "--docs"),
    "missing module": (("Q?", "--tool", "no_such:thing"), "cannot be imported (No module named 'no_such')"),
    "missing attribute": (("Q?", "--tool", "slow_tools:nothing"), "cannot be imported"),
    "not a tool": (("Q?", "--tool", "slow_tools:not_a_tool"), "neither a LangChain tool nor a function"),
    "undocumented": (("Q?", "--tool", "slow_tools:undocumented"), "cannot be made a tool"),
    "unknown model": (("Q?", "--decomposer", "gpt"), "unknown model 'gpt'"),
    "review without a terminal": (("Q?", "--review"), "--review asks in the terminal"),
    "restart without a thread": (("Q?", "--restart"), "--restart needs --thread"),
    "thread without a name": (("Q?", "--thread", " "), "needs a name"),
    "nothing unfinished": (("--thread", "t"), "has nothing unfinished"),
    "unusable checkpoints": (("Q?", "--thread", "t", "--checkpoints", "binary.txt"), "cannot keep threads"),
    "unwritable checkpoints": (("Q?", "--thread", "t", "--checkpoints", "/dev/null/x"), "or other --checkpoints"),
    "batch with a question": (("Q?", "--batch", "q.jsonl"), "exclude each other"),
    "batch with review": (("--batch", "q.jsonl", "--review"), "exclude each other"),
    "missing batch": (("--batch", "q.jsonl"), "q.jsonl cannot be read"),
    "binary batch": (("--batch", "binary.txt"), "not UTF-8"),
    "out without batch": (("Q?", "--out", "x"), "--out belongs to --batch"),
    "no workers": (("--batch", "q.jsonl", "--concurrency", "0"), "must be at least 1"),
}


def invoke(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, input=stdin)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_and_exit_code_2(name: str, home: Path) -> None:
    arguments, message = BAD[name]
    (home / "binary.txt").write_bytes(bytes(range(256)) * 20)
    code, out, err = invoke("ask", *arguments)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", ""), "the question is empty"),
        (("plan",), "the question is empty"),
        (("plan", "Q?", "--json", "--mermaid"), "exclude each other"),
        (("plan", "Q?", "--mode", "x"), "unknown mode"),
        (("plan", "Q?", "--docs", "nothing"), "there is no 'nothing'"),
    ],
)
def test_plan_refuses_bad_input(arguments: tuple[str, ...], message: str, home: Path) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("stdin", "message"), [(b"", "is empty"), (b"\xff\xfe\x00", "not UTF-8"), (b"a\0b", "binary data")]
)
def test_standard_input_must_be_text(stdin: bytes, message: str, home: Path) -> None:
    code, _, err = invoke("ask", "-", stdin=stdin)
    assert code == 2
    assert message in err


def test_a_bad_environment_names_the_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_THREADS", "many")
    code, _, err = invoke("ask", "Q?", "--thread", "t")
    assert code == 2
    assert "ANABRANCH_THREADS='many'" in err


def test_exit_codes() -> None:
    assert [exit_code(e) for e in (QuestionError("q"), CycleError("c"))] == [2, 2]
    assert [exit_code(e) for e in (BackendError("b"), ModelError("m"), BudgetExceededError("u"), KeyError("k"))] == [
        1
    ] * 4


def test_an_unforeseen_error_says_how_to_see_more() -> None:
    assert one_line(KeyError("a\nb")) == "unexpected KeyError: 'a\\nb'; run again with --debug to see where"


@pytest.mark.parametrize("debug", [False, True])
def test_debug_shows_the_traceback(debug: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        fail(debug=debug)
    err = capsys.readouterr().err
    assert left.value.exit_code == 1
    assert err.endswith("error: the server is away (try later)\n")
    assert ("Traceback" in err) is debug


def fail(*, debug: bool) -> None:
    with guarded(debug=debug) as guard:
        guard.hint = "try later"
        raise BackendError("the server is away")


def test_messages_cannot_take_over_the_terminal(home: Path) -> None:
    _, _, err = invoke("ask", "Q?", "--mode", "\x1b[2Jx")
    assert "\x1b" not in err


def test_usage_errors_are_one_line(home: Path) -> None:
    process = scenario.run(home, "ask", "Q?", "--nonsense")
    assert process.returncode == 2
    assert process.stderr == "error: No such option: --nonsense (see anabranch --help)\n"


@pytest.mark.loopback
def test_an_address_out_of_reach(home: Path, socket_enabled: None) -> None:
    with nobody() as address:
        process = scenario.run(home, "ask", "Where is it?", "--decomposer", address, "--solver", address)
    assert process.returncode == 1
    assert process.stdout == ""
    assert f"error: {address} does not list its models" in process.stderr.splitlines()[-1]


@pytest.mark.loopback
def test_ctrl_c_is_quick_and_says_how_to_go_on(home: Path, models: Callable[..., list[str]]) -> None:
    options = models("--tool", "slow_tools:lookup", "--thread", "t")
    process = scenario.start(home, "ask", scenario.QUESTION, *options, SLOW="1000")
    scenario.wait_until(lambda: any("Newmark" in call for call in scenario.calls(home)))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "interrupted; nothing is lost, go on with: anabranch ask --thread t"
    assert "Traceback" not in err
    assert "Task was destroyed" not in err

    again = scenario.run(home, "ask", "--thread", "t", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["answer"] == scenario.ANSWER
    assert scenario.calls(home).count("Who founded Craigslist?") == 1


@pytest.mark.loopback
def test_a_terminal_that_cannot_show_an_answer(home: Path, models: Callable[..., list[str]]) -> None:
    process = scenario.run(
        home, "plan", "Who is older, Ærø or Łódź?", *models("--tool", "slow_tools:lookup"), PYTHONIOENCODING="ascii"
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.loopback
def test_a_reader_that_leaves_is_no_error(home: Path, models: Callable[..., list[str]]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = scenario.start(home, "ask", scenario.QUESTION, *models("--tool", "slow_tools:lookup"), stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
