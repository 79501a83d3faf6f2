"""Rows for reading: what is asked of made-up pages, and what a teacher adds."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from anabranch.agents import prompts
from anabranch.agents.prompts import NOT_FOUND
from anabranch.batch.files import write_jsonl
from anabranch.distill import reader, sources
from anabranch.distill.options import ReadOptions
from anabranch.distill.pages import questions, table_names
from anabranch.distill.paragraph_facts import facts
from anabranch.distill.read import read
from anabranch.distill.readings import drawn_rows, reasoned_rows, talk_rows
from anabranch.distill.templates import written as written_plans
from tests.distill.rows import MUSIQUE

ROWS = list(drawn_rows(Random(5), 150))


def test_the_answer_stands_in_the_result_or_is_not_found() -> None:
    for row in ROWS:
        result, _, question = row["messages"][-1]["content"].rpartition("\n\nQuestion: ")
        assert row["messages"][0]["content"] == prompts.READ_INSTRUCTION
        assert question
        if row["completion"] != NOT_FOUND:
            plain = " ".join(result.split())
            assert all(part in plain for part in row["completion"].replace(" and ", ", ").split(", ")), row


def test_a_third_is_not_answered() -> None:
    absent = sum(row["completion"] == NOT_FOUND for row in ROWS)
    assert 0.2 < absent / len(ROWS) < 0.45


def test_the_same_seed_draws_the_same_rows() -> None:
    assert list(drawn_rows(Random(5), 20)) == ROWS[:20]


def test_rows_come_from_the_tables_that_are_named() -> None:
    only = [
        line
        for line in table_names()
        if line.startswith(("Bus lines", "Menu", "Cars", "Teams", "Rooms", "Staff", "Fees"))
    ]
    text = "".join(row["messages"][-1]["content"] for row in drawn_rows(Random(1), 60, tables=only))
    assert "Technical data" not in text


def test_other_wordings_are_used() -> None:
    wordings = {question: [f"Say: {question}"] for question in questions()}
    rows = list(drawn_rows(Random(5), 60, wordings=wordings))
    assert any("Question: Say: " in row["messages"][-1]["content"] for row in rows)
    assert not any("{" in row["messages"][-1]["content"].rpartition("Question: ")[2] for row in rows)


def test_reasoning_is_read_out_of_earlier_answers() -> None:
    rows = list(reasoned_rows(written_plans(Random(1), 200)))
    assert rows
    assert all(row["messages"][0]["content"] == prompts.READ_INSTRUCTION for row in rows)


def test_greetings_have_the_prompt_of_a_direct_answer() -> None:
    rows = list(talk_rows(Random(1), [("Who?", "Ann"), ("Where?", "There")]))
    said = {row["messages"][-1]["content"]: row["completion"] for row in rows}
    assert said["Thanks!"].startswith("You're welcome")
    assert {prompts.GROUNDED_TALK_INSTRUCTION in row["messages"][0]["content"] for row in rows} == {True, False}


PAGE = """# Moss Cabins

| Cabin | Price | Beds |
|---|---|---|
| Fir | 80 EUR | 4 |
| Elm | 95 EUR | 6 |
| Yew | 70 EUR | 2 |

The warden is Ada Moreau, who lives by the gate. {more}"""


class Teacher(BaseChatModel):
    """Answers each kind of prompt that a teacher gets."""

    @property
    def _llm_type(self) -> str:
        return "scripted-teacher"

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        told, asked = str(messages[0].text), str(messages[-1].text)
        if told.startswith("Word the question"):
            text = f"1. Say, {asked}\nWhat else?\nand {asked}"
        elif told.startswith("Write the text"):
            text = PAGE.format(more=f"{asked.split(':')[1]} {'Everyone is welcome here. ' * 15}")
        elif told.startswith("Write four questions"):
            text = "Q: Who is the warden of Moss Cabins?\nA: Ada Moreau\nQ: What is the price of Elm?\nA: 95 EUR"
        else:
            text = "Ada Moreau" if "warden" in asked.rpartition("Question:")[2] else "70 EUR"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


async def test_what_the_teacher_says_is_kept_where_it_reads_the_same_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "questions", lambda: ["Who runs {r}?", "When is it?"])
    monkeypatch.setattr(reader, "section", lambda _name: tuple(f"subject {n}" for n in range(6)))
    counts = await reader.taught_rows([], tmp_path, Teacher())
    rows = [json.loads(line) for line in (tmp_path / "taught.jsonl").read_text(encoding="utf-8").splitlines()]
    wordings = [json.loads(line) for line in (tmp_path / "wordings.jsonl").read_text(encoding="utf-8").splitlines()]
    assert counts["page_pairs"] == counts["pages"] == 12
    assert wordings[0]["ways"] == ["Say, Who runs {r}?", "and Who runs {r}?"]
    said = {row["completion"] for row in rows}
    assert {"Ada Moreau"} <= said <= {"Ada Moreau", NOT_FOUND, "80 EUR", "95 EUR", "70 EUR", "4", "6", "2"}


def test_the_tuning_rows_have_tables_that_training_never_shows(tmp_path: Path) -> None:
    path = reader.drawn(tmp_path, 40, seed=1, name="drawn_tune")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 40


async def test_the_stage_needs_no_teacher_and_takes_in_what_build_made(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / sources.MUSIQUE, MUSIQUE)
    (tmp_path / "solver_train.jsonl").write_text(json.dumps(ROWS[0] | {"source": "arguments"}) + "\n", encoding="utf-8")
    manifest = await read(ReadOptions(data=tmp_path / "data", work=tmp_path, rows=30))
    text = (tmp_path / "reader_train.jsonl").read_text(encoding="utf-8")
    kinds = {json.loads(line)["source"] for line in text.splitlines()}
    assert {"arguments", "read_drawn", "read_reasoned", "talk"} <= kinds
    assert manifest["reader_train"] == len(text.splitlines())
    assert manifest["reader_tune"] >= 30


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("Glass River (film)", "Glass River is a 1931 film directed by Ada B. Moreau.", ("Ada B. Moreau", "1931")),
        ("Ada Moreau", "Ada Moreau (born 3 May 1901) was a singer, born in Tarn Hill.", ("3 May 1901", "Tarn Hill")),
        ("Tarn Hill", "Tarn Hill is a village located in Fenland with a population of 1,204.", ("Fenland", "1,204")),
    ],
)
def test_paragraphs_are_asked_for_what_patterns_find(title: str, text: str, expected: tuple[str, ...]) -> None:
    found = list(facts({"title": title, "text": text}))
    assert set(expected) <= {answer for _, answer in found}
    assert all(answer == "" or answer in text for _, answer in found)
    assert all("(film)" not in question for question, _ in found)
