"""`anabranch eval`: one command to the report, resumed after a kill, and errors that say what to do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anabranch.cli import app
from anabranch.locks import held
from tests.cli import scenario
from tests.cli.test_light import HEAVY, PROBE
from tests.evals.rows import ROWS, replying, write
from tests.evals.test_waves import answer
from tests.openai_server import OpenAIServer, prompt_of


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


@pytest.fixture
def answering(server: OpenAIServer) -> OpenAIServer:
    server.script = lambda request: replying()(prompt_of(request))
    return server


@pytest.mark.parametrize("arguments", [("eval", "--help"), ("eval", "report", "--help"), ("eval", "import", "--help")])
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROBE % (HEAVY,), *arguments], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == "HEAVY:"


@pytest.mark.loopback
def test_ones_own_questions_in_one_command(home: Path, answering: OpenAIServer) -> None:
    write(home / "my.jsonl")
    with (home / "my.jsonl").open("a") as file:
        file.write('{"question": "and?"}\n')
    models = ["--solver", answering.url, "--decomposer", answering.url, "--price", "1,2"]
    result = evaluate("--data", "my.jsonl", *models)
    assert result.exit_code == 0, result.stderr
    table = [line.split(" | ")[:4] for line in result.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in table[2:]] == ["| direct", "| cot", "| unguided", "| static"]
    assert all(row[1:3] == ["3", "100.0 ± 0.0"] for row in table[2:])
    assert "skipped: line 4: there is no answer in it" in result.stderr
    names = {path.name for path in (home / "eval").iterdir()}
    assert {"report.html", "report.md", "report.json", "manifest.json", "records.jsonl", "cache.sqlite"} <= names
    asked = len(answering.requests)
    assert evaluate("--data", "my.jsonl", *models).exit_code == 0
    assert len(answering.requests) == asked
    again = evaluate("report", "eval", "--baseline", "direct")
    assert again.exit_code == 0
    assert "| direct | 3 | 100.0 ± 0.0 | 100.0 ± 0.0 | baseline |" in again.stdout


def test_waves_of_a_batch(home: Path) -> None:
    write(home / "q.jsonl")
    command = ["--task", "gsm8k", "--data", "q.jsonl", "--system", "cot", "--system", "static:guided"]
    command += ["--solver", "batch:m", "--decomposer", "lines:batch:d", "--out", "run"]
    first = evaluate(*command)
    assert first.exit_code == 0
    assert "6 answers wait for a batch: 6 requests written to run/requests.jsonl" in first.stderr
    for number in (1, 2):
        answer(home / "run", number)
        taken = evaluate("import", "run", f"run/replies{number}.jsonl")
        assert taken.exit_code == 0
        assert "requests still without one" in taken.stderr
        last = evaluate(*command)
    assert "wait for a batch" not in last.stderr
    assert "| static:guided | 3 | 100.0 ± 0.0 |" in last.stdout


@pytest.mark.loopback
def test_a_killed_run_goes_on(home: Path, answering: OpenAIServer) -> None:
    rows: list[dict[str, Any]] = [{"id": n, "question": f"What is number {n}?", "answer": "420"} for n in range(40)]
    write(home / "q.jsonl", rows)
    answering.delay = 0.15
    command = ["eval", "--data", "q.jsonl", "--system", "cot", "--solver", answering.url, "--concurrency", "2"]
    process = scenario.start(home, *command)
    records = home / "eval" / "records.jsonl"
    scenario.wait_until(lambda: records.exists() and len(records.read_text().splitlines()) >= 5)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    done = len(records.read_text().splitlines())
    assert done < 40
    answering.delay = 0
    answering.requests.clear()
    again = scenario.run(home, *command)
    assert again.returncode == 0, again.stderr
    kept = [json.loads(line) for line in records.read_text().splitlines()]
    assert sorted(int(record["id"]) for record in kept) == list(range(40))
    assert 40 - done - 2 <= len(answering.requests) <= 40 - done
    assert "| cot | 40 | 100.0 ± 0.0 |" in again.stdout


@pytest.mark.loopback
def test_a_server_that_is_away(home: Path, server: OpenAIServer) -> None:
    server.script = lambda _request: (401, {"error": {"message": "no"}})
    rows = [{"id": n, "question": f"What is number {n}?", "answer": "1"} for n in range(30)]
    write(home / "q.jsonl", rows)
    result = evaluate("--data", "q.jsonl", "--system", "cot", "--solver", server.url)
    assert result.exit_code == 1
    assert "stopped after 10 failures in a row; the last: the solver model failed: " in result.stderr
    assert "(check the API key)" in result.stderr
    assert "what is done is kept in eval; run the same command again to go on" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a --task, or your own questions with --data FILE.jsonl"),
        (["--task", "gsm9k", "--data", "q.jsonl"], "unknown task 'gsm9k'; use one of: gsm8k, drop"),
        (["--data", "q.jsonl", "--system", "cto"], "unknown system 'cto'"),
        (["--data", "q.jsonl", "--limit", "0"], "--limit is 0; it must be at least 1"),
        (["--data", "none.jsonl", "--solver", "batch:m", "--system", "cot"], "none.jsonl cannot be read"),
        (["--data", "q.jsonl", "--price", "cheap"], "the price 'cheap' is not IN,OUT"),
        (["--data", "q.jsonl", "--baseline", "x", "--system", "cot", "--solver", "batch:m"], "has no system 'x'"),
        (["report", "nowhere"], "nowhere holds no run"),
        (["import", "nowhere", "q.jsonl"], "nowhere holds no run"),
    ],
)
def test_mistakes_are_explained(home: Path, arguments: list[str], message: str) -> None:
    write(home / "q.jsonl", ROWS)
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()[-1].splitlines()) == 1


def test_plans_over_tools_need_both_files(home: Path) -> None:
    result = evaluate("--task", "toolplans", "--data", "my.jsonl")
    assert result.exit_code == 2
    assert "--data FILE.jsonl --tools FILE.json" in result.stderr


@pytest.mark.loopback
def test_plans_over_tools_in_one_command(home: Path, answering: OpenAIServer) -> None:
    plan = {"sub_questions": [{"id": 1, "text": "Ring Ada", "route": "ring", "depends_on": []}]}
    answering.script = lambda _request: json.dumps(plan)
    (home / "tools.json").write_text('[{"name": "ring", "description": "Rings."}, {"name": "write"}, {}]')
    (home / "my.jsonl").write_text('{"question": "Ring Ada.", "tools": ["ring"]}\n')
    models = ["--decomposer", f"mine={answering.url}", "--out", "plans"]
    result = evaluate("--task", "toolplans", "--data", "my.jsonl", "--tools", "tools.json", *models)
    assert result.exit_code == 0, result.stderr
    assert "| mine | 1 | 100.0 |" in result.stdout
    assert "note: tool 3: it has no name" in result.stderr
    again = evaluate("report", "plans")
    assert "| mine | 1 | 100.0 |" in again.stdout


@pytest.mark.loopback
def test_of_two_runs_in_one_folder_the_second_says_who_is_there(home: Path, answering: OpenAIServer) -> None:
    write(home / "q.jsonl")
    with held(home / "eval" / "records.jsonl", "x"):
        result = evaluate("--data", "q.jsonl", "--system", "cot", "--solver", answering.url)
    assert result.exit_code == 1
    assert f"process {os.getpid()} on " in result.stderr
    assert "or name another --out" in result.stderr
    assert not answering.requests
