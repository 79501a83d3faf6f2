"""The stages on a dozen rows: demonstrations, rows, training, and the adapter in the in-process model."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from anabranch.codecs import decode_lines
from anabranch.distill import datasets, pipeline
from anabranch.distill.batch import run_jobs
from anabranch.distill.records import read_jsonl, write_jsonl
from anabranch.errors import DocumentError
from tests.distill.rows import GSM8K, MUSIQUE, STRATEGYQA


def teacher(request: httpx.Request) -> httpx.Response:
    """Writes a sub-question for each step, and one quiz pair."""
    body: dict[str, Any] = json.loads(request.content)
    user = body["messages"][-1]["content"]
    steps = re.findall(r"^(\d+)\. (.*?) \|", user, re.MULTILINE)
    text = "\n".join(f"{number}. How many rolls are {expression}?" for number, expression in steps)
    reply = text or "Q: Who wrote of the river?\nA: Ada Quist\n"
    choice = {"message": {"content": reply}, "finish_reason": "stop"}
    return httpx.Response(200, json={"choices": [choice] * body.get("n", 1), "usage": {}})


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets, "GSM8K_TUNE", 2)

    async def served(*args: Any, **options: Any) -> Any:
        return await run_jobs(*args, **options, transport=httpx.MockTransport(teacher))

    monkeypatch.setattr(pipeline, "run_jobs", served)
    write_jsonl(tmp_path / pipeline.GSM8K, GSM8K)
    write_jsonl(tmp_path / pipeline.STRATEGYQA, STRATEGYQA)
    write_jsonl(tmp_path / pipeline.MUSIQUE, MUSIQUE)
    write_jsonl(tmp_path / pipeline.HOTPOTQA, [])
    return tmp_path


async def test_the_stages_write_rows(data: Path) -> None:
    work = data / "work"
    await pipeline.teach(data, work, url="http://x/v1", model="m", samples=2)
    counts = pipeline.build(data, work, written=20)
    assert counts["plans"] == 10
    assert counts["tune_plans"] == 2
    assert counts["skipped"] == {"no plan": 1, "a step refers forward or has brackets": 1}
    rows = list(read_jsonl(work / "decomposer_train.jsonl"))
    assert {row["source"] for row in rows} >= {"gsm8k", "musique"}
    tuned = {row["id"] for row in read_jsonl(work / "demonstrations.jsonl") if row["split"] == "tune"}
    assert tuned == {"row-10", "row-11"}
    assert not tuned & {row["id"] for row in rows}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\nnot json\n')
    with pytest.raises(DocumentError, match="line 2"):
        list(read_jsonl(path))


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
async def test_an_adapter_is_trained_and_plans(data: Path) -> None:
    from langchain_core.messages import HumanMessage, SystemMessage

    from anabranch.agents.local import LocalChatModel, prepare
    from anabranch.distill.train import Recipe, train

    work = data / "work"
    await pipeline.teach(data, work, url="http://x/v1", model="m", samples=1)
    pipeline.build(data, work, written=4)
    short = [row for row in read_jsonl(work / "decomposer_train.jsonl") if len(str(row)) < 900][:12]
    write_jsonl(work / "few.jsonl", short)
    write_jsonl(work / "held_out.jsonl", short[:2])
    recipe = Recipe(base="HuggingFaceTB/SmolLM2-135M-Instruct", batch_tokens=1024, rank=4, evaluations=1, seed=1)
    model = prepare(None)
    out = train(model, work / "few.jsonl", work / "held_out.jsonl", work / "adapter", recipe)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["rows"] == len(short)
    assert train(model, work / "few.jsonl", work / "held_out.jsonl", out, recipe) == out  # nothing is left to do
    system, user = (message["content"] for message in short[0]["messages"])
    pattern = "(1 \\[solve\\] [A-Za-z ]{1,30}|DIRECT)"
    reply = LocalChatModel(adapter=out).invoke(
        [SystemMessage(system), HumanMessage(user)], pattern=pattern, max_tokens=30
    )
    decode_lines(str(reply.text))
