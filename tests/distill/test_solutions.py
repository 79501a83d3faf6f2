"""Rows that distil a solver: the data's own worked solutions, a teacher's, and what is left out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from anabranch.agents import prompts
from anabranch.batch.files import read_jsonl, write_jsonl
from anabranch.distill.options import SolutionsOptions
from anabranch.distill.render import as_messages
from anabranch.distill.solutions import solutions
from anabranch.errors import ConfigurationError, EndpointError
from tests.distill.rows import GSM8K, MUSIQUE, STRATEGYQA
from tests.fakes import ScriptedChatModel

QUESTIONS = [{"id": n, "question": f"Is {n}  even?", "answer": "yes" if n % 2 == 0 else "no"} for n in range(40)]


def file(folder: Path, rows: list[Any], name: str = "questions.jsonl") -> Path:
    write_jsonl(folder / name, rows)
    return folder / name


async def made_of(work: Path, questions: Sequence[Path], **more: Any) -> dict[str, Any]:
    return await solutions(SolutionsOptions(questions=tuple(questions), work=work, **more))


async def test_worked_solutions_lose_their_marks_and_end_with_the_answer(tmp_path: Path) -> None:
    made = await made_of(tmp_path, [file(tmp_path, GSM8K)])
    rows = list(read_jsonl(tmp_path / "se_a.jsonl"))
    assert rows[0]["completion"] == "He makes 3*12 = 36 rolls.\nSo 36-7 = 29 are left.\nAnswer: 29"
    assert rows[0]["messages"] == as_messages(prompts.direct_messages(GSM8K[0]["question"]))
    assert made["rows"] == {"se_a": 11, "se_a_tune": 1}
    assert made["with_a_worked_solution"] == 12
    assert made == json.loads((tmp_path / "solutions.json").read_text())


async def test_a_bare_answer_is_all_there_is(tmp_path: Path) -> None:
    await made_of(tmp_path, [file(tmp_path, QUESTIONS)])
    rows = list(read_jsonl(tmp_path / "se_a.jsonl"))
    assert [row["completion"] for row in rows[:2]] == ["Answer: yes", "Answer: no"]
    assert rows[0]["messages"][1]["content"] == "Is 0 even?"


async def test_the_last_rows_are_for_tuning_and_more_of_gsm8k(tmp_path: Path) -> None:
    await made_of(tmp_path, [file(tmp_path, QUESTIONS)])
    assert [row["id"] for row in read_jsonl(tmp_path / "se_a_tune.jsonl")] == ["38", "39"]
    marked = [{**row, "source": "gsm8k_main"} for row in QUESTIONS]
    await made_of(tmp_path, [file(tmp_path, marked)])
    assert [row["id"] for row in read_jsonl(tmp_path / "se_a_tune.jsonl")] == ["36", "37", "38", "39"]
    await made_of(tmp_path, [file(tmp_path, marked)], limit=3)
    assert [row["id"] for row in read_jsonl(tmp_path / "se_a.jsonl")] == ["0", "1", "2"]
    assert [row["id"] for row in read_jsonl(tmp_path / "se_a_tune.jsonl")] == ["36", "37", "38"]


async def test_a_teacher_s_replies_are_kept_right_or_wrong(tmp_path: Path) -> None:
    teacher = ScriptedChatModel(script=lambda prompt: "Let us see.\nAnswer: yes")
    made = await made_of(tmp_path, [file(tmp_path, QUESTIONS)], teacher=teacher, price="1,1")
    rows = list(read_jsonl(tmp_path / "se_t.jsonl"))
    assert {row["completion"] for row in rows} == {"Let us see.\nAnswer: yes"}
    assert made["rows"] == {"se_a": 38, "se_a_tune": 2, "se_t": 38, "se_t_tune": 2}
    assert (made["teacher"], made["teacher_right"], made["teacher_took"]["prompts"]) == ("scripted", 20, 40)
    own = list(read_jsonl(tmp_path / "se_a.jsonl"))
    assert [row["messages"] for row in rows] == [row["messages"] for row in own]


async def test_an_empty_reply_is_left_out_and_listed(tmp_path: Path) -> None:
    teacher = ScriptedChatModel(script=lambda prompt: " " if "Is 3 " in prompt else "Answer: no")
    made = await made_of(tmp_path, [file(tmp_path, QUESTIONS)], teacher=teacher)
    assert made["rows"]["se_t"] == 37
    assert made["left_out"] == {"a teacher's reply that is empty or was cut off": {"rows": 1, "first": ["3"]}}


async def test_a_run_that_stopped_goes_on(tmp_path: Path) -> None:
    calls = 0

    def failing(prompt: str) -> Any:
        nonlocal calls
        calls += 1
        return TimeoutError("too slow") if calls > 25 else "Answer: no"

    asked = [file(tmp_path, QUESTIONS)]
    with pytest.raises(EndpointError, match="too slow"):
        await made_of(tmp_path, asked, teacher=ScriptedChatModel(script=failing))
    kept = len(list(read_jsonl(tmp_path / "teacher_solutions.jsonl")))
    again = ScriptedChatModel(script=lambda prompt: "Answer: no")
    await made_of(tmp_path, asked, teacher=again)
    assert 0 < kept < 40
    assert len(again.prompts) == 40 - kept


async def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    bad: list[Any] = [
        {"id": "x", "question": 5, "answer": "1"},
        {"id": "s-0", "question": "Of a test?", "answer": "no", "split": "test"},
        QUESTIONS[0],
    ]
    files = [file(tmp_path, QUESTIONS), file(tmp_path, [*MUSIQUE, *STRATEGYQA, *bad], "other.jsonl")]
    files[1].write_text(files[1].read_text().replace('"id": "m-1"', '"id": "m-1", "answer": "Selden"') + "{broken\n")
    made = await made_of(tmp_path, files)
    assert made["questions"] == 40
    assert {reason: each["rows"] for reason, each in made["left_out"].items()} == {
        "a question that needs its context": 1,
        "no valid answer": 3,
        "no valid question": 1,
        "of a split that is kept for tests": 1,
        "an id that was there before": 1,
        "not a JSON object": 1,
    }
    with pytest.raises(ConfigurationError, match=r"no question of .*other\.jsonl can be used"):
        await made_of(tmp_path, [file(tmp_path, bad[:2], "other.jsonl")])
