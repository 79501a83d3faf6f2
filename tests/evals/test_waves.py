"""A run in batches, from its first prompts to the report; and a run that is joined, resumed or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.store import ReplyStore, Taken, take_in
from anabranch.errors import ConfigurationError, DocumentError, MissingReplyError
from anabranch.evals.engine import Progress
from anabranch.evals.options import EvalOptions
from anabranch.evals.records import RunFolder
from anabranch.evals.run import Prepared, check, go, prepare
from anabranch.evals.summary import summarize
from anabranch.tools import calculator
from tests.evals.rows import ROWS, replying, write
from tests.openai_server import prompt_of

SYSTEMS = ("direct", "cot", "cot:3", "program", "two-stage", "static:guided", "static:per_node", "dynamic", "human")


def setup(tmp_path: Path, **more: Any) -> EvalOptions:
    options: dict[str, Any] = {
        "out": tmp_path / "run",
        "task": "gsm8k",
        "data": write(tmp_path / "q.jsonl"),
        "system": SYSTEMS,
        "solver": ("batch:solver",),
        "decomposer": ("lines:batch:planner",),
    }
    return EvalOptions(**(options | more))


def ready(options: EvalOptions) -> Prepared:
    return prepare(options, [calculator()], progress=lambda _line: None)


async def wave(options: EvalOptions) -> Progress:
    return await go(ready(options), lambda _progress: None)


def answer(folder: Path, number: int, reply: Any = None) -> Path:
    """Answers a run's requests as a server would."""
    lines = []
    for line in (folder / "requests.jsonl").read_text().splitlines():
        request = json.loads(line)
        text = (reply or replying())(prompt_of(request["body"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        body = {"model": request["body"]["model"], "choices": [choice], "usage": usage}
        lines.append({"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None})
    path = folder / f"replies{number}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def take(folder: Path, *files: Path) -> Taken:
    store = ReplyStore(folder / "cache.sqlite")
    try:
        return take_in(store, RunFolder(folder).requests, files)
    finally:
        store.close()


async def test_a_run_in_waves_ends_with_all_answers(tmp_path: Path) -> None:
    options, waves = setup(tmp_path), []
    for number in range(1, 9):
        progress = await wave(options)
        waves.append((progress.done, progress.waiting))
        if not progress.waiting:
            break
        assert len(set((options.out / "requests.jsonl").read_text().splitlines())) > 0
        assert take(options.out, answer(options.out, number)).missing == 0
    assert waves[0] == (1, 26)  # the question without human sub-questions is recorded as that at once
    assert len(waves) == 5
    assert not (options.out / "requests.jsonl").exists()
    summary = summarize(RunFolder(options.out))
    rows = {system.system.name: system for system in summary.systems}
    assert all(row.n == 3 and row.seconds is None for row in rows.values())
    assert {name: row.metrics["em"].value for name, row in rows.items()} == {
        **dict.fromkeys(SYSTEMS, 100.0),
        "human": pytest.approx(200 / 3),
    }
    assert rows["human"].flags == {"error": 1}
    assert (rows["cot:3"].solving.calls, rows["cot"].solving.calls) == (9, 3)
    assert rows["static:guided"].decomposing.input == 30
    assert rows["cot"].money.solving is None
    assert summary.baseline == "cot (solver solver)"


async def test_requests_are_openais_batch_format(tmp_path: Path) -> None:
    options = setup(tmp_path, system=("static:guided",), max_tokens=77)
    await wave(options)
    rows = [json.loads(line) for line in (options.out / "requests.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert all(set(row) == {"custom_id", "method", "url", "body"} for row in rows)
    assert rows[0]["url"] == "/v1/chat/completions"
    body = rows[0]["body"]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("planner", 0, 320)
    assert "structured_outputs" not in body
    assert body.pop("stop") == ["\n9 ["]
    take(options.out, answer(options.out, 1, lambda _prompt: "I would rather not."))
    await wave(options)
    again = [json.loads(line)["body"] for line in (options.out / "requests.jsonl").read_text().splitlines()]
    assert [row["structured_outputs"]["regex"][:10] for row in again] == ["(DIRECT|1 "] * 3
    assert again[0] == body | {"structured_outputs": again[0]["structured_outputs"]}


async def test_replies_that_are_none_are_told(tmp_path: Path) -> None:
    options = setup(tmp_path, system=("cot",))
    await wave(options)
    path = answer(options.out, 1)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["response"] = {"status_code": 400, "body": {"error": {"message": "too long"}}}
    rows[1]["response"] = {"status_code": 500, "body": {"error": {"message": "no memory"}}}
    rows[2]["response"]["body"]["choices"][0]["message"] = {"role": "assistant", "content": None}
    extra = {**rows[2], "custom_id": "another"}
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[2], extra]))
    taken = take(options.out, path)
    assert (taken.new, taken.refused, taken.known, taken.unasked, taken.missing) == (1, 1, 1, 1, 1)
    assert [problem.split(": ")[1] for problem in taken.problems] == ["no reply (400)", "no reply (500)"]
    assert taken.line() == (
        "1 replies taken in, 1 requests still without one, 1 known before, 1 refused by the server, 1 not asked for"
    )
    progress = await wave(options)
    assert (progress.done, progress.waiting, progress.failed) == (2, 1, 1)
    flags = [dict(row.flags) for row in summarize(RunFolder(options.out)).systems]
    assert flags == [{"error": 1, "unwell": 1, "empty": 1}]
    with pytest.raises(DocumentError, match="not a JSON object"):
        take(options.out, write(tmp_path / "bad", []), _file(tmp_path / "worse", "[]\n"))


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def test_what_is_recorded_is_not_done_again(tmp_path: Path) -> None:
    options = setup(tmp_path, system=("cot",))
    await wave(options)
    take(options.out, answer(options.out, 1))
    assert (await wave(options)).done == 3
    records = options.out / "records.jsonl"
    whole = records.read_bytes()
    records.write_bytes(whole[:-20])  # killed in the middle of a line
    assert (await wave(options)).done == 1
    assert records.read_bytes() == whole
    assert (await wave(options)).total == 0


async def test_systems_are_added_to_a_run_and_other_data_is_refused(tmp_path: Path) -> None:
    await wave(setup(tmp_path, system=("cot",), limit=2))
    assert len(RunFolder(tmp_path / "run").examples()) == 2
    await wave(setup(tmp_path, system=("direct",)))
    manifest = RunFolder(tmp_path / "run").manifest()
    assert [system.name for system in manifest.systems] == ["cot", "direct"]
    assert manifest.versions["prompts"]
    with pytest.raises(ConfigurationError, match="another data_hash; name another --out"):
        ready(setup(tmp_path, data=write(tmp_path / "other.jsonl", ROWS[:1])))
    with pytest.raises(ConfigurationError, match="another task"):
        ready(setup(tmp_path, task="own"))
    (tmp_path / "run" / "manifest.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="not one of ours"):
        ready(setup(tmp_path))


async def test_settings_are_part_of_what_is_resumed(tmp_path: Path) -> None:
    options = setup(tmp_path, system=("cot",))
    await wave(options)
    take(options.out, answer(options.out, 1))
    await wave(options)
    progress = await wave(setup(tmp_path, system=("cot",), max_tokens=5))
    assert (progress.total, progress.waiting) == (3, 3)


def test_what_cannot_be_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("limit", "concurrency", "max_tokens", "max_sub_questions"):
        with pytest.raises(ConfigurationError, match=f"{name} is 0"):
            setup(tmp_path, **{name: 0}).check()
    with pytest.raises(ConfigurationError, match="unknown system 'guess'"):
        check(setup(tmp_path, system=("guess",)))
    with pytest.raises(ConfigurationError, match="holds no run"):
        summarize(RunFolder(tmp_path / "nowhere"))


async def test_a_missing_reply_is_no_failed_sub_question(tmp_path: Path) -> None:
    """It stops the question, after the other sub-questions of its wave have noted their prompts too."""
    options = setup(tmp_path, system=("static:per_node",), limit=1)
    await wave(options)
    two = "1 [solve] How many?\n2 [solve] How many less?"
    take(options.out, answer(options.out, 1, lambda _prompt: two))
    progress = await wave(options)
    assert (progress.done, progress.waiting) == (0, 1)
    assert len((options.out / "requests.jsonl").read_text().splitlines()) == 2
    assert issubclass(MissingReplyError, Exception)
