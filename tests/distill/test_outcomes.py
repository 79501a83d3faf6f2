"""Outcomes by row id: what was screened can be screened again without plans, prompts and a solver."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.files import read_jsonl, write_jsonl
from anabranch.distill.drawing import draw
from anabranch.distill.options import DrawOptions, ScreenOptions
from anabranch.distill.outcomes import read
from anabranch.distill.screen import read_candidates, read_questions
from anabranch.distill.screening import screen
from anabranch.errors import ConfigurationError, DocumentError
from tests.distill.rows import GSM8K
from tests.fakes import ScriptedChatModel

FILES = ("sd_t", "sd_t_tune", "sd_r", "sd_r_tune", "pairs", "pairs_tune", "negatives", "direct", "outcomes")


def plans(prompt: str) -> str:
    """Writes a plan that helps for every second question."""
    number = int(prompt.rpartition("makes ")[2].split()[0])
    return f"1 [solve] How many rolls are in the trays{' of 12' * (number % 2)}?\n2 [solve] How many are left of {{1}}?"


def solved(prompt: str) -> str:
    """Is right along a plan that helps."""
    trays, rolls, sold = _numbers(prompt)
    return f"Answer: {trays * rolls - sold if 'of 12?' in prompt else 1}"


def _numbers(prompt: str) -> tuple[int, int, int]:
    words = prompt.partition("makes ")[2].split("How many")[0].replace(".", " ").split()
    trays, rolls, sold, *_ = (int(word) for word in words if word.isdigit())
    return trays, rolls, sold


@pytest.fixture
async def screened(tmp_path: Path) -> Path:
    questions, work = tmp_path / "questions.jsonl", tmp_path / "first"
    write_jsonl(questions, GSM8K)
    decomposer, solver = ScriptedChatModel(script=plans), ScriptedChatModel(script=solved)
    await draw(DrawOptions(questions=questions, work=work, decomposer=decomposer, samples=1, tool=()))
    drawn = work / "drawn_plans.jsonl"
    await screen(ScreenOptions(questions=questions, plans=drawn, work=work, solver=solver, alone=1, held_out=0.3))
    return work


async def again(folder: Path, screened: Path, **more: Any) -> dict[str, Any]:
    options = ScreenOptions(questions=folder / "questions.jsonl", screened=screened, work=folder / "again", **more)
    return await screen(options)


async def test_what_was_screened_is_sorted_again_without_a_solver(screened: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl.gz"
    kept.write_bytes(gzip.compress((screened / "screened.jsonl").read_bytes()))
    assert not any(word in (screened / "screened.jsonl").read_text() for word in ("baker", "Answer"))
    made = await again(tmp_path, kept, held_out=0.3)
    for name in FILES:
        first, second = (list(read_jsonl(work / f"{name}.jsonl")) for work in (screened, tmp_path / "again"))
        if name in ("negatives", "outcomes"):  # who wrote a plan is not kept
            first = [{**row, "source": ""} for row in first]
        assert second == first, name
    assert made["rows"]["sd_r"] + made["rows"]["sd_r_tune"] > 0
    assert made["results"] == json.loads((screened / "screen.json").read_text())["results"]
    assert made["inputs"].keys() == {"questions.jsonl", "kept.jsonl.gz"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "elsewhere", "plans": []}, "of a question that is not there"),
        ({"id": "row-0"}, "no valid plans"),
        ({"id": "row-0", "plans": [{"sample": 0, "plan": "DIRECT", "right": 2, "of": 1}]}, "a plan without"),
        ({"id": "row-0", "plans": ["1 [solve] What?"]}, "a plan without"),
    ],
)
async def test_rows_that_cannot_be_used_are_counted(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "questions.jsonl", GSM8K)
    write_jsonl(tmp_path / "kept.jsonl", [row])
    bad: dict[str, list[str]] = {}
    assert read(tmp_path / "kept.jsonl", read_questions(tmp_path / "questions.jsonl", bad), bad) == ([], [], {})
    assert [name for name in bad if name.startswith(reason)]
    with pytest.raises(ConfigurationError, match=reason):
        await again(tmp_path, tmp_path / "kept.jsonl")


def test_odd_counts_and_tools_are_survived(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "questions.jsonl", GSM8K)
    plan = {"sample": 0, "plan": "1 [solve] What?", "right": 1, "of": 2}
    rows = [{"id": "row-0", "plans": [plan], "tools": ["teleport", 3], "alone": ["many", 4]}]
    write_jsonl(tmp_path / "kept.jsonl", rows)
    bad: dict[str, list[str]] = {}
    candidates, outcomes, alone = read(tmp_path / "kept.jsonl", read_questions(tmp_path / "questions.jsonl", bad), bad)
    assert (candidates[0].tools, candidates[0].messages, outcomes[0].right, alone) == (None, (), 1, {})
    assert bad == {"alone is not [right, of]": ["row-0"]}


def test_plans_that_name_their_tools_get_that_prompt(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "questions.jsonl", GSM8K)
    rows = [{"id": "row-0", "plan": "1 [solve] What?", "tools": []}, {"id": "row-1", "plan": "1 [solve] What?"}]
    write_jsonl(tmp_path / "plans.jsonl", rows)
    bad: dict[str, list[str]] = {}
    asked = read_questions(tmp_path / "questions.jsonl", bad)
    with_tools, without = read_candidates(tmp_path / "plans.jsonl", asked, bad)
    assert with_tools.messages[-1]["content"] == f"Question: {asked['row-0'].question}"
    assert (without.tools, without.messages) == (None, ())


async def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "questions.jsonl", GSM8K)
    with pytest.raises(DocumentError, match="check the path"):
        await again(tmp_path, tmp_path / "none.jsonl")


def test_the_shipped_outcomes_can_be_read() -> None:
    path = Path(__file__).parents[2] / "distill_data" / "gsm8k_outcomes.jsonl.gz"
    rows = list(read_jsonl(path))
    assert len(rows) == 2100
    assert all(row["tools"] == [] and row["alone"][1] == 4 for row in rows)
    assert sum(len(row["plans"]) for row in rows) == 10_980
