"""What every request passes before the app sees it: key, rate and size. Pure ASGI, so it serves HTTP and MCP alike."""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anabranch.characters import whole_json
from anabranch.errors import ConfigurationError
from anabranch.serving.failures import refusal
from anabranch.serving.metrics import Metrics
from anabranch.serving.turnstile import Turnstile

BODY_SECONDS = 30.0
"""Seconds in which a request's body must have come in."""
BINARY = "application/octet-stream"
"""The media type of bodies that are passed on as they are."""
MAX_LARGE = 8
"""Most requests at a time whose bodies are larger than is allowed without images, or are documents as large."""
_IMAGE = re.compile(rb"data:image\\?/[a-z.+-]{1,20};base64,[A-Za-z0-9+/=\\]*")
"""An image in JSON, whose slashes may be escaped."""


@dataclass(frozen=True)
class DoorRules:
    """Who may come in.

    Attributes:
        keys: API keys, one of which a client must send as `Authorization: Bearer KEY`; none lets everybody in.
        rate: most requests of one key, or of one address where there are no keys, such as `60/minute`.
        max_body: most bytes in a request's body, not counting images in it.
        max_images: most bytes of images in a request's body, as data URLs.
        max_bodies: most bytes in the bodies of requests for paths that have a limit of their own.
        open_paths: paths that need no key and have no rate.
        hosts: names by which the server may be asked for; none for all. A web page that has its own name point to this
            machine (DNS rebinding) could otherwise ask a server that only this machine reaches.
    """

    keys: Sequence[str] = ()
    rate: str | None = None
    max_body: int = 1_048_576
    max_images: int = 20 * 1_048_576
    max_bodies: Mapping[str, int] = field(default_factory=dict)
    open_paths: frozenset[str] = frozenset({"/health", "/health/live"})
    hosts: Sequence[str] = ()

    def check(self) -> None:
        """Refuses what cannot be a rule.

        Raises:
            ConfigurationError: the rate cannot be read, or a key is empty or not ASCII.
        """
        self.parsed_rate()
        if any(not key or not key.isascii() or not key.isprintable() for key in self.keys):
            raise ConfigurationError("an API key has characters that a header cannot carry; use printable ASCII")
        if bad := [host for host in self.hosts if not host or re.search(r"[/\s@]", host)]:
            raise ConfigurationError(f"{bad[0]!r} is no name of a host; write for example planner.example.org")

    def parsed_rate(self) -> RateLimitItem | None:
        """The rate, read."""
        if self.rate is None:
            return None
        try:
            rate = parse(self.rate)
        except ValueError as error:
            raise ConfigurationError(f"the rate {self.rate!r} is not N/UNIT; write for example 60/minute") from error
        if rate.amount < 1:
            raise ConfigurationError(f"the rate {self.rate!r} lets nobody in; allow at least 1")
        return rate


