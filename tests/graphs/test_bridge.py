import asyncio
from contextvars import ContextVar

import pytest

from anabranch.graphs.bridge import Node, run_sync

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
