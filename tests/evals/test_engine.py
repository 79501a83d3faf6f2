"""The engine: odd answers are flagged, failures counted, and an absent server ends the run."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from anabranch.agents.models import RoleModel
from anabranch.batch.examples import Example
from anabranch.batch.kept import KeptChatModel
from anabranch.batch.store import ReplyStore
from anabranch.errors import BackendError, ConfigurationError, ModelError
from anabranch.evals import systems
from anabranch.evals.engine import Engine, Entrant, Progress
from anabranch.evals.records import Described, Record, RunFolder, Tokens
from anabranch.evals.systems import Case, Outcome
from anabranch.evals.tasks import find_task
from tests.fakes import ScriptedChatModel

SYSTEM = Described(name="s", label="s", fingerprint="f", solver="m", price=(1.0, 1.0))
EXAMPLES = [Example(id=str(n), question=f"What is {n}?", answers=(str(n),)) for n in range(30)]


async def run(tmp_path: Path, system: Any, examples: list[Example] = EXAMPLES, **more: Any) -> list[Record]:
    folder = RunFolder(tmp_path)
    engine = Engine(find_task("gsm8k"), [], folder.appending(), **more)
    try:
        await engine.run([Entrant(SYSTEM, system)], examples, folder.records())
    finally:
        engine.file.close()
    return list(folder.records().values())


@pytest.mark.parametrize(
    ("reply", "flags"),
    [
        ("Answer: 3", ()),
        ("", ("empty",)),
        ("I'm sorry, but I cannot help with that.", ("refused",)),
        ("As an AI language model, I do not know", ("refused",)),
        ("word " * 100, ("rambling",)),
        ("word " * 100 + "Answer: 3", ()),
    ],
)
async def test_odd_answers_are_flagged(tmp_path: Path, reply: str, flags: tuple[str, ...]) -> None:
    solver = RoleModel(ScriptedChatModel(script=[reply]))
    (record,) = await run(tmp_path, systems.chain_of_thought(solver), EXAMPLES[3:4])
    assert record.flags == flags


async def test_a_cut_off_reply_is_flagged_and_counted(tmp_path: Path) -> None:
    from langchain_core.messages import AIMessage

    cut = AIMessage("so much to", response_metadata={"finish_reason": "length"})
    store = ReplyStore(tmp_path / "cache")
    inner = ScriptedChatModel(script=[cut])
    chat = KeptChatModel(inner=inner, served="m", role="solver", store=store, defaults={})
    (record,) = await run(tmp_path, systems.chain_of_thought(RoleModel(chat)), EXAMPLES[:1])
    store.close()
    assert record.flags == ("cut_off",)
    assert record.solving.calls == 1
    assert record.solving.output == 3
    assert record.seconds is not None


async def test_an_error_is_a_wrong_answer_and_named(tmp_path: Path) -> None:
    async def sometimes(case: Case) -> Outcome:
        if case.example.id == "1":
            raise ModelError("it wrote nonsense")
        if case.example.id == "2":
            raise KeyError("oh")
        return Outcome("", case.example.id)

    records = await run(tmp_path, sometimes, EXAMPLES[:4])
    errors = {record.id: record.error for record in records}
    assert errors == {"0": None, "1": "it wrote nonsense", "2": "KeyError: 'oh'", "3": None}
    again = await run(tmp_path, sometimes, EXAMPLES[:4])
    assert {record.id for record in again if record.error} == {"1", "2"}
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert len(lines) == 5  # only what nobody foresaw is tried again


async def test_a_server_that_is_away_ends_the_run(tmp_path: Path) -> None:
    async def away(case: Case) -> Outcome:
        raise BackendError("no such host")

    with pytest.raises(BackendError, match="stopped after 10 failures in a row; the last: no such host"):
        await run(tmp_path, away, concurrency=2)
    assert 10 <= len((tmp_path / "records.jsonl").read_text().splitlines()) <= 12


async def test_a_system_that_cannot_run_ends_the_run(tmp_path: Path) -> None:
    async def never(case: Case) -> Outcome:
        raise ConfigurationError("this model calls no tools")

    with pytest.raises(ConfigurationError):
        await run(tmp_path, never)


async def test_so_many_at_a_time_and_progress_after_each(tmp_path: Path) -> None:
    running = most = 0
    told: list[tuple[int, float]] = []

    async def slow(case: Case) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return Outcome("", case.example.id if int(case.example.id) % 2 else "wrong")

    def note(progress: Progress) -> None:
        told.append((progress.done, progress.score))

    await run(tmp_path, slow, concurrency=5, on_progress=note)
    assert most == 5
    assert [done for done, _ in told] == list(range(1, 31))
    assert told[-1] == (30, 15.0)


def test_what_is_not_known_is_not_free() -> None:
    progress = Progress(2)
    record = Record(system="s", fingerprint="f", id="1", solving=Tokens(calls=1, input=10, output=20))
    progress.add(record, SYSTEM, 1.0)
    assert (progress.tokens, progress.usd) == (30, 30 / 1e6)
    progress.add(record, SYSTEM.model_copy(update={"price": None}), 1.0)
    progress.add(record, SYSTEM, 1.0)
    assert progress.usd is None
