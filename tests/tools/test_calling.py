import subprocess
import sys
import threading

import pytest

from anabranch.tools.calling import in_daemon_thread


async def test_a_daemon_thread_gives_result_or_exception() -> None:
    assert await in_daemon_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 // 0)


def test_a_hanging_thread_does_not_keep_the_process_alive() -> None:
    code = """
import asyncio, time
from anabranch.tools.calling import in_daemon_thread
async def main():
    try:
        await asyncio.wait_for(in_daemon_thread(lambda: time.sleep(60)), 0.1)
    except TimeoutError:
        print("timeout")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "timeout\n"
