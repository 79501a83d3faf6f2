"""Long input of the command line: refused with what to do, and never read whole."""

import io
import json
import tracemalloc
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anabranch.bounds import MAX_LINE_CHARS
from anabranch.cli import app
from anabranch.cli.batch import Item, read_questions
from anabranch.cli.chat import messages
from anabranch.cli.views import Silence

LONG = 20_000_000


def test_a_line_that_is_longer_than_any_question_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    with path.open("w") as file:
        file.write('"a?"\n')
        for _ in range(LONG // 1_000_000):
            file.write("x" * 1_000_000)
        file.write('\n"b?"\n')
    tracemalloc.start()
    try:
        found = read_questions(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert found.items == [Item("line-1", "a?"), Item("line-3", "b?")]
    assert found.problems == [f"line 2: longer than {MAX_LINE_CHARS:,} characters; shorten it"]


def test_an_unfinished_line_at_the_end_is_told_too(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("\ufeff" + json.dumps("a?") + "\n" + "x" * 8_000_000, encoding="utf-8")
    found = read_questions(path)
    assert (found.items, len(found.problems)) == ([Item("line-1", "a?")], 1)


def test_standard_input_without_end(home: Path) -> None:
    result = CliRunner().invoke(app, ["ask", "-"], input="why? " * (LONG // 5))
    assert result.exit_code == 2
    assert "longer than any question" in result.stderr


def test_lines_of_a_conversation_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x" * LONG + "\nWhy?\n" + "more\\\n" * 100_000))
    found = list(messages(Silence()))
    assert (len(found[0]), found[1]) == (1_000_000, "Why?")
    assert all(len(each) < 100_000 for each in found[2:])


def test_the_name_of_a_thread(home: Path) -> None:
    result = CliRunner().invoke(app, ["ask", "Why?", "--thread", "x" * 201])
    assert result.exit_code == 2
    assert "200 characters is the most" in result.stderr
