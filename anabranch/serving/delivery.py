"""Runs on their way to a client: to the end, or item by item as server-sent events; they end when the client leaves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from anabranch.errors import OverloadError
from anabranch.serving import replies
from anabranch.serving.failures import describe
from anabranch.serving.runs import Run, Stopped
from anabranch.serving.service import Service
from anabranch.serving.watch import GONE

T = TypeVar("T")
Item = TypeVar("Item", contravariant=True)
PING_SECONDS = 15.0
"""Seconds of silence after which a stream gets a comment, so that no proxy takes it for dead."""


class Encoder(Protocol[Item]):
    """Turns the items of a run into server-sent events."""

    def of(self, item: Item) -> Iterator[bytes]:
        """The events for an item."""

    def failed(self, body: dict[str, Any]) -> Iterator[bytes]:
        """The events for an error after the reply has begun; the body is that of an error reply."""


@asynccontextmanager
async def _attended(request: Request, run: Run[T], service: Service) -> AsyncIterator[None]:
    """Cancels a run whose client goes away meanwhile."""

    async def attend() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        service.metrics.cancelled()
        run.cancel()

    attendant = asyncio.create_task(attend())
    try:
        yield
    except OverloadError:
        service.metrics.refused("queue")
        raise
    finally:
        attendant.cancel()
        await asyncio.wait([attendant])


async def last_item(request: Request, run: Run[T], service: Service) -> T | None:
    """The last item of a run, or None if the client has left."""
    try:
        async with _attended(request, run, service):
            return (await run.all())[-1]
    except Stopped:
        return None
    finally:
        await run.aclose()


async def streamed(
    request: Request, run: Run[T], encoder: Encoder[T], service: Service, *, head: bytes = b""
) -> Response:
    """A stream of events, once there is something to show: until then, an error still has a status of its own."""
    begun: list[bytes] = []
    try:
        async with _attended(request, run, service):
            while not begun:
                item = await run.next(PING_SECONDS)
                begun = [replies.PING] if item is None else list(encoder.of(item))
    except Stopped:
        await run.aclose()
        return Response(status_code=GONE)
    except BaseException:
        await run.aclose()
        raise
    return EventStream(run, [head, *begun], encoder, service)


class EventStream(StreamingResponse):
    """A run as server-sent events; the run ends with the response, whichever way that ends."""

    def __init__(self, run: Run[T], begun: list[bytes], encoder: Encoder[T], service: Service) -> None:
        self._run = run
        self._service = service
        self._complete = False
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._events(run, begun, encoder), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._run.aclose()
            if not self._complete:
                self._service.metrics.cancelled()

    async def _events(self, run: Run[T], begun: list[bytes], encoder: Encoder[T]) -> AsyncIterator[bytes]:
        for event in begun:
            yield event
        try:
            while True:
                item = await run.next(PING_SECONDS)
                for event in [replies.PING] if item is None else encoder.of(item):
                    yield event
        except StopAsyncIteration:
            pass
        except Exception as error:
            for event in encoder.failed(describe(error)[1]):
                yield event
        self._complete = True
