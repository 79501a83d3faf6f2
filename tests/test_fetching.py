"""Requests end within their time and size, whatever the server does."""

import asyncio
import gzip
from pathlib import Path

import pytest

from anabranch.batch import chat
from anabranch.batch.chat import Server
from anabranch.batch.jobs import Job, Sampling
from anabranch.errors import EndpointError
from anabranch.fetching import Fetched, fetch, fetch_async
from anabranch.serving.supervisor import Patience, Program, Supervisor
from tests.openai_server import Drip, OpenAIServer, Raw

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
OK = b"HTTP/1.1 200 OK\r\n"
SLOW = {
    "nothing": Drip(b"", b"", 0.05),
    "status line": Drip(b"HTTP/1.1 200 O", b"K"),
    "headers": Drip(OK, b"X-Mill: 1\r\n"),
    "body": Drip(OK + b"Content-Length: 900000\r\n\r\n", b" "),
    "chunks": Drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}
BOMB = gzip.compress(b"0" * 2**22)
LARGE = {
    "without end": Drip(OK + b"\r\n", b" " * 2**21, 0.0),
    "one line": Drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"200000\r\n" + b"x" * 2**21 + b"\r\n", 0.0),
    "packed": Drip(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, b""),
    "packed twice": Drip(OK + b"Content-Encoding: gzip, br\r\n\r\n" + BOMB, b""),
}


def listing(server: OpenAIServer) -> str:
    return f"{server.url}/models"


@pytest.mark.parametrize("kind", SLOW)
def test_a_request_ends_in_time(kind: str) -> None:
    with OpenAIServer(lambda _: "a", models=SLOW[kind]) as server, pytest.raises(TimeoutError):
        fetch(listing(server), seconds=0.2)


@pytest.mark.parametrize("kind", LARGE)
async def test_a_reply_that_is_too_long_is_not_kept(kind: str) -> None:
    told = "compresses its replies" if "packed" in kind else "more than 16,777,216 bytes"
    with OpenAIServer(lambda _: "a", models=LARGE[kind]) as server, pytest.raises(EndpointError, match=told):
        await fetch_async(listing(server), seconds=20)


async def test_a_reply_or_its_status_alone() -> None:
    with OpenAIServer(lambda _: (418, {"a": 1})) as server:
        found = await fetch_async(listing(server), seconds=20, headers={"X-Mill": "1"})
        assert found.status == 200
        assert b'"scripted"' in found.body
        assert await fetch_async(f"{server.url}/nowhere", seconds=20, whole=False) == Fetched(404, b"")
        posted = await asyncio.to_thread(fetch, f"{server.url}/chat/completions", seconds=20, body={"messages": []})
        assert posted.status == 418
        assert server.requests == [{"messages": []}]


@pytest.mark.parametrize("kind", ["status line", "headers", "body"])
def test_a_server_that_drips_is_not_healthy(kind: str, tmp_path: Path) -> None:
    with OpenAIServer(lambda _: "a", models=SLOW[kind]) as server:
        program = Program("it", [], listing(server), tmp_path / "log")
        supervisor = Supervisor(program, Patience(every=0.2), say=print, ready=print)
        assert not supervisor._healthy()


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (SLOW["headers"], r"no reply within 0\.2 s"),
        (SLOW["body"], r"no reply within 0\.2 s"),
        (LARGE["without end"], "more than 16,777,216 bytes"),
        (LARGE["packed"], "compresses its replies"),
        (Raw(OK + b"\r\nnot JSON"), "JSONDecodeError"),
    ],
)
async def test_prompts_of_a_batch_end_in_time(reply: Drip | Raw, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "CALL_SECONDS", 0.2 if "within" in told else 20.0)
    monkeypatch.setattr(chat, "_RETRIES", 1)
    with OpenAIServer(lambda _: reply) as server:
        async with Server(server.url, "m") as asked:
            with pytest.raises(EndpointError, match=told):
                await asked(Job(id="1", messages=[]), Sampling())
