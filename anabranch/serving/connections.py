"""Connections that do not go on: half-sent requests, answers that nobody reads, and more than there is room for.

uvicorn has a limit for quiet connections between two requests, and none for the rest: clients that send half a header
each and wait take all file descriptors of the process, and then nobody gets in. Here, a request's head has a time and a
size, an answer has to be taken, and where all places are taken, who has waited longest without a whole request makes
room.
"""

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from anabranch.errors import ConfigurationError

log = logging.getLogger("anabranch.serving")
MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 200
SPARE_FILES = 128
"""File descriptors for all else: connections to models, documents, the log."""
MOST_FILES = 16_384
SWEEP_SECONDS = 1.0


@dataclass(frozen=True)
class Patience:
    """How long is waited for a client, and for how many of them there is room.

    Attributes:
        head: seconds in which the head of a request must have come in, from its first byte, or from connecting.
        answer: seconds without any of an answer being taken, after which its connection is dropped.
        quiet: seconds between two requests of a connection. Longer than the idle time of common proxies and clients, so
            that they and not we end a quiet one.
        connections: most connections; None for as many as there are file descriptors for.
    """

    head: float = 20.0
    answer: float = 60.0
    quiet: float = 75.0
    connections: int | None = None


@dataclass
class Crowd:
    """The connections of a server.

    Attributes:
        patience: how long is waited for them.
        waiting: those without a whole request under way, in the order in which they began to wait.
        all: all of them.
    """

    patience: Patience
    waiting: "dict[PatientProtocol, None]" = field(default_factory=dict)
    all: "set[PatientProtocol]" = field(default_factory=set)
    _room: int = 0
    _sweeping: bool = False

    def come(self, one: "PatientProtocol") -> bool:
        """Takes a connection in, for which another may have to go; False if there is no room."""
        self._room = self._room or self.patience.connections or room_for_connections()
        if not self._sweeping:
            self._sweeping = True
            one.loop.call_later(SWEEP_SECONDS, self._sweep, one.loop)
        if len(self.all) >= self._room:
            longest = next(iter(self.waiting), None)
            if longest is None:
                return False
            self.leave(longest)
            longest.transport.abort()
        self.all.add(one)
        self.waiting[one] = None
        return True

    def leave(self, one: "PatientProtocol") -> None:
        """Forgets a connection."""
        self.waiting.pop(one, None)
        self.all.discard(one)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for one in list(self.all):
            one.look(now)
        if self.all:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        else:
            self._sweeping = False


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with a limit for each thing that a client may leave undone.

    Attributes:
        crowd: the connections of the server.
    """

    crowd: ClassVar[Crowd]

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._head_bytes = -1
        self._whole = True
        self._until = self.loop.time() + self.crowd.patience.head
        self._stuck_since = math.inf
        if not self.crowd.come(self):
            self._refuse(b"503 Service Unavailable", b"too many connections; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self.crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large", b"the request's head is too large; send less")
        elif self.headers and len(self.headers) > MAX_HEADERS:  # also after a body in pieces
            self.transport.abort()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes, self._whole = 0, False
        if self.cycle is not None:
            self._wait(self.crowd.patience.head)

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        self._head_bytes = -1
        self._until = math.inf  # how long its body takes is the door's business
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._whole = True
        if self.cycle.response_complete:
            self._wait(self.crowd.patience.quiet)
        else:
            self.crowd.waiting.pop(self, None)

    def on_response_complete(self) -> None:
        """The answer is whole; perhaps before the request is."""
        super().on_response_complete()
        if not self.pipeline:
            patience = self.crowd.patience
            self._wait(patience.quiet + patience.head if self._whole else patience.head)

    def pause_writing(self) -> None:
        """The client takes the answer more slowly than it is written."""
        super().pause_writing()
        self._stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        """It has taken it."""
        super().resume_writing()
        self._stuck_since = math.inf

    def _wait(self, seconds: float) -> None:
        self._until = self.loop.time() + seconds
        if self in self.crowd.all:
            self.crowd.waiting.pop(self, None)
            self.crowd.waiting[self] = None

    def look(self, now: float) -> None:
        """Ends the connection if its client has been waited for long enough."""
        if self.transport.is_closing():
            self._stuck_since = min(self._stuck_since, now)  # it waits for what is written to be taken
        if now - self._stuck_since > self.crowd.patience.answer:
            self.transport.abort()
        elif now > self._until and not self.transport.is_closing():
            if self._head_bytes >= 0:
                self._refuse(b"408 Request Timeout", b"the request's head is too slow; send it faster")
            else:
                self.transport.close()

    def _refuse(self, status: bytes, why: bytes) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # another answer is on its way, and this one would end up in the middle of it
            return
        body = b'{"error": {"message": "%s", "type": "invalid_request_error", "param": null, "code": null}}' % why
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()


def patient_protocol(patience: Patience | None = None) -> type[PatientProtocol]:
    """The protocol of one server, as uvicorn's `http`."""
    return type("Patient", (PatientProtocol,), {"crowd": Crowd(patience or Patience())})


def room_for_connections() -> int:
    """For how many connections there are file descriptors; takes as many of these as the process may have.

    Raises:
        ConfigurationError: there are too few to serve anybody.
    """
    try:
        import resource
    except ImportError:  # Windows
        return 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = MOST_FILES if hard == unlimited else min(hard, MOST_FILES)
    if soft != unlimited and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    room = (MOST_FILES if soft == unlimited else min(soft, MOST_FILES)) - SPARE_FILES
    if room < 1:
        raise ConfigurationError(f"only {soft} files may be open at a time; raise it with: ulimit -n 4096")
    return room
