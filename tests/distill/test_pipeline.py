"""The stages before training, on a dozen rows: teachers' plans, people's plans, rows; and what is wrong with data."""

import gzip
import re
import shutil
import sys
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from anabranch.batch.files import read_jsonl, read_rows, write_jsonl
from anabranch.codecs import decode_lines
from anabranch.distill import pipeline, sources
from anabranch.distill.demonstrate import demonstrate
from anabranch.distill.options import BuildOptions, DemonstrateOptions
from anabranch.errors import BackendError, ConfigurationError, DocumentError, EndpointError, MissingReplyError
from tests.distill.rows import GSM8K, MUSIQUE, STRATEGYQA
from tests.fakes import ScriptedChatModel
from tests.openai_server import prompt_of

SAMPLE = Path(__file__).parents[2] / "distill_data" / "sample"


def teacher(prompt: str) -> str:
    """Writes a sub-question for each step, and one quiz pair."""
    steps = re.findall(r"^(\d+)\. (.*?) \|", prompt.rpartition("Problem:")[2], re.MULTILINE)
    text = "\n".join(f"{number}. How many rolls are {expression}?" for number, expression in steps)
    return text if steps else "Q: Who wrote of the river?\nA: Ada Quist\n"


def other_teacher(prompt: str) -> str:
    return teacher(prompt).replace("How many rolls", "What number of rolls")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / sources.GSM8K, GSM8K * 2)
    write_jsonl(tmp_path / sources.STRATEGYQA, STRATEGYQA)
    write_jsonl(tmp_path / sources.MUSIQUE, MUSIQUE)
    write_jsonl(tmp_path / sources.HOTPOTQA, [])
    return tmp_path


async def taught(data: Path, *models: Any, **more: Any) -> dict[str, Any]:
    teachers = models or (ScriptedChatModel(script=teacher),)
    return await demonstrate(DemonstrateOptions(data=data, work=data / "work", teacher=teachers, samples=2, **more))


def build(data: Path, work: Path, **more: Any) -> dict[str, Any]:
    return pipeline.build(BuildOptions(data=data, work=work, **more))


async def test_a_plan_that_asks_twice_is_not_taught(data: Path) -> None:
    chat = ScriptedChatModel(
        script=lambda prompt: re.sub(r"rolls are (.*?)\?", r"rolls are there, given \1?", teacher(prompt))
    )
    await taught(data, chat)
    built = build(data, data / "work", written=20)
    assert (built["plans"], built["tune_plans"]) == (0, 0)
    assert built["teacher_faults"]["a sub-question is asked again"] == 24


async def test_the_stages_write_rows(data: Path) -> None:
    work = data / "work"
    made = await taught(data, price="1,1")
    assert made["questions_with_plans"] == 12
    assert made["took"]["quiz"]["usd"] > 0
    built = build(data, work, written=20)
    assert (built["plans"], built["tune_plans"]) == (22, 2)
    assert {reason: entry["rows"] for reason, entry in built["left_out"].items()} == {
        "no plan": 1,
        "a step refers forward or has brackets": 1,
    }
    rows = list(read_jsonl(work / "decomposer_train.jsonl"))
    assert {row["source"] for row in rows} >= {"gsm8k", "musique", "strategyqa"}
    tuned = [row["id"] for row in read_jsonl(work / "demonstrations.jsonl") if row["split"] == "tune"]
    assert tuned == ["row-10", "row-11"]
    assert built["prompts"] == made["prompts"]
    assert built["inputs"][sources.GSM8K] == made["inputs"][sources.GSM8K]


async def test_sources_can_be_left_out_of_what_a_decomposer_learns(data: Path) -> None:
    await taught(data)
    work = data / "work"

    def sources_of(name: str) -> set[str]:
        return {row["source"] for row in read_jsonl(work / f"{name}.jsonl")}

    built = build(data, work, written=60, leave_out=("strategyqa", "musique", "written_other"))
    assert sources_of("decomposer_train") == {"gsm8k", "written_sum"}
    assert sources_of("decomposer_tune") <= {"gsm8k", "written_sum"}
    assert built["without"] == ["musique", "strategyqa", "written_other"]
    tested = list(read_jsonl(work / "routes_test.jsonl"))
    build(data, work, written=60, leave_out=("gsm8k", "written_sum"))
    assert sources_of("decomposer_train") > {"strategyqa", "musique", "written_chain"}
    assert not sources_of("decomposer_train") & {"gsm8k", "written_sum"}
    assert list(read_jsonl(work / "routes_test.jsonl")) == tested
    with pytest.raises(ConfigurationError, match="unknown source 'maths'"):
        build(data, work, leave_out=("maths",))


