"""Where data sets come from: a folder, files of one's own, the hub."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.files import read_jsonl
from anabranch.distill import datasets, pipeline
from anabranch.distill.demonstrate import demonstrate
from anabranch.distill.options import BuildOptions, DemonstrateOptions
from anabranch.distill.sources import GSM8K, MUSIQUE, Sources
from anabranch.errors import AnabranchError, ConfigurationError, DocumentError
from tests.batch.test_hub import provide
from tests.distill.test_pipeline import SAMPLE, teacher
from tests.fakes import ScriptedChatModel

HUB = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips altogether.\n#### 72"


async def test_one_file_of_ones_own_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLE / GSM8K, tmp_path / "mine.jsonl")
    own, work = ("gsm8k=mine.jsonl",), tmp_path / "work"
    asked = DemonstrateOptions(source=own, work=work, teacher=(ScriptedChatModel(script=teacher),), samples=1)
    made = await demonstrate(asked)
    built = pipeline.build(BuildOptions(source=own, work=work, written=20))
    assert made["questions_with_plans"] == built["plans"] + built["tune_plans"] > 0
    assert list(built["inputs"]) == [GSM8K]
    assert built["decomposer_train"] > 60
    prompts = [row["messages"][-1]["content"] for row in read_jsonl(work / "decomposer_train.jsonl")]
    assert any("A baker has 12 trays of 24 rolls each" in prompt for prompt in prompts)


def test_a_file_of_ones_own_stands_in_for_that_of_the_folder(tmp_path: Path) -> None:
    shutil.copy(SAMPLE / MUSIQUE, tmp_path / "chains.jsonl")
    found = Sources(SAMPLE, [f"musique={tmp_path / 'chains.jsonl'}"])
    assert found.inputs == Sources(SAMPLE).inputs
    assert found.paths[MUSIQUE] == tmp_path / "chains.jsonl"
    assert found.rows(GSM8K)


def test_data_sets_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = provide(monkeypatch, [{"question": "How many clips did Natalia sell altogether?", "answer": HUB}] * 2)
    rows = Sources(tmp_path, ["gsm8k=hub"], tmp_path / "work").rows(GSM8K)
    assert asked == [("openai/gsm8k", "main", {"split": "train", "revision": "c0ffee"})]
    assert [row["id"] for row in rows] == ["gsm8k_train_0", "gsm8k_train_1"], "as the plans in distill_data"
    assert [step.expression for step in datasets.calculations(rows[0]) or []] == ["48 / 2", "48 + {1}"]
    steps = [
        {"question": "Who founded Craigslist?", "answer": "Craig Newmark", "paragraph_support_idx": 0},
        {"question": "When was #1 born?", "answer": "1952", "paragraph_support_idx": None},
    ]
    paragraph = {"title": "A", "paragraph_text": "Craig Newmark founded it.", "is_supporting": True}
    about: dict[str, Any] = {
        "id": "m",
        "question": "When was its founder born?",
        "answer": "1952",
        "answer_aliases": [],
    }
    provide(monkeypatch, [{**about, "paragraphs": [paragraph], "question_decomposition": steps}])
    chains = Sources(tmp_path, ["musique=hub"], tmp_path / "work").rows(MUSIQUE)
    (plan,) = datasets.musique(chains)
    assert [(step.text, step.answer) for step in plan.steps] == [
        ("Who founded Craigslist?", "Craig Newmark"),
        ("When was {1} born?", "1952"),
    ]
    assert plan.passage == "A: Craig Newmark founded it."


@pytest.mark.parametrize(
    ("own", "kind", "message"),
    [
        ("mine.jsonl", ConfigurationError, "'mine.jsonl' is not NAME=FILE with one of these names: gsm8k, strategyqa"),
        ("gsm8k=", ConfigurationError, "is not NAME=FILE"),
        ("gsm8k=gone.jsonl", DocumentError, "gone.jsonl cannot be read: there is no such file; check --source"),
        (
            "hotpotqa=hub",
            ConfigurationError,
            "only gsm8k and musique come from the hub; give a file",
        ),
    ],
)
def test_what_is_no_data_set(own: str, kind: type[AnabranchError], message: str) -> None:
    with pytest.raises(kind, match=message):
        Sources(SAMPLE, [own])
