import asyncio
from concurrent.futures import CancelledError
from functools import partial
from threading import Event, current_thread
from threading import enumerate as threads

import pytest

from anabranch.agents.local.worker import Worker


def test_jobs_run_in_order_in_one_daemon_thread() -> None:
    worker = Worker("test-order")
    done: list[int] = []

    def job(number: int) -> str:
        done.append(number)
        return current_thread().name

    futures = [worker.submit(partial(job, number)) for number in range(5)]
    assert {future.result(5) for future in futures} == {"test-order"}
    assert done == [0, 1, 2, 3, 4]
    assert all(thread.daemon for thread in threads() if thread.name == "test-order")


def test_an_error_reaches_the_caller_and_the_worker_goes_on() -> None:
    worker = Worker("test-error")
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(5)
    assert worker.submit(lambda: 1).result(5) == 1


def test_a_job_cancelled_in_the_queue_never_runs() -> None:
    worker = Worker("test-cancel")
    go, ran = Event(), Event()
    first = worker.submit(lambda: go.wait(5))
    second = worker.submit(ran.set)
    assert second.cancel()
    go.set()
    assert first.result(5)
    assert worker.submit(lambda: 1).result(5) == 1
    assert not ran.is_set()
    with pytest.raises(CancelledError):
        second.result()


async def test_it_can_be_awaited() -> None:
    assert await asyncio.wrap_future(Worker("test-await").submit(lambda: 7)) == 7
