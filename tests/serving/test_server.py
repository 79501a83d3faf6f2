import asyncio
import logging
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from anabranch.serving.server import _run, bind

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


@pytest.fixture
def address() -> Iterator[str]:
    app = FastAPI()

    @app.get("/stop")
    async def stop() -> str:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.05)
        return "stopped"

    @app.get("/exit")
    async def leave() -> str:
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        await asyncio.sleep(0.05)
        return "left"

    @app.get("/other")
    async def other() -> str:
        await asyncio.sleep(0.3)
        return "other"

    server = uvicorn.Server(uvicorn.Config(app, log_config=None, headers=[("Connection", "close")]))
    with bind("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=_run, args=(server, listening))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("path", ["stop", "exit"])
async def test_what_ends_the_loop_ends_no_request(path: str, address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "anabranch.serving")
    async with httpx.AsyncClient(base_url=address, timeout=10) as client:
        replies = await asyncio.gather(*(client.get(f"/{name}") for name in ("other", path, "other")))
        assert [reply.status_code for reply in replies] == [200] * 3
        assert (await client.get("/other")).json() == "other"
    assert "goes on" in caplog.text
