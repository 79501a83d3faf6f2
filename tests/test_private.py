"""Files that hold questions and answers are for their owner alone, under any umask."""

import asyncio
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anabranch.batch.files import write_requests
from anabranch.batch.jobs import Job, Replies, Sampling, run_jobs
from anabranch.batch.store import ReplyStore
from anabranch.cli.batch import Answers
from anabranch.evals.records import RunFolder
from anabranch.graphs.checkpointers import open_checkpointer
from anabranch.private import private, private_file, private_folder
from anabranch.serving.kept import open_store
from anabranch.serving.tool_turns import Carried, ToolTurns


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def others(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) & 0o077


def threads(path: Path) -> None:
    async def work() -> None:
        async with AsyncExitStack() as stack:
            saver: Any = await open_checkpointer(stack, path)
            await saver.setup()

    asyncio.run(work())


def plans(path: Path) -> None:
    async def work() -> None:
        async with AsyncExitStack() as stack:
            await ToolTurns(await open_store(stack, str(path))).keep(Carried())
            assert others(path) == 0
            for beside in path.parent.iterdir():  # SQLite's journals
                assert others(beside) == 0

    asyncio.run(work())


def batch(path: Path) -> None:
    async def ask(job: Job, _: Sampling) -> Replies:
        return Replies(id=job.id, texts=["a"], finished=[True])

    asyncio.run(run_jobs([Job(id="1", messages=[])], path, ask, Sampling()))


def cache(path: Path) -> None:
    store = ReplyStore(path)
    for beside in path.parent.iterdir():
        assert others(beside) == 0
    store.close()


def records(path: Path) -> None:
    folder = RunFolder(path.parent)
    folder.open(SimpleNamespace(model_dump_json=lambda indent: "{}"), [])  # type: ignore[arg-type]
    write_requests(folder.requests, [("k", {"model": "m"})])
    folder.appending().close()
    for made in path.parent.iterdir():
        assert others(made) == 0
    path.touch(0o600)


def answers(path: Path) -> None:
    private_folder(path.parent)
    with Answers(path):
        pass


MAKERS: list[Callable[[Path], None]] = [threads, plans, batch, cache, records, answers]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_files_and_their_folders_are_made_for_the_owner(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    make(path)
    assert others(path) == 0
    assert others(path.parent) == 0
    assert others(path.parent.parent) == 0


@pytest.mark.parametrize("make", [threads, plans, cache], ids=lambda make: make.__name__)
def test_files_of_earlier_versions_are_closed(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o644)
    make(path)
    assert others(path) == 0


def test_what_is_there_is_left(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    private_folder(shared)
    assert others(shared) == 0o055
    file = private_file(shared / "file")
    file.write_text(json.dumps(1))
    assert private_file(file).read_text() == "1"
    with open(shared / "new", "w", opener=private) as sink:
        sink.write("x")
    assert others(shared / "new") == 0


def test_no_file_is_made_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads(Path(":memory:"))
    assert list(tmp_path.iterdir()) == []
