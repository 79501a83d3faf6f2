import asyncio
import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from anabranch.graphs.bridge import Node, in_daemon_thread, run_sync

variable: ContextVar[str] = ContextVar("variable", default="unset")


async def read_variable(_state: object = None) -> str:
    await asyncio.sleep(0)
    return variable.get()


def test_context_variables_go_along() -> None:
    variable.set("here")
    assert run_sync(read_variable()) == "here"
    assert Node(read_variable, "n").invoke({}) == "here"


async def test_run_sync_works_inside_a_running_loop() -> None:
    assert run_sync(read_variable()) == variable.get()


def test_calls_share_one_loop() -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert run_sync(loop()) is run_sync(loop())


def test_exceptions_come_through() -> None:
    async def fail() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        run_sync(fail())


async def test_a_daemon_thread_gives_result_or_exception() -> None:
    assert await in_daemon_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 // 0)


def test_a_hanging_thread_does_not_keep_the_process_alive() -> None:
    code = """
import asyncio, time
from anabranch.graphs.bridge import in_daemon_thread
async def main():
    try:
        await asyncio.wait_for(in_daemon_thread(lambda: time.sleep(60)), 0.1)
    except TimeoutError:
        print("timeout")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "timeout\n"
