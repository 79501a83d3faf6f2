"""What keeps threads is locked, full, damaged or of another version: told before anything is paid for, with advice."""

import asyncio
import multiprocessing
import resource
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from anabranch.errors import ConfigurationError, StorageError, VersionError
from anabranch.graphs.checkpointers import open_checkpointer
from anabranch.graphs.state import VERSION
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, planner, reader, thread


def model() -> ScriptedChatModel:
    return ScriptedChatModel(script=lambda prompt: CRAIGSLIST if "JSON" in prompt else reader(prompt))


def unwritable(path: Path, how: str) -> Any:
    """Makes an SQLite file that can be read and not be written."""
    if how == "locked":
        holder = sqlite3.connect(path)
        holder.execute("BEGIN IMMEDIATE")
        return holder
    if how == "read-only":
        return None
    raise AssertionError(how)


def connection(path: Path, how: str) -> str:
    return f"file:{path}?mode=ro" if how == "read-only" else f"file:{path}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in which a thread has been kept."""
    path = tmp_path / "threads.sqlite"
    with closing(sqlite3.connect(path, check_same_thread=False)) as opened:
        planner(model(), model(), checkpointer=SqliteSaver(opened)).invoke(ask(), thread())
    return path


@pytest.mark.parametrize(("how", "advice"), [("locked", "another program is writing"), ("read-only", "the right to")])
def test_a_file_that_cannot_be_written_costs_no_call(file: Path, how: str, advice: str) -> None:
    holder = unwritable(file, how)
    used = model()
    with closing(sqlite3.connect(connection(file, how), uri=True, timeout=0.1, check_same_thread=False)) as opened:
        graph = planner(used, used, checkpointer=SqliteSaver(opened))
        with pytest.raises(StorageError, match=advice):
            graph.invoke(ask(), thread())
        assert used.prompts == []
        if holder:
            holder.close()
            assert graph.invoke(ask(), thread())["answer"] == "In 1952"


@pytest.mark.parametrize(("how", "advice"), [("locked", "another program is writing"), ("read-only", "the right to")])
async def test_nor_does_it_asynchronously(file: Path, how: str, advice: str) -> None:
    import aiosqlite

    holder = unwritable(file, how)
    used = model()
    async with aiosqlite.connect(connection(file, how), uri=True, timeout=0.1) as opened:
        graph = planner(used, used, checkpointer=AsyncSqliteSaver(opened))
        with pytest.raises(StorageError, match=advice):
            await graph.ainvoke(ask(), thread())
        assert used.prompts == []
        if holder:
            holder.close()
            assert (await graph.ainvoke(ask(), thread()))["answer"] == "In 1952"


def on_a_full_disk(path: Path, answer: Any) -> None:
    """Runs in a process of its own, where no file can be written beyond its first bytes."""

    async def run() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        async with AsyncExitStack() as stack:
            try:
                await open_checkpointer(stack, path)
            except StorageError as error:
                return str(error)
        return "no error"

    answer.put(asyncio.run(run()))


def test_a_full_disk_is_found_before_the_first_call(file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=on_a_full_disk, args=(file, answer))
    process.start()
    said = answer.get(timeout=60)
    process.join()
    assert "threads.sqlite" in said
    assert "full" in said


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "it is a folder; name another file"),
        (lambda path: path.write_bytes(b"notes, and not a database at all " * 40), "it is no SQLite database"),
        (lambda path: path.with_name("file").touch(), "cannot keep threads"),
    ],
    ids=["a folder", "no database", "below a file"],
)
async def test_what_cannot_keep_threads(tmp_path: Path, make: Callable[[Path], Any], words: str) -> None:
    path = tmp_path / "threads.sqlite"
    make(path)
    path = tmp_path / "file" / "t.sqlite" if (tmp_path / "file").exists() else path
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigurationError, match=words):
            await open_checkpointer(stack, path)


