"""Our trainer and TRL's on a tiny model: both learn from the same rows, and are measured alike."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from anabranch.agents.local import prepare
from anabranch.batch.files import write_jsonl
from tests.distill.tiny import messages, plan_rows, tiny_model

pytest.importorskip("trl")
from benchmarks.training import compare, prepared, quality

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]


def pairs(path: Path, count: int) -> Path:
    better, worse = "1 [calculator] How many are {}?", "1 [solve] Are there {} or so, would you say?"
    rows = ({"messages": messages(n), "chosen": better.format(n), "rejected": worse.format(n)} for n in range(count))
    write_jsonl(path, rows)
    return path


@pytest.mark.parametrize(("stage", "rows"), [("sft", plan_rows), ("dpo", pairs)])
def test_both_learn_and_are_measured_alike(tmp_path: Path, stage: str, rows: Any) -> None:
    arguments = argparse.Namespace(
        stage=stage,
        model=tiny_model(tmp_path / "tiny", prepare(None)),
        rows=rows(tmp_path / "train.jsonl", 16),
        held_out=rows(tmp_path / "test.jsonl", 4),
        adapter=None,
        count=16,
        held_out_count=4,
        batch_tokens=512,
    )
    task, tests = prepared(arguments, tmp_path)
    before = loss(quality(task, task.start, tests))
    best = compare(task, tests, tmp_path, 1)
    assert min(best.values()) > 0
    after = [loss(quality(task, tmp_path / f"{who}0", tests)) for who in best]
    assert max(after) < before
    assert abs(after[0] - after[1]) < (before - min(after)) / 2


def loss(told: str) -> float:
    return float(told.removeprefix("held-out loss ").partition(",")[0])
