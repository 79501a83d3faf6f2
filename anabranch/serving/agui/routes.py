"""The AG-UI route."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from ag_ui.core import BaseEvent
from fastapi import APIRouter, Request, Security
from fastapi.responses import Response

from anabranch.serving.agui.events import Events
from anabranch.serving.agui.protocol import RunInput
from anabranch.serving.agui.reading import read_input
from anabranch.serving.delivery import streamed
from anabranch.serving.page.threads import Asked, Standing, Threads
from anabranch.serving.replies import sse
from anabranch.serving.routes import KEY, STREAMING
from anabranch.serving.runs import Run
from anabranch.serving.usage import UsageByRole

PATH = "/v1/agui"


def build_agui(threads: Threads) -> APIRouter:
    """The route on which AG-UI clients run the planner.

    Args:
        threads: the conversations, which are those of the page.
    """
    router = APIRouter()
    router.post(PATH, response_class=Response, responses=STREAMING, dependencies=[Security(KEY)])(_Route(threads).run)
    return router


class _Route:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def run(self, body: RunInput, request: Request) -> Response:
        """Runs the planner in a thread, or goes on with it; the events are AG-UI's."""
        usage = UsageByRole()
        events, service = Events(body, usage), self._threads.service
        work = partial(self._work, body, events, usage)
        run = Run(work, service.slots, service.limits.timeout)
        return await streamed(request, run, _Encoder(events), service)

    async def _work(
        self, body: RunInput, events: Events, usage: UsageByRole, emit: Callable[[BaseEvent], Awaitable[None]]
    ) -> None:
        asked = False

        def read(standing: Standing) -> Asked | None:
            nonlocal asked
            reading = read_input(body, standing)
            events.begin(reading)
            asked = reading.asked is not None
            return reading.asked

        async def tell(event: dict[str, Any]) -> None:
            for each in events.of(event):
                await emit(each)

        await emit(events.started())
        await self._threads.work(body.thread_id, read, tell, usage)
        if not asked:
            for each in events.shown():
                await emit(each)


class _Encoder:
    """AG-UI's events as server-sent events."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def of(self, item: BaseEvent) -> Iterator[bytes]:
        """One."""
        yield sse(item.model_dump(mode="json", by_alias=True))

    def failed(self, body: dict[str, Any]) -> Iterator[bytes]:
        """An error after the first."""
        for event in self._events.failed(body):
            yield from self.of(event)