async def test_plans_over_databases_are_included_where_they_are_asked_for(data: Path) -> None:
    await taught(data)
    work = data / "work"
    build(data, work, written=20)
    before = list(read_jsonl(work / "decomposer_train.jsonl"))
    plan = ["return states", "return #1 that border ohio"]
    write_jsonl(data / sources.QDMR, [{"id": "q", "split": "train", "question": "Which?", "sub_questions": plan}])
    assert "qdmr" not in build(data, work, written=20)
    built = build(data, work, written=20, include=("qdmr",))
    assert built["qdmr"] == 1
    assert sources.QDMR in built["inputs"]
    rows = list(read_jsonl(work / "decomposer_train.jsonl"))
    assert rows[: len(before)] == before
    assert [row["source"] for row in rows[len(before) :]] == ["qdmr"] * pipeline.PASSES
    with pytest.raises(ConfigurationError, match="unknown source 'sql' to include"):
        build(data, work, include=("sql",))


async def test_several_teachers_and_people_are_mixed(data: Path) -> None:
    write_jsonl(data / sources.GSM8K, [{**GSM8K[0], "sub_questions": ["How many are made?", "How many of #1 stay?"]}])
    two = ScriptedChatModel(script=other_teacher)
    object.__setattr__(two, "model_name", "second/teacher")
    made = await taught(data, ScriptedChatModel(script=teacher), two)
    assert made["teachers"] == ["scripted", "second/teacher"]
    assert set(made["took"]) == {"plans-scripted", "plans-second-teacher", "quiz", "chat"}
    plans = list(read_jsonl(data / "work" / "plans.jsonl"))
    assert {plan["source"] for plan in plans} >= {"repaired", "second-teacher", "human"}
    human = next(plan["plan"] for plan in plans if plan["source"] == "human")
    assert decode_lines(human).sub_questions[1].text == "How many of {1} stay?"
    assert len({plan["plan"] for plan in plans}) == len(plans)
    assert [plan["sample"] for plan in plans] == list(range(len(plans)))


async def test_a_teacher_that_stops_half_way_is_gone_on_with(data: Path) -> None:
    calls = 0

    def failing(prompt: str) -> Any:
        nonlocal calls
        calls += 1
        return TimeoutError("no answer in time") if calls > 18 else teacher(prompt)

    with pytest.raises(EndpointError, match="no answer in time"):
        await taught(data, ScriptedChatModel(script=failing))
    kept = list(read_jsonl(data / "work" / "teacher_plans-scripted.jsonl"))
    again = ScriptedChatModel(script=teacher)
    await taught(data, again)
    replies = list(read_jsonl(data / "work" / "teacher_plans-scripted.jsonl"))
    assert 0 < len(kept) < 12
    assert replies[: len(kept)] == kept
    assert len({row["id"] for row in replies}) == 12
    fresh = ScriptedChatModel(script=teacher)
    await taught(data, fresh)
    assert fresh.prompts == []


async def test_a_teacher_elsewhere_gets_a_file_of_prompts(data: Path) -> None:
    work, replies, asked = data / "work", data / "replies.jsonl", ScriptedChatModel(script=teacher)
    made = await taught(data, asked)
    plans = (work / "plans.jsonl").read_text()
    shutil.rmtree(work)
    sent = await taught(data, "batch:scripted")
    rows = list(read_jsonl(work / "teacher_requests.jsonl"))
    assert sent == {"requests": len(rows)}
    assert sum(row["body"].get("n", 1) for row in rows) == len(asked.prompts)
    texts = [teacher(prompt_of(row["body"])) for row in rows]
    write_jsonl(replies, ({"id": row["custom_id"], "texts": [text] * 2} for row, text in zip(rows, texts, strict=True)))
    there = await taught(data, "batch:scripted", replies=replies)
    assert there["teachers"] == made["teachers"]
    assert there["took"].keys() == made["took"].keys()
    assert (work / "plans.jsonl").read_text() == plans
    write_jsonl(replies, [])
    with pytest.raises(MissingReplyError, match="lacks 24 of 24 replies"):
        await taught(data, "batch:other", replies=replies)
    with pytest.raises(ConfigurationError, match="a teacher by itself"):
        await taught(data, "batch:scripted", "local")


async def test_malformed_rows_are_listed_and_survived(data: Path) -> None:
    bad: list[Any] = [
        {"id": "a", "question": 5, "answer": "1"},
        {"id": "b", "question": "What?", "answer": "1", "meta": "none"},
        {"id": "c", "question": "What?", "answer": "1", "meta": {"steps": [3, None]}},
        {"question": "Nobody's?", "answer": "1"},
    ]
    write_jsonl(data / sources.GSM8K, [*GSM8K, *bad])
    (data / sources.GSM8K).write_text((data / sources.GSM8K).read_text() + "{broken\n[1, 2]\n")
    write_jsonl(data / sources.STRATEGYQA, [*STRATEGYQA, {"id": "s", "question": "Q?", "sub_questions": [1, 2]}])
    write_jsonl(data / sources.MUSIQUE, [*MUSIQUE, {**MUSIQUE[0], "context": ["x"], "meta": {"support": ["y"]}}])
    (data / sources.HOTPOTQA).unlink()
    made = await taught(data)
    assert made["left_out"]["not a JSON object"] == {"rows": 2, "first": [f"{sources.GSM8K}:17", f"{sources.GSM8K}:18"]}
    assert made["left_out"]["no valid question"]["first"] == [f"{sources.GSM8K}:13"]
    assert made["left_out"]["no valid id"]["rows"] == 1
    assert made["left_out"]["a solution that does not lead to its answer"]["first"] == ["b", "c"]
    assert made["left_out"]["a data set that is not there"]["first"] == [sources.HOTPOTQA]
    built = build(data, data / "work", written=4)
    assert built["left_out"]["no plan"]["first"] == ["s-2", "s"]
    assert built["musique"] == 1


