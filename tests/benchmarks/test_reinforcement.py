"""What reinforcement of the shipped decomposers asks, and its scores on disk."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reinforcement.requests import chosen, fit, main, question
from benchmarks.reinforcement.score import earlier, keep

HEAD = "You split a question.\n\nRoutes:\nsolve: reasoning."


def row(asked: str, completion: str, *tools: str) -> dict[str, Any]:
    system = "\n".join([HEAD, *(f"{tool}: does something: well." for tool in tools)])
    messages = [{"role": "system", "content": system}, {"role": "user", "content": f"Question: {asked}"}]
    return {"id": asked, "messages": messages, "completion": completion}


def original(count: int) -> list[dict[str, Any]]:
    plans = ("1 [solve] A", "1 [find] A\n2 [solve] B {1}", "1 [find] A\n2 [find] B {1}", "DIRECT")
    return [row(f"How is {number}?", plans[number % 4], "find") for number in range(count)]


@pytest.mark.parametrize(
    ("completion", "tools", "wanted"),
    [
        ("1 [solve] A", ("find", "sum"), "none"),
        ("1 [find] A\n2 [solve] B {1}", ("find",), "some"),
        ("1 [find] A\n2 [find] B [sic]", ("find",), "all"),
        ("1 [solve] A", (), None),
        ("DIRECT", ("find",), None),
    ],
)
def test_for_how_many_steps_a_tool_fits(completion: str, tools: tuple[str, ...], wanted: str | None) -> None:
    assert fit(row("A?", completion, *tools)) == wanted


def test_the_form_of_the_answer_is_no_part_of_a_question() -> None:
    assert question(row("Who is it? Answer yes or no.\n\nAsked so far:", "DIRECT")) == "who is it?"


def test_shares_are_kept_and_no_question_comes_twice_or_from_the_test() -> None:
    barred = {f"how is {number}?" for number in range(40)}
    train, tune = chosen([*original(400), *original(400)], 100, 50, barred)
    for rows, of in ((train, 100), (tune, 50)):
        assert [fit(each) for each in rows].count("none") == 0.46 * of
        assert [fit(each) for each in rows].count("some") == 0.3 * of
        assert len(rows) == of
    asked = [question(each) for each in (*train, *tune)]
    assert len(set(asked)) == 150
    assert not barred & set(asked)
    with pytest.raises(ValueError, match="rows in which a tool fits none steps; 575 are needed"):
        chosen(original(400), 1000, 250, barred)


def test_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "first": original(400),
        "test": original(8),
        "routes": original(20),
        "tasks": [row(f"Book {number}", "1 [book] A", "book") for number in range(30)],
    }
    for name, rows in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    options = {"--test": "test", "--tasks": "tasks", "--routes": "routes"}
    words = [word for option, name in options.items() for word in (option, f"{tmp_path / name}.jsonl")]
    counts = ["--first", "100", "--tune-first", "50", "--others", "99", "--tune-others", "10"]
    given = ["requests", f"{tmp_path}/first.jsonl", str(tmp_path / "out"), *words, *counts]
    monkeypatch.setattr(sys, "argv", given)
    main()
    names = ("requests", "tune_requests", "tune_routes")
    made = [(tmp_path / "out" / f"{name}.jsonl").read_text().splitlines() for name in names]
    assert [len(lines) for lines in made] == [120, 60, 12]
    asked = [{question(json.loads(line)) for line in lines} for lines in made]
    assert not asked[0] & asked[1]


def test_scores_of_whole_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    assert earlier(path) == {}
    found = {"before": [{"id": "1", "f1": 0.5}], "after": [{"id": "1", "f1": 1.0}]}
    keep(path, "one", found)
    keep(path, "two", {"before": [{"id": "1", "f1": 0.0}]})
    assert earlier(path) == {"one": found, "two": {"before": [{"id": "1", "f1": 0.0}]}}
