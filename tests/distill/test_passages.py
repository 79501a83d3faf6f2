"""Questions after a passage: what becomes of the question, of its routes, and of its plan."""

from random import Random

import pytest

from anabranch.codecs import decode_lines
from anabranch.distill import datasets, templates
from anabranch.distill.records import Demonstration, Step
from anabranch.distill.render import HINTS, MOST_WORDS, over_a_passage, plan_over, training_rows
from tests.distill.rows import MUSIQUE, STRATEGYQA

POOL = [{"title": "Elsewhere", "text": "word " * 500}]
SUMS = Demonstration(
    id="s",
    source="gsm8k",
    question="Ann has 3 boxes of 4 pens. She loses 2 pens. How many pens are left?",
    steps=(
        Step(text="How many pens does Ann have in 3 boxes of 4?", kind="arithmetic"),
        Step(text="How many pens are left, given {1} and 2?", kind="arithmetic"),
    ),
)
LOOKED_UP = Demonstration(
    id="f",
    source="test",
    question="How long is the bridge that Ada Quist built?",
    steps=(
        Step(text="Which bridge did Ada Quist build?", answer="Old Bridge"),
        Step(text="How long is {1}?", answer="9"),
    ),
)


def test_the_last_sentence_of_a_sum_asks() -> None:
    read = over_a_passage(SUMS, (), Random(1))
    assert read is not None
    passage, asked = read.question.split("\n\n")
    assert passage == "Ann has 3 boxes of 4 pens. She loses 2 pens."
    assert asked == "How many pens are left?"
    assert read.steps == SUMS.steps


def test_what_the_passage_says_is_not_looked_up() -> None:
    read = over_a_passage(LOOKED_UP, (), Random(1))
    assert read is not None
    assert "Which bridge did Ada Quist build: Old Bridge." in read.question
    assert "How long is Old Bridge: 9." in read.question
    assert {q.route for q in plan_over(read, {"search": "wiki"}).sub_questions} == {"solve"}
    assert {q.route for q in plan_over(LOOKED_UP, {"search": "wiki"}).sub_questions} == {"wiki"}
    single = LOOKED_UP.model_copy(update={"steps": LOOKED_UP.steps[:1]})
    assert (made := over_a_passage(single, (), Random(1))) is not None
    assert plan_over(made, {"search": "wiki"}).is_direct, "reading one answer is no plan"


def test_facts_that_nobody_knows_make_no_passage() -> None:
    unknown = LOOKED_UP.model_copy(update={"steps": (Step(text="Who built the bridge?"),)})
    assert over_a_passage(unknown, POOL, Random(1)) is None
    talk = Demonstration(id="t", source="written_task", question="Hello there!")
    assert over_a_passage(talk, POOL, Random(1)) is None


def test_the_datas_own_passages_come_first() -> None:
    known = {**STRATEGYQA[0], "meta": {**(STRATEGYQA[0].get("meta") or {}), "facts": ["Quays are built of stone."]}}
    (strategy,) = datasets.strategyqa([known])
    (chain, *_) = datasets.musique(MUSIQUE)
    assert strategy.passage == "Quays are built of stone."
    assert all(paragraph.partition(": ")[2] in str(MUSIQUE[0]["context"]) for paragraph in chain.passage.split("\n\n"))
    read = over_a_passage(chain, (), Random(1))
    assert read is not None
    assert read.question.startswith(chain.passage)
    assert read.question.count(chain.question) == 1


@pytest.mark.parametrize("odd", [5, "text", {"a": 1}, [None, 7, {}], None])
def test_odd_facts_and_places_make_no_passage(odd: object) -> None:
    row = {**STRATEGYQA[0], "meta": {**STRATEGYQA[0]["meta"], "facts": odd}}
    assert [each.passage for each in datasets.strategyqa([row])] == [""]
    row = {**MUSIQUE[0], "meta": {**MUSIQUE[0]["meta"], "support": odd}, "context": [3, {"title": None}]}
    assert [each.passage for each in datasets.musique([row])] == [""]


def test_other_paragraphs_are_cut_and_beside_it() -> None:
    made = [over_a_passage(SUMS, POOL, Random(seed)) for seed in range(40)]
    parts = [read.question.split("\n\n") for read in made if read]
    assert {len(part) for part in parts} == {2, 3}
    assert {part.index(next(p for p in part if p.startswith("word"))) for part in parts if len(part) == 3} == {0, 1}
    assert max(len(p.split()) for part in parts for p in part) == MOST_WORDS


@pytest.mark.parametrize("seed", range(3))
def test_rows_after_a_passage_are_as_valid_as_the_others(seed: int) -> None:
    random = Random(seed)
    rows = list(training_rows(templates.written(random, 400), random, POOL))
    after = [row for row in rows if "\n\n" in row["messages"][-1]["content"].partition("Asked so far")[0].strip()]
    assert 20 < len(after) < 200
    for row in after:
        if row["completion"].startswith("1 "):
            decode_lines(row["completion"])


def test_the_form_of_an_answer_tells_nothing_of_a_passage() -> None:
    random = Random(5)
    asked = [row["messages"][-1]["content"] for row in training_rows(templates.written(random, 3000), random, POOL)]
    hinted = [any(hint in text for hint in HINTS) for text in asked]
    after = [" word " in text or ": " in text.partition("\n\n")[0].removeprefix("Question: ") for text in asked]
    shares = [
        sum(hint for hint, passage in zip(hinted, after, strict=True) if passage is side) / after.count(side)
        for side in (True, False)
    ]
    assert min(shares) > 0.15
    assert max(shares) - min(shares) < 0.15