async def test_no_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="holds none of"):
        await taught(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\nnot json\n')
    with pytest.raises(DocumentError, match="line 2"):
        list(read_jsonl(path))
    with pytest.raises(BackendError, match="cannot write"):
        write_jsonl(path / "below" / "a file", [])


def test_the_shipped_sample_can_be_used_whole() -> None:
    from anabranch.distill.datasets import Skipped, musique, musique_readings, solved, strategyqa

    skipped = Skipped()
    found = sources.Sources(SAMPLE)
    rows = list(solved(found.rows(sources.GSM8K), skipped=skipped))
    assert len(rows) == 32
    assert {split for *_, split in rows} == {"train", "tune"}
    assert all(len(row["sub_questions"]) == len(steps) for row, steps, _ in rows)
    assert len(list(strategyqa(found.rows(sources.STRATEGYQA), skipped))) == 6
    chains = found.rows(sources.MUSIQUE)
    assert len(list(musique(chains, skipped))) == 3
    assert sum(len(list(musique_readings(row))) for row in chains) == 6
    assert len(found.passages()) == 10
    assert skipped.reasons == {}


@pytest.mark.parametrize("source", [sources.GSM8K, sources.STRATEGYQA, sources.MUSIQUE])
async def test_a_row_passes_each_module_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """The modules whose functions take a row, or hand it on, in order; and how often the data sets are read."""
    data = Path(shutil.copytree(SAMPLE, tmp_path / "sample"))
    await taught(data)
    monkeypatch.setattr(pipeline, "PASSES", 1)
    id_ = str(list(read_jsonl(data / source))[-1]["id"])
    way, opened = list[str](), list[str]()

    def noted(path: Path, *more: Any) -> Any:
        opened.append(path.name)
        return read_rows(path, *more)

    monkeypatch.setattr("anabranch.distill.sources.read_rows", noted)

    def is_it(value: Any) -> bool:
        parts = value if isinstance(value, tuple) else [value]
        ids = (each.get("id") if isinstance(each, dict) else getattr(each, "id", None) for each in parts)
        return any(str(found).partition("/")[0] == id_ for found in ids)

    def follow(frame: FrameType, event: str, value: Any) -> None:
        module, code = frame.f_globals.get("__name__", ""), frame.f_code
        if not module.startswith("anabranch."):
            return
        taken = [frame.f_locals[name] for name in code.co_varnames[: code.co_argcount]] if event == "call" else [value]
        if any(map(is_it, taken)):
            way.append(module)

    sys.setprofile(follow)
    try:
        build(data, data / "work", written=0)
    finally:
        sys.setprofile(None)
    passed = [module for module, _ in groupby(way)]
    assert 3 <= len(passed) <= 8
    assert len(passed) == len(set(passed)), passed
    assert sorted(opened) == sorted(sources.NAMES)


@pytest.mark.parametrize("name", ["plans.jsonl", "plans.jsonl.gz"])
async def test_an_earlier_builds_plans_stand_in_for_a_teacher(data: Path, tmp_path: Path, name: str) -> None:
    await taught(data)
    first = build(data, data / "work", written=20)
    kept = (data / "work" / "demonstrations.jsonl").read_bytes()
    path, again = tmp_path / name, tmp_path / "again"
    broken = b'{"id": "row-1", "steps": [3]}\n{"id": 4}\n'
    path.write_bytes(gzip.compress(kept + broken) if name.endswith("gz") else kept + broken)
    second = build(data, again, written=20, plans=path)
    assert second["plans"] == first["plans"] > 0
    assert (again / "demonstrations.jsonl").read_bytes() == kept
    rows = [(work / "decomposer_train.jsonl").read_bytes() for work in (data / "work", again)]
    assert rows[0] == rows[1]
    assert second["left_out"]["a given plan whose steps are no texts"]["rows"] == 1
    assert second["left_out"]["no valid steps"]["rows"] == 1
    assert name in second["inputs"]


def test_given_plans_that_are_cut_off_say_so(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}" * 1000)[:-9])
    with pytest.raises(DocumentError, match="cannot be read"):
        build(data, tmp_path / "work", written=20, plans=path)
