"""Grades of the questions about documents, and the questions themselves."""

from collections import Counter

import pytest

from anabranch.tools import document_search
from benchmarks.questions.__main__ import FOLDER, right, rows, table, tokens

FACT = {"id": "a", "set": "s", "split": "tuning", "kind": "fact", "question": "?", "accept": ["1,200.50", "Ann Lee"]}


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ("1200.5 EUR", True),
        ("It costs EUR 1,200.50.", True),
        ("ann lee", True),
        ("Ann Leeds", False),
        ("11200.50", False),
        ("The answer to this was not found in the documents.", False),
        (f"Ann Lee {'and so on ' * 40}", False),
    ],
)
def test_an_answer_is_right_if_it_is_short_and_says_one_of_the_accepted_strings(answer: str, good: bool) -> None:
    assert right(FACT, answer, "complete", True) is good


def test_where_the_documents_do_not_answer_only_not_found_is_right() -> None:
    absent = {**FACT, "kind": "absent", "accept": []}
    assert right(absent, "", "not_found", True)
    assert right(absent, "The documents do not mention that.", "complete", True)
    assert not right(absent, "Ann Lee", "complete", True)


def test_a_greeting_is_answered_without_a_look_up() -> None:
    talk = {**FACT, "kind": "talk", "accept": ["welcome"]}
    assert right(talk, "You are welcome!", "complete", False)
    assert not right(talk, "You are welcome!", "complete", True)


def test_there_are_a_hundred_questions_of_each_kind_over_five_sets() -> None:
    found = rows()
    kinds = Counter(row["kind"] for row in found)
    assert len(found) >= 100
    assert len({row["id"] for row in found}) == len(found)
    assert kinds["hops"] >= 33
    assert kinds["absent"] >= 15
    assert {row["set"] for row in rows("held_out")} == {"town", "shop"}


@pytest.mark.parametrize("name", sorted({row["set"] for row in rows()}))
def test_the_facts_stand_in_the_documents(name: str) -> None:
    document_search(FOLDER / "sets" / name)  # all of them can be read
    text = " ".join(_joined(tokens(path.read_text(encoding="utf-8"))) for path in (FOLDER / "sets" / name).iterdir())
    for row in rows(sets=[name]):
        if row["kind"] == "fact":
            assert any(_joined(tokens(accepted)) in text for accepted in row["accept"]), row


def _joined(tokens: list[str]) -> str:
    return f" {' '.join(tokens)} "


def test_the_table_counts_by_set_and_kind() -> None:
    found = [{**FACT, "right": True, "seconds": 1.0}, {**FACT, "kind": "absent", "right": False, "seconds": 3.0}]
    assert "right 50.0%, 2.0 s each" in table(found)