@pytest.mark.parametrize(
    "blob", [b"\xc1\xc1", b"", b"\x81\xa1a", b"{}", b"\x80", b"\x93\x01\x02\x03"], ids=lambda blob: repr(blob)
)
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_damaged_checkpoint_says_what_to_do(file: Path, blob: bytes, sync: bool) -> None:
    used = model()

    async def run() -> None:
        if sync:
            with closing(sqlite3.connect(file, check_same_thread=False)) as opened:
                planner(used, used, checkpointer=SqliteSaver(opened)).invoke(ask(), thread())
        else:
            async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
                await planner(used, used, checkpointer=saver).ainvoke(ask(), thread())

    with closing(sqlite3.connect(file)) as opened:
        opened.execute("UPDATE checkpoints SET checkpoint = ?", (blob,))
        opened.commit()
    with pytest.raises(StorageError, match=r"another thread|none of this version"):
        await run()
    assert used.prompts == []


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_checkpoint_with_other_bytes_is_read_or_told(data: st.DataObject) -> None:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as opened:
        graph = planner(model(), model(), checkpointer=SqliteSaver(opened))
        graph.invoke(ask(), thread())
        ((row, blob),) = opened.execute("SELECT checkpoint_id, checkpoint FROM checkpoints ORDER BY 1 DESC LIMIT 1")
        place = data.draw(st.integers(0, len(blob) - 1))
        damaged = blob[:place] + data.draw(st.binary(min_size=1, max_size=4)) + blob[place + 1 :]
        opened.execute("UPDATE checkpoints SET checkpoint = ? WHERE checkpoint_id = ?", (damaged, row))
        with suppress(StorageError):
            graph.get_state(thread())
            graph.invoke(ask(), thread())


# Versions


def with_version(version: Any) -> tuple[Any, ScriptedChatModel]:
    """A planner on a thread whose run stopped half-way, begun by a program of another version."""
    used = model()
    graph = planner(used, used, checkpointer=InMemorySaver())
    graph.interrupt_before_nodes = ["execute"]
    graph.invoke(ask(), thread())
    graph.update_state(thread(), {"version": version}, as_node="plan")
    graph.interrupt_before_nodes = []
    used.prompts.clear()
    return graph, used


@pytest.mark.parametrize(
    ("version", "words"), [(VERSION + 1, "a newer version .* upgrade"), (VERSION - 1, "an older version .* ask anew")]
)
def test_a_run_that_another_version_has_begun_says_so(version: int, words: str) -> None:
    graph, used = with_version(version)
    with pytest.raises(VersionError, match=words):
        graph.invoke(None, thread())
    assert used.prompts == []


def test_a_conversation_of_an_older_version_goes_on_with_a_new_question() -> None:
    graph, _ = with_version(VERSION - 1)
    assert graph.invoke(ask(), thread())["answer"] == "In 1952"
    assert graph.get_state(thread()).values["version"] == VERSION


def test_a_thread_of_a_newer_version_is_left_alone() -> None:
    graph, used = with_version(VERSION + 1)
    with pytest.raises(VersionError, match="newer version"):
        graph.invoke(ask(), thread())
    assert used.prompts == []


def test_a_state_without_a_version_that_was_begun_says_so() -> None:
    graph = planner(model(), model(), checkpointer=InMemorySaver())
    old = {"messages": [HumanMessage("q?")], "question": "q?", "started_at": 1.0, "plan": {"sub_questions": []}}
    graph.update_state(thread(), old, as_node="plan")
    with pytest.raises(VersionError, match="version 0"):
        graph.invoke(None, thread())


def test_parts_of_another_form_say_so() -> None:
    saver = InMemorySaver()
    graph = planner(model(), model(), checkpointer=saver)
    graph.invoke(ask(), thread())
    for stored in saver.blobs:
        if stored[2] == "plan":
            saver.blobs[stored] = saver.serde.dumps_typed({"steps": [1, 2]})
    with pytest.raises(VersionError, match=r"keeps as 'plan' .* another thread"):
        graph.get_state(thread())
