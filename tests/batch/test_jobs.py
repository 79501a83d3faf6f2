"""Many prompts at once: resumed, kept when a model fails half-way, and by way of a file."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from anabranch.batch import chat
from anabranch.batch.chat import Server
from anabranch.batch.files import read_jsonl
from anabranch.batch.jobs import (
    MAX_FAILURES_IN_A_ROW,
    Job,
    Replies,
    Sampling,
    Streak,
    each,
    is_unwell,
    read_replies,
    run_jobs,
    write_jobs,
)
from anabranch.config import Price
from anabranch.errors import BackendError, ConfigurationError, EndpointError, MissingReplyError, StorageError
from tests.fakes import ScriptedChatModel
from tests.openai_server import OpenAIServer, prompt_of

JOBS = [Job(id=str(n), messages=[{"role": "user", "content": str(n)}], pattern="x") for n in range(3)]
GREEDY = Sampling()


def transport(asked: list[str], *, fail: str = "") -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = json.loads(request.content)
        text = body["messages"][0]["content"]
        asked.append(text)
        assert body["structured_outputs"] == {"regex": "x"}
        if text == fail:
            return httpx.Response(400, text="no")
        choice = {"message": {"content": f"re {text}"}, "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice], "usage": {"completion_tokens": 2}})

    return httpx.MockTransport(answer)


async def sent(jobs: list[Job], out: Path, asked: list[str], *, fail: str = "", **how: Any) -> list[Replies]:
    async with Server("http://x/v1", "m", transport=transport(asked, fail=fail)) as server:
        return await run_jobs(jobs, out, server, Sampling(**how))


async def test_a_stopped_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    out, asked = tmp_path / "replies.jsonl", list[str]()
    await sent(JOBS[:2], out, asked)
    with out.open("a") as sink:
        sink.write('{"id": "2", "te')  # killed in the middle of a line
    replies = await sent(JOBS, out, asked)
    assert [reply.texts for reply in replies] == [["re 0"], ["re 1"], ["re 2"]]
    assert sorted(asked) == ["0", "1", "2"]
    assert [row["id"] for row in read_jsonl(out)] == ["0", "1", "2"]  # the half line is gone
    out.write_text(out.read_text().rstrip("\n"))
    more = JOBS[2].model_copy(update={"id": "3"})
    await sent([*JOBS, more], out, asked)
    assert [row["id"] for row in read_jsonl(out)] == ["0", "1", "2", "3"]
    assert len(asked) == 4


async def test_a_changed_prompt_or_sampling_is_asked_again(tmp_path: Path) -> None:
    out, asked = tmp_path / "replies.jsonl", list[str]()
    await sent(JOBS, out, asked)
    changed = [JOBS[0], JOBS[1].model_copy(update={"messages": [{"role": "user", "content": "new"}]}), JOBS[2]]
    replies = await sent(changed, out, asked)
    assert asked[3:] == ["new"]
    assert replies[1].texts == ["re new"]
    await sent(changed, out, asked, temperature=0.5)
    assert len(asked) == 7


async def test_another_models_replies_are_not_taken(tmp_path: Path) -> None:
    one, two = (ScriptedChatModel(script=lambda _, name=name: name) for name in ("one", "two"))
    object.__setattr__(two, "model_name", "two")
    for model, text in ((one, "one"), (two, "two"), (two, "two")):
        replies = await chat.answered(JOBS, tmp_path / "r.jsonl", model, role="solver", sampling=GREEDY)
        assert [reply.texts for reply in replies] == [[text]] * 3
    assert len(two.prompts) == 3


async def test_a_refusal_names_the_prompt_and_keeps_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "replies.jsonl"
    with pytest.raises(EndpointError, match="prompt 1 failed"):
        await sent(JOBS, out, [], fail="1")
    assert {row["id"] for row in read_jsonl(out)} == {"0", "2"}  # they were under way, and are paid for


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        await sent(JOBS, tmp_path / "file" / "replies.jsonl", [])


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk's end; the stage runs in a process of its own."""
    script = """
import asyncio, sys
from pathlib import Path
from anabranch.batch.jobs import Job, Replies, Sampling, run_jobs
jobs = [Job(id=str(n), messages=[{"role": "user", "content": "q" * 9}]) for n in range(200)]
async def ask(job, sampling):
    await asyncio.sleep(0)
    return Replies(id=job.id, texts=["x" * 100], finished=[True])
try:
    asyncio.run(run_jobs(jobs, Path(sys.argv[1]), ask, Sampling(), concurrency=4))
except Exception as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "replies.jsonl")]
    limited = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert limited.stdout.startswith(f"StorageError {tmp_path}")
    assert "make room and run the same command again" in limited.stdout
    before = (tmp_path / "replies.jsonl").read_text().count("\n")
    assert 5 < before < 200
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    ids = set()
    for line in (tmp_path / "replies.jsonl").read_text().splitlines():
        try:
            ids.add(json.loads(line)["id"])
        except ValueError:
            continue  # the line that the disk cut
    assert len(ids) == 200


async def test_any_chat_model_gives_samples(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=lambda prompt: f"re {prompt[-1]}")
    how = Sampling(n=2, temperature=0.7, seed=5, top_p=0.9)
    replies = await chat.answered(JOBS, tmp_path / "r.jsonl", model, role="solver", sampling=how)
    assert [reply.texts for reply in replies] == [["re 0"] * 2, ["re 1"] * 2, ["re 2"] * 2]
    assert {call["seed"] for call in model.bound} == {5, 6}
    assert all("pattern" not in call for call in model.bound)  # only some models can be held to one
    spent = chat.spent(replies, Price(input=1e6, output=0))
    assert spent["prompts"] == 3
    assert spent["usd"] == spent["input_tokens"] > 0


async def test_a_chat_model_that_fails_half_way_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    failing = ScriptedChatModel(script=["one", TimeoutError("too slow"), "three"])
    with pytest.raises(EndpointError, match="too slow"):
        await chat.answered(JOBS, out, failing, role="teacher", sampling=GREEDY)
    kept = len(list(read_jsonl(out)))
    assert kept == 2
    going_on = ScriptedChatModel(script=["two"])
    replies = await chat.answered(JOBS, out, going_on, role="teacher", sampling=GREEDY)
    assert [reply.texts for reply in replies] == [["one"], ["two"], ["three"]]


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    with OpenAIServer(prompt_of) as running:
        yield running


@pytest.mark.loopback
async def test_an_address_is_asked_once_for_all_samples(tmp_path: Path, server: OpenAIServer) -> None:
    how = Sampling(n=3, temperature=0.7)
    replies = await chat.answered(JOBS, tmp_path / "r.jsonl", server.url, role="teacher", sampling=how)
    assert [reply.texts[0] for reply in replies] == ["user: 0", "user: 1", "user: 2"]
    assert len(server.requests) == 3
    assert all(request["n"] == 3 and request["model"] == "scripted" for request in server.requests)


def test_prompts_go_by_way_of_a_file(tmp_path: Path) -> None:
    assert write_jobs(tmp_path / "requests.jsonl", [(JOBS, Sampling(n=2, temperature=0.7))], "m") == 3
    rows = list(read_jsonl(tmp_path / "requests.jsonl"))
    assert rows[0]["custom_id"] == "0"
    assert rows[0]["body"]["n"] == 2
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("a", "b")]
    lines = [
        {"custom_id": "0", "response": {"status_code": 200, "body": {"choices": choices}}},
        {"custom_id": "1", "response": {"status_code": 500, "body": {}}},
        {"id": "2", "texts": ["c"]},
    ]
    replies = tmp_path / "replies.jsonl"
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_replies(replies, [JOBS[0], JOBS[2]])
    assert [reply.texts for reply in found] == [["a", "b"], ["c"]]
    with pytest.raises(MissingReplyError, match="lacks 1 of 3 replies, such as 1"):
        read_replies(replies, JOBS)


async def test_after_a_failure_no_other_item_is_begun() -> None:
    begun, ended = list[int](), list[int]()

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0)
        if item == 1:
            raise EndpointError("away")
        await asyncio.sleep(0)
        ended.append(item)

    with pytest.raises(EndpointError, match="away"):
        await each(range(9), work, 3)
    assert (begun, ended) == ([0, 1, 2], [0, 2])


async def test_work_that_is_cancelled_leaves_nothing_running() -> None:
    running = set[int]()

    async def work(item: int) -> None:
        running.add(item)
        try:
            await asyncio.sleep(60)
        finally:
            running.discard(item)

    task = asyncio.create_task(each(range(9), work, 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert running == {0, 1, 2}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not running


def test_failures_count_while_nothing_goes_well_between() -> None:
    streak = Streak()
    for _ in range(2):
        for _ in range(MAX_FAILURES_IN_A_ROW - 1):
            streak.note(unwell=True)
        streak.note(unwell=False)
    for _ in range(MAX_FAILURES_IN_A_ROW - 1):
        streak.note(unwell=True)
    with pytest.raises(BackendError, match="10 failures in a row; the last: gone"):
        streak.note(unwell=True, told="gone")
    assert [is_unwell(e) for e in (EndpointError("x"), ValueError(), ConfigurationError("x"))] == [True, True, False]
