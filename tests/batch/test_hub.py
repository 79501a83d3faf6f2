"""Rows of the hub's data sets, in the forms that their cards show."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anabranch.batch import hub
from anabranch.batch.examples import Example, read_examples
from anabranch.errors import ConfigurationError, EndpointError, MissingExtraError
from anabranch.evals.tasks import find_task, questions

HOTPOT = {
    "id": "h",
    "question": "Where?",
    "answer": "here",
    "context": {"title": ["A", "B"], "sentences": [["One. ", "Two."], ["Three."]]},
    "supporting_facts": {"title": ["A", "A"], "sent_id": [0, 1]},
}
PARAGRAPHS = [{"idx": 0, "title": "A", "paragraph_text": "One.", "is_supporting": True}]
STEPS = [{"id": 1, "question": "A >> b", "answer": "x"}, {"id": 2, "question": "#1 >> c", "answer": "y"}]
MUSIQUE = {"id": "m", "question": "Who?", "answer": "y", "answer_aliases": ["z"], "paragraphs": PARAGRAPHS}
ROWS: dict[str, list[dict[str, Any]]] = {
    "gsm8k": [{"question": "How many?", "answer": "3 * 400 = <<3*400=1200>>1,200 coins.\n#### 1,200"}],
    "bamboogle": [{"Question": "Who?", "Answer": "she"}],
    "strategyqa": [{"qid": "s", "question": "Is it?", "answer": False}],
    "drop": [
        {
            "query_id": "d",
            "passage": "P.",
            "question": "How many?",
            "answers_spans": {"spans": ["3", "4"], "types": []},
        },
        {"query_id": "e", "passage": "P.", "question": "Why?", "answers_spans": {"spans": [], "types": []}},
    ],
    "hotpotqa": [HOTPOT],
    "2wiki": [HOTPOT],
    "musique": [
        {**MUSIQUE, "question_decomposition": STEPS, "answerable": True},
        {**MUSIQUE, "id": "n", "question_decomposition": STEPS, "answerable": False},
    ],
}


def provide(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> list[Any]:
    asked: list[Any] = []

    def load_dataset(*what: Any, **how: Any) -> list[dict[str, Any]]:
        asked.append((*what, how))
        return rows

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setattr(hub, "_commit", lambda name: "c0ffee")
    return asked


def first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Example:
    provide(monkeypatch, ROWS[name])
    reading = read_examples(questions(find_task(name), tmp_path / "data.jsonl"))
    assert (len(reading.examples), reading.problems) == (1, [])
    return reading.examples[0]


def test_rows_of_every_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: first(name, tmp_path / name, monkeypatch) for name in ROWS}
    assert found["gsm8k"].answers == ("1,200",)
    assert found["bamboogle"].question == "Who?"
    assert found["strategyqa"].answers == ("no",)
    assert (found["drop"].answers, found["drop"].context) == (("3", "4"), "P.")
    for name in ("hotpotqa", "2wiki"):
        assert [part.text for part in found[name].paragraphs] == ["One. Two.", "Three."]
        assert found[name].supporting == ("A",)
    assert found["musique"].answers == ("y", "z")
    assert found["musique"].steps == ("A >> b", "{1} >> c")
    assert found["musique"].supporting == ("A",)


def test_it_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = provide(monkeypatch, ROWS["gsm8k"])
    for _ in range(2):
        questions(find_task("gsm8k"), tmp_path / "data.jsonl")
    assert asked == [("openai/gsm8k", "main", {"split": "test", "revision": "c0ffee"})]
    assert "commit c0ffee" in (tmp_path / "data.jsonl.source.txt").read_text()


def test_what_to_do_where_there_is_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "data.jsonl"
    with pytest.raises(ConfigurationError, match="is on no hub; name a file with --data"):
        questions(find_task("parallelqa"), out)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"openai/gsm8k is read with: pip install 'anabranch\[eval\]'; or name"):
        questions(find_task("gsm8k"), out)
    provide(monkeypatch, [{"another": "form"}])
    with pytest.raises(EndpointError, match=r"openai/gsm8k cannot be had \(KeyError: 'answer'\); name a file"):
        questions(find_task("gsm8k"), out)
    assert not out.exists()
