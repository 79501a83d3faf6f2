"""`anabranch ask` and `anabranch plan`, in this process, against a real (scripted) server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from anabranch.cli import app
from anabranch.codecs import decode_json
from tests.cli.scenario import ANSWER, QUESTION, SOLVE_STEPS, script
from tests.openai_server import OpenAIServer, prompt_of

pytestmark = pytest.mark.loopback
LOOKUP = ("--tool", "slow_tools:lookup")
Models = Callable[..., list[str]]


def invoke(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


def test_a_pipe_gets_the_answer_alone(home: Path, models: Models) -> None:
    result = invoke("ask", QUESTION, *models(*LOOKUP))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{ANSWER}\n"
    lines = result.stderr.splitlines()
    assert "  1 [lookup] Who founded Craigslist?" in lines
    assert any(line.startswith("  2 → 1952 (") for line in lines)
    assert lines[-1].endswith("s · cost unknown")
    assert "tokens (decomposer " in lines[-1]
    assert lines[-2] == "Sources: lookup"


def test_json_has_everything(home: Path, models: Models) -> None:
    result = invoke("ask", QUESTION, *models(*LOOKUP, "--json", "--quiet", "--price", "1,2"))
    data = json.loads(result.stdout)
    assert result.stderr == ""
    assert (data["question"], data["answer"], data["status"]) == (QUESTION, ANSWER, "answered")
    assert [source["tool"] for source in data["sources"]] == ["lookup"] * 3
    assert [step["text"] for step in data["plan"]["sub_questions"]][1] == "When was {1} born?"
    assert [answer["text"] for answer in data["answers"]] == ["Craig Newmark", "1952", "1969"]
    assert set(data["usage"]) == {"decomposer", "solver", "joiner", "total"}
    total = data["usage"]["total"]
    assert total["usd"] == pytest.approx((total["input_tokens"] + 2 * total["output_tokens"]) / 1e6)
    assert data["seconds"] > 0


def test_an_answer_that_lacks_something_says_so(home: Path, models: Models, server: OpenAIServer) -> None:
    found = script()
    server.script = lambda request: "NOT FOUND" if "found: " in prompt_of(request) else found(request)
    result = invoke("ask", QUESTION, *models(*LOOKUP, "-q", "--max-replans", "0"))
    assert result.exit_code == 3
    assert result.stdout
    assert result.stderr.startswith("not found: no look-up found an answer (sub-question 1 failed: ")


def test_the_question_comes_from_standard_input(home: Path, models: Models) -> None:
    result = invoke("ask", "-", *models(*LOOKUP, "-q"), stdin=f"  {QUESTION}\n")
    assert result.stdout == f"{ANSWER}\n"


def test_a_guided_plan_shows_the_plan(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = script(SOLVE_STEPS)
    result = invoke("ask", QUESTION, *models())
    assert result.stdout == f"{ANSWER}\n"
    assert "  3 [solve] When was Linus Torvalds born?" in result.stderr
    assert "→" not in result.stderr


def test_documents_become_a_tool_and_skipped_ones_are_named(home: Path, models: Models, server: OpenAIServer) -> None:
    folder = home / "docs"
    folder.mkdir()
    (folder / "people.txt").write_text("found: Craig Newmark founded Craigslist.")
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    server.script = script([{"id": 1, "text": "Who founded Craigslist?", "route": "search", "depends_on": []}])
    result = invoke("ask", QUESTION, *models("--docs", "docs"))
    assert result.exit_code == 0, result.stderr
    assert "1 file read, 1 skipped (picture.png: " in result.stderr
    assert "Craig Newmark founded Craigslist." in result.stderr


def test_no_tool_and_the_default_tool(home: Path, models: Models, server: OpenAIServer) -> None:
    for arguments, present in (((), True), (("--tool", "none"), False), (("--tool", "python"), False)):
        server.requests.clear()
        invoke("plan", QUESTION, *models(*arguments))
        assert ("calculator" in server.prompts[0].split("Question:")[0]) is present, arguments


def test_a_server_that_fails_is_one_line(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = lambda _: (401, {"error": {"message": "no key"}})
    result = invoke("ask", QUESTION, *models(*LOOKUP))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("error: the decomposer model failed: ")
    assert "no key" in result.stderr


def test_escape_sequences_reach_no_log(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = script([{"id": 1, "text": "\x1b[2Jhello [bold]you[/bold]", "route": "lookup", "depends_on": []}])
    result = invoke("ask", QUESTION, *models(*LOOKUP))
    assert "  1 [lookup] hello [bold]you[/bold]" in result.stderr.splitlines()


def test_plan_as_lines_json_and_mermaid(home: Path, models: Models) -> None:
    lines = invoke("plan", QUESTION, *models(*LOOKUP))
    assert lines.stdout.splitlines()[1] == "2 [lookup] When was {1} born?"
    assert "tokens" in lines.stderr
    data = invoke("plan", QUESTION, *models(*LOOKUP, "--json")).stdout
    assert decode_json(data).ids == (1, 2, 3)
    assert invoke("plan", QUESTION, *models(*LOOKUP, "--mermaid")).stdout.startswith("flowchart TD\n")
    assert invoke("plan", "-", *models(*LOOKUP, "-q"), stdin=QUESTION).stdout == lines.stdout


def test_plan_loads_no_solver(home: Path, models: Models, server: OpenAIServer) -> None:
    invoke("plan", QUESTION, "--decomposer", server.url, "--solver", "no-such-model", *LOOKUP)
    assert len(server.requests) == 1


def test_plan_of_a_question_that_needs_none(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = script([])
    result = invoke("plan", QUESTION, *models(*LOOKUP))
    assert result.stdout.startswith("DIRECT")


def test_a_decomposer_that_writes_nonsense(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = lambda _: "no plan at all"
    result = invoke("plan", QUESTION, *models(*LOOKUP))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: the decomposer wrote no plan that can run: the plan is not JSON" in result.stderr
