"""Connections of clients that do not go on, over real sockets."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from anabranch.serving import connections
from anabranch.serving.connections import Patience, patient_protocol, room_for_connections
from tests.serving.live import running, wait_until

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
LONG = 20.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


class App:
    """Answers what is asked for by the path: `/` at once, `/body` after the body, `/wait` never, `/stream` for ever."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        try:
            if path == "/body":
                while (await receive()).get("more_body"):
                    pass
            if path == "/wait":
                while (await receive())["type"] != "http.disconnect":
                    pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while path == "/stream" and not await _gone(receive):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await send({"type": "http.response.body", "body": b"fine"})
        finally:
            self.ended.append(path)


async def _gone(receive: Receive) -> bool:
    try:
        async with asyncio.timeout(0.001):
            return bool((await receive())["type"] == "http.disconnect")
    except TimeoutError:
        return False


@contextmanager
def serving(app: Any = None, **patience: Any) -> Iterator[Any]:
    """A server; gives a function that connects to it and sends some bytes."""
    options = {"head": LONG, "answer": LONG, "quiet": LONG, **patience}
    protocol = patient_protocol(Patience(**options))
    keep_alive = round(options["quiet"])
    with running(app or App(), http=protocol, headers=[], timeout_keep_alive=keep_alive) as url, ExitStack() as stack:

        def connect(sent: bytes = b"") -> socket.socket:
            one = stack.enter_context(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), LONG))
            one.sendall(sent)
            return one

        connect.crowd = protocol.crowd  # type: ignore[attr-defined]
        yield connect


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)


def reply(one: socket.socket) -> bytes:
    """All that comes until the server ends the connection, or has answered whole."""
    found = b""
    try:
        while piece := one.recv(65_536):
            found += piece
            if found.endswith((b"fine\r\n0\r\n\r\n", b"fine")):
                break
    except ConnectionResetError:
        return found or b"reset"
    return found


def ended(one: socket.socket) -> bool:
    try:
        return not one.recv(1)
    except ConnectionResetError:
        return True


def test_half_sent_heads_make_room_for_whole_requests() -> None:
    with serving(connections=40) as connect:
        half = [connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ") for _ in range(150)]
        for _ in range(5):
            assert reply(connect(GET)).endswith(b"fine\r\n0\r\n\r\n")
        assert ended(half[0])
        assert len(connect.crowd.all) <= 40


def test_half_sent_bodies_and_quiet_connections_make_room() -> None:
    with serving(connections=20) as connect:
        quiet = [connect(GET) for _ in range(10)]
        assert all(reply(one).endswith(b"fine\r\n0\r\n\r\n") for one in quiet)
        bodies = [connect(POST.replace(b"/", b"/body", 1)) for _ in range(60)]
        assert reply(connect(GET)).endswith(b"fine\r\n0\r\n\r\n")
        assert ended(quiet[0])
        assert ended(bodies[0])


def test_requests_under_way_are_kept_and_others_are_told_to_come_later() -> None:
    with serving(connections=5) as connect:
        waiting = [connect(GET.replace(b"/", b"/wait", 1)) for _ in range(5)]
        wait_until(lambda: not connect.crowd.waiting)
        assert reply(connect(GET)).startswith(b"HTTP/1.1 503 ")
        waiting[0].close()
        wait_until(lambda: len(connect.crowd.all) == 4)
        assert reply(connect(GET)).endswith(b"fine\r\n0\r\n\r\n")


@pytest.mark.parametrize("drips", [False, True])
@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
def test_a_head_has_a_time(before: bytes, drips: bool) -> None:
    with serving(head=0.3) as connect:
        one = connect(before)
        if before:
            assert reply(one).endswith(b"fine\r\n0\r\n\r\n")
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        one.settimeout(0.05 if drips else LONG)
        deadline, found = time.monotonic() + LONG, b""
        while not found and time.monotonic() < deadline:
            try:
                found = one.recv(100)
            except TimeoutError:
                one.sendall(b"x")
        assert found.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_who_sends_nothing_is_let_go(sent: bytes) -> None:
    with serving(head=0.2) as connect:
        assert reply(connect(sent)) == b""


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_who_asks_no_more_is_let_go(sent: bytes) -> None:
    with serving(head=0.2, quiet=1) as connect:
        one = connect(GET)
        assert reply(one).endswith(b"fine\r\n0\r\n\r\n")
        one.sendall(sent)
        assert ended(one)


def test_the_rest_of_a_request_that_was_answered_has_a_time() -> None:
    with serving(head=0.3) as connect:
        one = connect(POST)
        assert reply(one).endswith(b"fine\r\n0\r\n\r\n")
        one.sendall(b"some of it")
        assert ended(one)


def test_the_rest_may_come_later_and_another_request_after_it() -> None:
    with serving(head=1.0) as connect:
        one = connect(POST)
        assert reply(one).endswith(b"fine\r\n0\r\n\r\n")
        one.sendall(b"x" * 100 + GET)
        assert reply(one).endswith(b"fine\r\n0\r\n\r\n")


def test_half_a_request_behind_one_that_is_under_way_ends_the_connection() -> None:
    with serving(head=0.3) as connect:
        one = connect(GET.replace(b"/", b"/wait", 1))
        wait_until(lambda: not connect.crowd.waiting)
        one.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert ended(one)


def test_requests_in_one_go_are_answered_in_order() -> None:
    with serving(head=0.3) as connect:
        found, one = b"", connect(GET + POST.replace(b"/", b"/body", 1) + b"x" * 100 + GET)
        while found.count(b"fine") < 3:
            found += one.recv(65_536)
        assert found.count(b"HTTP/1.1 200 ") == 3


def test_a_head_has_a_size() -> None:
    with serving() as connect:
        one = connect(b"GET / HTTP/1.1\r\nX-Long: ")
        try:
            for _ in range(200):
                one.sendall(b"x" * 4096)
        except OSError:
            pass
        assert reply(one).startswith((b"HTTP/1.1 431 ", b"reset"))


def test_headers_have_a_number_after_a_body_too() -> None:
    chunked = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    with serving() as connect:
        one = connect(chunked)
        try:
            for _ in range(2000):
                one.sendall(b"X-More: 1\r\n")
        except OSError:
            pass
        assert ended(one)


def test_an_answer_that_nobody_takes_ends() -> None:
    app = App()
    with serving(app, answer=0.3) as connect:
        connect(GET.replace(b"/", b"/stream", 1))
        wait_until(lambda: app.ended == ["/stream"])
        wait_until(lambda: not connect.crowd.all)


def test_a_client_that_reads_slowly_gets_all() -> None:
    with serving(answer=1.0) as connect:
        one, seen = connect(GET.replace(b"/", b"/stream", 1)), 0
        for _ in range(30):
            seen += len(one.recv(1_000_000))
            time.sleep(0.02)
        assert seen > 1_000_000


def test_there_is_room_for_what_the_process_may_open() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = room_for_connections()
    now, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft <= now <= hard or hard == resource.RLIM_INFINITY
    assert 1 <= room < max(now, connections.MOST_FILES)
