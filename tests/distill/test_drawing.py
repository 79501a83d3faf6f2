"""Drawing: a decomposer's own plans, each once, with the prompt that they were written for."""

import json
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.files import read_jsonl, write_jsonl
from anabranch.codecs import LineGrammar
from anabranch.distill import screen
from anabranch.distill.drawing import draw, plan_job
from anabranch.distill.options import DrawOptions
from anabranch.errors import ConfigurationError, EndpointError
from tests.fakes import ScriptedChatModel

ONE = "1 [calculator] How many rolls are in 3 trays of 12?"
TWO = "1 [solve] How many rolls are there?"
ROWS: list[dict[str, Any]] = [
    {"id": n, "question": f"How many rolls are in {n} trays?", "answer": str(n)} for n in range(3)
]


def questions(folder: Path, *rows: dict[str, Any]) -> Path:
    write_jsonl(folder / "questions.jsonl", rows or ROWS)
    return folder / "questions.jsonl"


async def drawn(file: Path, decomposer: Any, **more: Any) -> dict[str, Any]:
    return await draw(DrawOptions(questions=file, work=file.parent, decomposer=decomposer, **more))


async def test_each_plan_is_kept_once_with_its_prompt(tmp_path: Path) -> None:
    left = {str(row["question"]): [f"{ONE}\n", TWO, ONE] for row in ROWS}
    model = ScriptedChatModel(script=lambda prompt: left[prompt.rpartition("Question: ")[2].strip()].pop())
    manifest = await drawn(questions(tmp_path), model, samples=3)
    rows = list(read_jsonl(tmp_path / "drawn_plans.jsonl"))
    assert [(row["id"], row["sample"]) for row in rows] == [(str(n), k) for n in range(3) for k in range(2)]
    assert [row["plan"] for row in rows] == [ONE, TWO] * 3
    assert rows[0]["messages"][-1] == {"role": "user", "content": "Question: How many rolls are in 0 trays?"}
    assert (manifest["questions"], manifest["plans"], manifest["repeated"]) == (3, 6, 3)
    assert json.loads((tmp_path / "draw.json").read_text())["settings"]["samples"] == 3


async def test_plans_can_be_drawn_without_tools(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=[TWO] * 3)
    await drawn(questions(tmp_path), model, samples=1, tool=("none",))
    system = next(read_jsonl(tmp_path / "drawn_plans.jsonl"))["messages"][0]["content"]
    assert system.partition("Routes:\n")[2].splitlines() == ["solve: reasoning or general knowledge, without a tool."]


async def test_screening_takes_what_was_drawn(tmp_path: Path) -> None:
    await drawn(questions(tmp_path), ScriptedChatModel(script=[ONE] * 3), samples=1)
    bad: dict[str, list[str]] = {}
    asked = screen.read_questions(tmp_path / "questions.jsonl", bad)
    found = screen.read_candidates(tmp_path / "drawn_plans.jsonl", asked, bad)
    assert ([candidate.plan for candidate in found], bad) == ([ONE] * 3, {})
    assert all(candidate.messages for candidate in found)


async def test_a_run_that_stopped_goes_on(tmp_path: Path) -> None:
    file, how = questions(tmp_path), {"samples": 1}
    with pytest.raises(EndpointError):
        await drawn(file, ScriptedChatModel(script=[ONE, TimeoutError("too slow"), TWO]), **how)
    going_on = ScriptedChatModel(script=[ONE])
    assert (await drawn(file, going_on, **how))["plans"] == 3
    assert len(going_on.prompts) == 1


async def test_plans_are_drawn_elsewhere(tmp_path: Path) -> None:
    file, how = questions(tmp_path), {"samples": 2}
    assert await drawn(file, "batch:m", **how) == {"requests": 3}
    rows = list(read_jsonl(tmp_path / "decomposer_requests.jsonl"))
    assert {(row["body"]["model"], row["body"]["n"]) for row in rows} == {("m", 2)}
    assert all(row["body"]["structured_outputs"]["regex"] for row in rows)
    replies = tmp_path / "replies.jsonl"
    write_jsonl(replies, ({"id": row["custom_id"], "texts": [ONE, TWO]} for row in rows))
    manifest = await drawn(file, "batch:m", **how, replies=replies)
    assert (manifest["decomposer"], manifest["plans"]) == ("m", 6)
    assert [row["plan"] for row in read_jsonl(tmp_path / "drawn_plans.jsonl")] == [ONE, TWO] * 3
    with pytest.raises(ConfigurationError, match="has no name"):
        await drawn(file, "batch:", **how)


async def test_bad_rows_are_listed_and_only_so_many_taken(tmp_path: Path) -> None:
    file = questions(tmp_path, {"id": 1}, *ROWS)
    manifest = await drawn(file, ScriptedChatModel(script=[ONE]), samples=1, limit=1)
    assert manifest["plans"] == 1
    assert sum(each["rows"] for each in manifest["left_out"].values()) == 1


async def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown tool 'hammer'"):
        await drawn(questions(tmp_path), ScriptedChatModel(script=[]), tool=("hammer",))
    with pytest.raises(ConfigurationError, match="no question"):
        await drawn(questions(tmp_path, {"id": 1}), ScriptedChatModel(script=[]))


def test_plans_are_held_to_the_catalogue() -> None:
    job = plan_job("q", "How many?", ["search", "calculator"])
    assert job.pattern == LineGrammar(["search", "calculator"], 8).pattern
    assert "search:" in job.messages[0]["content"]
    assert plan_job("q", "How many?", [], grammar=False).pattern is None
