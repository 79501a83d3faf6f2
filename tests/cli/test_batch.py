"""`--batch`: every question once, whatever stops it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anabranch.cli import app
from anabranch.cli.batch import Answers, Item, read_questions
from anabranch.errors import ConfigurationError
from tests.cli import scenario
from tests.openai_server import OpenAIServer, Reply, prompt_of

Models = Callable[..., list[str]]


def questions(home: Path, *lines: Any) -> Path:
    path = home / "q.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def answers(home: Path, name: str = "q.answers.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / name).read_text().splitlines()]


def batch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["ask", "--batch", "q.jsonl", *arguments])


def echo(request: dict[str, Any]) -> Reply:
    """Answers directly with the last word of the question; refuses those that ask for trouble."""
    prompt = prompt_of(request)
    if "trouble" in prompt:
        return 400, {"error": {"message": "trouble"}}
    if "Reply with JSON only" in prompt:
        return '{"sub_questions": []}'
    return prompt.split()[-1]


def test_questions_of_all_forms_and_lines_that_are_none(home: Path) -> None:
    path = questions(
        home, {"id": 7, "question": "a?"}, "", '"b?"', "{oops", {"question": " "}, {"id": 7, "question": "c?"}
    )
    with path.open("a") as file:
        file.write('{"id": 1.5, "question": "d?"}\n[1]\n{"question": "e\u2028f?"}')
    found = read_questions(path)
    assert found.items == [Item(7, "a?"), Item("line-3", "b?"), Item("line-9", "e\u2028f?")]
    assert found.problems == [
        "line 4: not JSON: '{oops'",
        "line 5: there is no question in it",
        "line 6: the id 7 was used before",
        "line 7: its id is neither a text nor a whole number",
        "line 8: there is no question in it",
    ]


def test_answers_are_kept_and_a_half_written_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Answers(path) as file:
        file.add(Item(1, "a?"), {"question": "a?", "answer": "é", "error": None})
        file.add(Item(2, "b?"), {"question": "b?", "answer": "", "error": "away"})
    whole = path.read_bytes()
    path.write_bytes(whole + '{"id": 3, "question": "é'.encode()[:-1])
    with Answers(path) as file:
        assert [file.has(Item(1, "a?")), file.has(Item(2, "b?")), file.has(Item(1, "x?"))] == [True, False, False]
        file.add(Item(2, "b?"), {"question": "b?", "answer": "b", "error": None})
        assert path.read_bytes().startswith(whole)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    with Answers(path) as file:
        assert file.has(Item(2, "b?"))
    assert [record["id"] for record in map(json.loads, path.read_text().splitlines())] == [1, 2, 2]


@pytest.mark.parametrize("content", ["my notes", '{"question": "a?"}\n', "[]\n", "x\n{}\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "precious.txt"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="not an answer of ours"):
        Answers(path)
    assert path.read_text() == content


@pytest.mark.loopback
def test_all_are_answered_once(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = echo
    lines = [{"id": f"q{n}", "question": f"What is the number {n}"} for n in range(6)]
    questions(
        home, *lines, {"id": "bad", "question": "This is trouble"}, "nonsense", {"id": "q1", "question": "again?"}
    )
    result = batch(*models("--price", "1,1"))
    assert result.exit_code == 1
    assert result.stdout == ""
    records = {record["id"]: record for record in answers(home)}
    assert {id_: record["answer"] for id_, record in records.items() if id_ != "bad"} == {
        f"q{n}": str(n) for n in range(6)
    }
    assert "the decomposer model failed" in records["bad"]["error"]
    keys = ("question", "answer", "status", "sources", "plan", "answers", "usage", "seconds")
    assert (records["q0"]["status"], records["bad"]["status"]) == ("answered", "failed")
    assert set(records["q0"]) == {"id", "error", *keys}
    shown = result.stderr.splitlines()
    assert "skipped: line 8: not JSON: 'nonsense'" in shown
    assert "skipped: line 9: the id 'q1' was used before" in shown
    assert shown[-1].startswith("6 answered, 1 failed, 2 lines skipped · ")
    assert shown[-1].endswith("q.answers.jsonl")

    server.script = lambda request: echo({**request, "messages": [{"role": "user", "content": "fine"}]})
    server.requests.clear()
    result = batch(*models("-q"))
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1].startswith("1 answered, 0 failed, 6 answered before, 2 lines skipped")
    assert all("trouble" in prompt for prompt in server.prompts)
    server.requests.clear()
    assert batch(*models()).exit_code == 0
    assert server.requests == []


@pytest.mark.loopback
def test_a_server_that_stays_away_stops_the_batch(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = echo
    questions(home, *(f'"This is trouble number {n}"' for n in range(30)))
    result = batch(*models("--concurrency", "2", "--out", "there.jsonl"))
    assert result.exit_code == 1
    assert "error: stopped after 10 failures in a row; the last: the decomposer model failed" in result.stderr
    assert 10 <= len(answers(home, "there.jsonl")) <= 12


@pytest.mark.loopback
def test_questions_at_fault_do_not_stop_the_batch(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = echo
    questions(home, *(json.dumps("x" * 30_000) for _ in range(12)), '"What is the number 5"')
    result = batch(*models())
    assert "1 answered, 12 failed" in result.stderr
    assert answers(home)[0]["error"].startswith("the question has 30,000 characters")


def test_nothing_to_do(home: Path) -> None:
    questions(home)
    assert "has no questions" in batch().stderr
    questions(home, "nonsense")
    result = batch()
    assert (result.exit_code, result.stderr.splitlines()[-1][:32]) == (0, "0 answered, 0 failed, 1 lines sk")
    assert batch("--out", "q.jsonl").exit_code == 2


@pytest.mark.loopback
def test_ctrl_c_keeps_what_is_done(home: Path, models: Models, server: OpenAIServer) -> None:
    server.script = echo
    server.delay = 0.4
    questions(home, *({"id": n, "question": f"What is the number {n}"} for n in range(40)))
    process = scenario.start(home, "ask", "--batch", "q.jsonl", *models("--concurrency", "2"))
    out = home / "q.answers.jsonl"
    scenario.wait_until(lambda: out.exists() and len(out.read_text().splitlines()) >= 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted; ")
    assert "of 40 questions are answered, in q.answers.jsonl; run the same command again" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert "Task was destroyed" not in err
    done = {record["id"] for record in answers(home)}
    server.delay = 0
    server.requests.clear()
    again = scenario.run(home, "ask", "--batch", "q.jsonl", *models())
    assert again.returncode == 0, again.stderr
    assert sorted(record["id"] for record in answers(home)) == list(range(40))
    assert len(server.requests) == 2 * (40 - len(done))


@pytest.mark.loopback
def test_of_two_batches_on_one_file_the_second_waits_for_nobody(
    home: Path, models: Models, server: OpenAIServer
) -> None:
    server.script = echo
    server.delay = 0.4
    questions(home, *({"id": n, "question": f"What is the number {n}"} for n in range(20)))
    first = scenario.start(home, "ask", "--batch", "q.jsonl", *models("--concurrency", "1"))
    out = home / "q.answers.jsonl"
    scenario.wait_until(lambda: out.exists() and len(out.read_text().splitlines()) >= 1)
    asked = len(server.requests)
    second = batch(*models("--concurrency", "1"))
    assert second.exit_code == 1
    assert f"another process is at work on q.answers.jsonl: process {first.pid} on " in second.stderr
    assert "or name another --out" in second.stderr
    assert len(server.requests) <= asked + 6
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=20)
    server.delay = 0
    assert batch(*models()).exit_code == 0
    assert sorted(record["id"] for record in answers(home)) == list(range(20))
