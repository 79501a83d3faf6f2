"""What keeps threads: memory, SQLite, and a PostgreSQL server that the tests start."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from anabranch.errors import ConfigurationError
from anabranch.graphs.checkpointers import open_checkpointer, shown
from tests.graphs.scripts import CRAIGSLIST, ask, planner, thread
from tests.postgres import Server, postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


async def test_threads_outlive_the_process_and_the_server(server: Server, tmp_path: Path) -> None:
    for place in (server.address, str(tmp_path / "deeper" / "threads.sqlite")):
        async with AsyncExitStack() as stack:
            saver = await open_checkpointer(stack, place)
            await planner([CRAIGSLIST], checkpointer=saver).ainvoke(ask(), thread())
            if place == server.address:
                server.stop()
                server.start()
                # The pool's connections are gone, and nobody is told.
                state = await planner([], checkpointer=saver).aget_state(thread())
                assert state.values["messages"][-1].text == "In 1952"
        async with AsyncExitStack() as stack:
            saver = await open_checkpointer(stack, place)
            state = await planner([], checkpointer=saver).aget_state(thread())
            assert [answer.text for answer in state.values["answers"].values()] == ["Craig Newmark", "1952"]


async def test_many_processes_may_make_the_tables_at_once(server: Server) -> None:
    async def opened() -> None:
        async with AsyncExitStack() as stack:
            await open_checkpointer(stack, server.address.replace("/postgres", "/template1"))

    await asyncio.gather(*(opened() for _ in range(6)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("s3cret", "Wr0ng"), "password authentication failed"),
        (("/postgres", "/nowhere"), "does not exist"),
        (("?host=/", "?host=/nowhere/"), "cannot keep threads"),
        (("tester:s3cret@", "tester:s3cret@[half"), "cannot keep threads"),
    ],
)
async def test_what_cannot_be_reached_says_why_without_the_password(
    server: Server, change: tuple[str, str], reason: str
) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigurationError, match=reason) as caught:
            await open_checkpointer(stack, server.address.replace(*change))
    assert not any(secret in str(caught.value) for secret in ("s3cret", "Wr0ng", "tester:"))


async def test_a_server_that_never_replies_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = asyncio.Event()
        hung.append(left)
        while await reader.read(100):
            pass
        writer.close()
        left.set()

    hung: list[asyncio.Event] = []
    monkeypatch.setattr("anabranch.graphs.checkpointers.CONNECT_SECONDS", 0.2)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="pg"))
        await stack.enter_async_context(await asyncio.start_unix_server(hang, f"{folder}/.s.PGSQL.5432"))
        with pytest.raises(ConfigurationError, match=r"no reply within 0\.2 seconds"):
            await open_checkpointer(stack, f"postgresql://a:b@/c?host={folder}")
        for left in hung:
            await left.wait()


async def test_without_a_place_threads_end_with_the_process() -> None:
    async with AsyncExitStack() as stack:
        assert isinstance(await open_checkpointer(stack, None), InMemorySaver)


def test_what_is_shown_of_a_place() -> None:
    assert shown("postgresql://ann:pass@db.example:5432/plans?sslpassword=x") == "postgresql://db.example:5432/plans"
    assert shown("threads.sqlite") == "threads.sqlite"


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys, asyncio; sys.modules['psycopg'] = None\n"
        "from contextlib import AsyncExitStack\n"
        "from anabranch.graphs.checkpointers import open_checkpointer\n"
        "asyncio.run(open_checkpointer(AsyncExitStack(), 'postgresql://h/d'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 'pip install "anabranch[postgres]"' in done.stderr
