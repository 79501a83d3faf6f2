"""Reading questions: every form, and every line that is none is named."""

import json
from pathlib import Path

import pytest

from anabranch.batch.examples import choose, file_hash, read_examples
from anabranch.errors import DocumentError
from tests.evals.rows import ROWS, write


def test_lines_that_are_no_examples_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", [{"id": 7, "question": " a? ", "answer": 3}])
    with path.open("a", encoding="utf-8") as file:
        file.write('\n{oops\n[1]\n{"question": "b?"}\n{"answer": "x"}\n{"id": 7, "question": "c?", "answer": "d"}\n')
        file.write(
            '{"question": "e?", "answer": "f", "context": [{"title": "t"}]}\n{"question": "g?", "answer": true}\n'
        )
        file.write('{"question": "h?", "answer": "i", "sub_questions": ["", 3]}\n{"question": "j?", "answer": null}\n')
        file.write('{"question": "k \\ud800?", "answer": "l\\u0000"}')
    found = read_examples(path)
    assert [(example.id, example.question, example.answers) for example in found.examples] == [
        ("7", "a?", ("3",)),
        ("line-9", "g?", ("yes",)),
        ("line-12", "k \ufffd?", ("l\ufffd",)),
    ]
    assert found.problems == [
        "line 3: not JSON: '{oops'",
        "line 4: not a JSON object",
        "line 5: there is no answer in it",
        "line 6: there is no question in it",
        "line 7: the id '7' was used before",
        "line 8: its context is neither a text nor a list of {title, text}",
        "line 10: its sub_questions are not a list of texts",
        "line 11: there is no answer in it",
    ]


@pytest.mark.parametrize("content", ["", "\n", "nonsense\n", '{"question": "a?"}\n'])
def test_a_file_without_examples_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(content)
    with pytest.raises(DocumentError, match=r"has no questions with answers .*write one JSON object a line"):
        read_examples(path)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="check the path"):
        read_examples(tmp_path / "none.jsonl")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DocumentError, match="not UTF-8"):
        read_examples(tmp_path / "b")


def test_human_plans(tmp_path: Path) -> None:
    rows = [
        ROWS[0],
        {"question": "Which horse wins, #2 or #3?", "answer": "2", "sub_questions": ["How fast is #2?", "And #1?"]},
        {"question": "Which is it?", "answer": "2", "sub_questions": ["Is it horse #2?", "Is #1 {right}?"]},
        {"question": "Nothing?", "answer": "2"},
    ]
    first, literal, forward, none = read_examples(write(tmp_path / "q.jsonl", rows)).examples
    plan = first.human_plan()
    assert plan is not None
    assert [(step.text, step.depends_on) for step in plan.sub_questions] == [
        ("How many pens are in 14 boxes of 30?", ()),
        ("How many of {1} are left without 95?", (1,)),
    ]
    assert literal.steps == ("How fast is #2?", "And #1?")
    assert forward.steps == ("Is it horse #2?", "Is #1 {right}?")
    assert none.human_plan() is None


def test_supporting_passages_in_all_three_forms(tmp_path: Path) -> None:
    paragraphs = [{"title": "A", "text": "a"}, {"title": "B", "text": "b"}]
    base = {"question": "q?", "answer": "x", "context": paragraphs}
    flagged = [{**paragraphs[0], "is_supporting": True}, {**paragraphs[1], "is_supporting": False}]
    rows = [
        {**base, "meta": {"supporting_facts": [["A", 0], ["A", 2], ["B", 1]]}},
        {**base, "meta": {"supporting_facts": {"title": ["B", "B"], "sent_id": [0, 1]}}},
        {**base, "context": flagged, "meta": {"aliases": ["y", "x"]}},
    ]
    found = read_examples(write(tmp_path / "q.jsonl", rows)).examples
    assert [example.supporting for example in found] == [("A", "B"), ("B",), ("A",)]
    assert found[2].answers == ("x", "y")


def test_what_answers_a_human_sub_question(tmp_path: Path) -> None:
    evidence = [[[["Albany-1"]], [["Albany-2"], "operation"], ["operation"]]]
    row = {"question": "q?", "answer": "no", "sub_questions": ["a?", "b?", "Is #1 less than #2?"]}
    rows = [{**row, "meta": {"evidence": evidence}}, {**row, "id": "2", "meta": {"kinds": ["a", "b", "c"]}}]
    first, second = read_examples(write(tmp_path / "q.jsonl", rows)).examples
    assert first.kinds == ("lookup", "lookup", "reason")
    assert second.kinds == ("a", "b", "c")
    plan = first.human_plan("search")
    assert plan is not None
    assert [step.route for step in plan.sub_questions] == ["search", "search", "solve"]


def test_a_larger_limit_keeps_the_smaller_ones_questions(tmp_path: Path) -> None:
    rows = [{"id": str(n), "question": f"{n}?", "answer": "x"} for n in range(50)]
    examples = read_examples(write(tmp_path / "q.jsonl", rows)).examples
    few, more = choose(examples, 10, seed=3), choose(examples, 25, seed=3)
    assert {example.id for example in few} < {example.id for example in more}
    assert [int(example.id) for example in few] == sorted(int(example.id) for example in few)
    assert choose(examples, 10, seed=4) != few
    assert choose(examples, None, seed=3) == choose(examples, 90, seed=3) == examples
    assert file_hash(tmp_path / "q.jsonl") != file_hash(write(tmp_path / "r.jsonl", json.loads(json.dumps(rows[:3]))))
