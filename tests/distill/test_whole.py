"""The whole pipeline by its commands: embedded models as teacher, student and solver, on the shipped rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from anabranch.batch.files import read_jsonl
from anabranch.cli import app
from anabranch.codecs import decode_lines
from tests.distill.test_pipeline import SAMPLE

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


def run(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["distill", *map(str, arguments)])
    assert result.exit_code == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return made


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_the_whole_pipeline_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, screened = tmp_path / "work", tmp_path / "work" / "screened"
    shown = run("demonstrate", "--data", SAMPLE, "--work", work, "--teacher", "local", "--samples", 1, "--limit", 3)
    assert shown["teachers"] == ["local"]
    assert shown["plans"] >= 6  # a person's plan for each question, and what the teacher wrote in form
    assert shown["took"]["plans-local"]["output_tokens"] > 0

    built = run("build", "--data", SAMPLE, "--work", work, "--limit", 3, "--written", 4)
    assert built["decomposer_train"] > 10

    questions = SAMPLE / "gsm8k_main_train.jsonl"
    tried = ("--questions", questions, "--plans", work / "plans.jsonl", "--work", screened, "--solver", "local")
    sorted_ = run("screen", *tried, "--alone", 1, "--max-tokens", 60, "--held-out", 0.3, "--pairs", 1)
    assert sorted_["results"]["ok"] > 0
    assert sorted_["rows"]["sd_r"] > 0
    assert sorted_["rows"]["sd_r_tune"] > 0
    assert sorted_["rows"]["pairs"] > 0
    assert sorted_["rows"]["pairs_tune"] > 0

    rows = ("--rows", screened / "sd_r.jsonl", "--held-out", screened / "sd_r_tune.jsonl")
    few = ("--batch-tokens", 1024, "--evaluations", 1, "--quiet")
    trained = run("train", *rows, "--out", work / "sft", "--rank", 4, *few)
    assert trained["stopped"] == "done"
    assert trained["prompts"] == shown["prompts"] == built["prompts"] == sorted_["prompts"]
    assert trained["train"]["rows"] == sorted_["rows"]["sd_r"]

    pairs = ("--pairs", screened / "pairs.jsonl", "--held-out", screened / "pairs_tune.jsonl")
    preferred = run("prefer", "--adapter", work / "sft", *pairs, "--out", work / "dpo", *few)
    assert preferred["losses"][-1]["margin"] > 0
    assert preferred["rank"] == 4

    exported = run("export", "--adapter", work / "dpo", "--out", work / "merged")
    assert exported["bytes"]["model.safetensors"] > 200e6
    monkeypatch.setenv("ANABRANCH_LOCAL_ADAPTER", str(work / "dpo"))
    question = next(read_jsonl(questions))["question"]
    plan = CliRunner().invoke(app, ["plan", question, "--quiet"])
    assert plan.exit_code == 0, plan.stderr
    assert decode_lines(plan.stdout.strip()).sub_questions or plan.stdout.strip() == "DIRECT"
