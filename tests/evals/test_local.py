"""One question on the embedded pair, from the models to the report."""

from pathlib import Path

import pytest

from anabranch.evals.options import EvalOptions
from anabranch.evals.records import RunFolder
from anabranch.evals.report import write_report
from anabranch.evals.run import go, prepare
from anabranch.evals.summary import summarize
from anabranch.tools import calculator
from tests.evals.rows import ROWS, write


@pytest.mark.model
async def test_the_embedded_pair(tmp_path: Path) -> None:
    data = write(tmp_path / "q.jsonl", ROWS[:1])
    setup = EvalOptions(out=tmp_path / "run", task="gsm8k", data=data, system=("cot", "static"), max_tokens=64)
    progress = await go(prepare(setup, [calculator()], progress=print), lambda _progress: None)
    assert (progress.done, progress.failed) == (2, 0)
    summary = summarize(RunFolder(setup.out))
    cot, static = summary.systems
    assert static.system.decomposer is not None
    assert "decomposer-135m@" in static.system.decomposer
    assert (cot.decomposing.calls, static.decomposing.calls) == (0, 1)
    assert static.usd_each == 0
    assert static.seconds is not None
    assert "| static | 1 |" in write_report(summary, setup.out)