class Door:
    """Refuses requests for other hosts, those without a key, too many of them, and bodies too large or too slow.

    Args:
        app: what is behind it.
        rules: who may come in.
        metrics: counts refusals.
        turnstile: refuses work for which there is no room.
    """

    def __init__(self, app: ASGIApp, *, rules: DoorRules, metrics: Metrics, turnstile: Turnstile | None = None) -> None:
        rules.check()
        self._app = app
        self._rules = rules
        self._metrics = metrics
        self._turnstile = turnstile
        self._keys = [key.encode() for key in rules.keys]
        self._rate = rules.parsed_rate()
        self._hosts = frozenset(map(_bare, rules.hosts))
        self.large = 0
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._hosts and (host := Headers(scope=scope).get("host")) is not None and _bare(host) not in self._hosts:
            self._metrics.refused("host")
            await refusal(421, "this server is not asked for by that name; see --allowed-host")(scope, receive, send)
            return
        if scope["path"] not in self._rules.open_paths and (refused := await self._refused(scope)):
            await refused(scope, receive, send)
            return
        if self._turnstile and (refused := await self._turnstile.refused(scope)):
            await refused(scope, receive, send)
            return
        room = _Room(self)
        try:
            body = await self._body(scope, receive, room)
            if not isinstance(body, str):
                plain = Headers(scope=scope).get("content-type") == BINARY
                await self._app(scope, _replay(body if plain else _readable(body), receive), send)
                return
        finally:
            room.leave()
        self._metrics.refused(body)
        status, what = {
            "size": (413, f"larger than {self._most(scope)}; send less"),
            "slow": (408, "too slow; send it faster"),
            "large": (429, "large, and so are others that are being read; try again later"),
        }[body]
        headers = {"Connection": "close"} | ({"Retry-After": "2"} if status == 429 else {})
        # The rest of the body is not read, so the connection cannot be used again.
        await refusal(status, f"the request's body is {what}", headers)(scope, receive, send)

    def _most(self, scope: Scope) -> str:
        """How large a body may be, in words."""
        rules = self._rules
        own = rules.max_bodies.get(scope["path"])
        images = f", and {rules.max_images:,} of images" if rules.max_images and own is None else ""
        return f"{own or rules.max_body:,} bytes{images}"

    async def _refused(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        known = self._known(sent.strip() if scheme.lower() == "bearer" else "")
        # Guesses of keys are counted by address.
        address = scope["client"][0] if scope.get("client") else "nobody"
        caller = hashlib.sha256(sent.encode()).hexdigest() if known and self._keys else f"address {address}"
        if self._rate and not await self._limiter.hit(self._rate, caller):
            self._metrics.refused("rate")
            stats = await self._limiter.get_window_stats(self._rate, caller)
            after = {"Retry-After": str(max(1, ceil(stats.reset_time - time.time())))}
            return refusal(429, f"more than {self._rate}; wait and try again", after)
        if known:
            return None
        self._metrics.refused("key")
        return refusal(
            401, "the API key is missing or not known; send Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
        )

    def _known(self, sent: str) -> bool:
        if not self._keys:
            return True
        # All are compared, each in constant time.
        given = sent.encode("utf-8", "surrogateescape")
        return sum(hmac.compare_digest(given, key) for key in self._keys) > 0

    async def _body(self, scope: Scope, receive: Receive, room: "_Room") -> bytes | str:
        """The whole body, or why there is none: `size`, `slow`, or `large`, where others are, too."""
        own = self._rules.max_bodies.get(scope["path"])
        most = self._rules.max_body + self._rules.max_images if own is None else own
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdecimal() and int(stated[:20]) > most:
            return "size"
        pieces, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return b""  # gone; the app is told the same
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > most:
                        return "size"
                    if size > self._rules.max_body and not room.take():
                        return "large"
                    if not message.get("more_body"):
                        body = b"".join(pieces)
                        with_images = own is None and size > self._rules.max_body
                        large = with_images and len(_IMAGE.sub(b"", body)) > self._rules.max_body
                        return "size" if large else body
        except TimeoutError:
            return "slow"


class _Room:
    """The room that a request takes whose body is large, from when it turns out so until it is answered."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._taken = False

    def take(self) -> bool:
        """Takes the room, if there is some left and it has none yet; whether it has."""
        if not self._taken and self._door.large < MAX_LARGE:
            self._taken = True
            self._door.large += 1
        return self._taken

    def leave(self) -> None:
        """Gives it back."""
        self._door.large -= self._taken
        self._taken = False


def _readable(body: bytes) -> bytes:
    """JSON without escapes of half characters, which nothing behind the door could write, and some parsers refuse."""
    if b"\\u" not in body:
        return body
    return whole_json(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _bare(host: str) -> str:
    """The name in a `Host` header, without its port."""
    name = host.strip().lower()
    if address := re.fullmatch(r"\[([^\]]*)\](?::\d*)?", name):
        return address[1]
    return (name if name.count(":") > 1 else name.partition(":")[0]).removesuffix(".")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body at once, and then what comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
