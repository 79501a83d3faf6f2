"""The routes of the page: its files, its threads and their documents."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import format_sse_event

from anabranch.config import MAX_QUESTION_CHARS
from anabranch.serving.delivery import streamed
from anabranch.serving.page.assets import asset, paths
from anabranch.serving.page.documents import MAX_BYTES, MAX_DOCUMENTS
from anabranch.serving.page.protocol import PageSettings, RunRequest, ThreadId, ToolNote
from anabranch.serving.page.threads import Event, Threads
from anabranch.tools.effects import has_effects
from anabranch.tools.readers import SUFFIXES

RUNS = "/page/runs"
DOCUMENTS = "/page/documents"
Name = Annotated[str, Query(max_length=1_000)]


def build_page(threads: Threads, *, examples: Sequence[str] = (), keeps_threads: bool = False) -> APIRouter:
    """All routes of the page.

    Args:
        threads: its conversations.
        examples: questions to begin with.
        keeps_threads: whether threads outlive the process.
    """
    routes, router = _Routes(threads, examples, keeps_threads), APIRouter(include_in_schema=False)
    for path in sorted(paths()):
        router.get(path, response_class=Response)(asset)
    router.get("/page/settings")(routes.settings)
    router.get("/page/thread")(routes.show)
    router.delete("/page/thread", response_class=Response)(routes.forget)
    router.post(RUNS, response_class=Response)(routes.run)
    router.put(DOCUMENTS, response_class=Response)(routes.add)
    router.delete(DOCUMENTS, response_class=Response)(routes.remove)
    return router


class _Routes:
    def __init__(self, threads: Threads, examples: Sequence[str], keeps_threads: bool) -> None:
        self._threads = threads
        self._examples = list(examples)
        self._keeps_threads = keeps_threads

    async def settings(self) -> PageSettings:
        """What the page has to know of the server."""
        service = self._threads.service
        notes = [
            ToolNote(name=tool.name, description=tool.description, acts=has_effects(tool))
            for tool in service.catalogue.values()
        ]
        return PageSettings(
            tools=notes,
            uploads=self._threads.shelf.name,
            suffixes=list(SUFFIXES),
            max_document_bytes=MAX_BYTES,
            max_documents=MAX_DOCUMENTS,
            max_question_chars=MAX_QUESTION_CHARS,
            max_sub_questions=service.parts.max_sub_questions,
            examples=self._examples,
            keeps_threads=self._keeps_threads,
        )

    async def show(self, thread: ThreadId) -> JSONResponse:
        """A thread as it stands."""
        return JSONResponse(await self._threads.show(thread))

    async def forget(self, thread: ThreadId) -> Response:
        """Deletes a thread."""
        await self._threads.forget(thread)
        return Response(status_code=204)

    async def run(self, thread: ThreadId, body: RunRequest, request: Request) -> Response:
        """Does what is asked of a thread; it is stopped when the client leaves."""
        return await streamed(request, self._threads.run(thread, body), _Events(), self._threads.service)

    async def add(self, thread: ThreadId, name: Name, request: Request) -> JSONResponse:
        """Adds a document, the body, to a thread."""
        notes = await self._threads.shelf.put(thread, name, await request.body())
        return JSONResponse({"documents": self._threads.shelf.names(thread), "notes": notes})

    async def remove(self, thread: ThreadId, name: Name) -> JSONResponse:
        """Takes a document away from a thread."""
        await self._threads.shelf.remove(thread, name)
        return JSONResponse({"documents": self._threads.shelf.names(thread)})


class _Events:
    """Events of a run as server-sent events."""

    def of(self, item: Event) -> Iterator[bytes]:
        """One."""
        yield format_sse_event(data_str=json.dumps(item))

    def failed(self, body: dict[str, Any]) -> Iterator[bytes]:
        """An error after the first."""
        yield format_sse_event(data_str=json.dumps(body))
