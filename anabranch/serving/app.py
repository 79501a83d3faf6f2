"""The HTTP app, put together."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from langchain_core.embeddings import Embeddings
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from anabranch import __version__
from anabranch.errors import ConfigurationError, MissingExtraError
from anabranch.graphs.checkpointers import open_checkpointer
from anabranch.serving.agui.routes import build_agui
from anabranch.serving.door import Door, DoorRules
from anabranch.serving.failures import handle_failures
from anabranch.serving.health import Readiness
from anabranch.serving.kept import open_store
from anabranch.serving.page.assets import paths
from anabranch.serving.page.documents import MAX_BYTES
from anabranch.serving.page.kept_documents import KeptDocuments
from anabranch.serving.page.routes import DOCUMENTS, build_page
from anabranch.serving.page.threads import Threads
from anabranch.serving.responses_kept import KeptResponses
from anabranch.serving.routes import build_routes
from anabranch.serving.service import Service
from anabranch.serving.tool_turns import ToolTurns
from anabranch.serving.turnstile import PATHS, Turnstile
from anabranch.serving.watch import Watch

if TYPE_CHECKING:
    from starlette.types import Lifespan

    from anabranch.serving.a2a.routes import Agents


def create_app(
    service: Service,
    rules: DoorRules | None = None,
    *,
    cors_origins: Sequence[str] = (),
    threads: str | None = None,
    page: bool = True,
    examples: Sequence[str] = (),
    locks: Path | None = None,
    embeddings: Embeddings | None = None,
    a2a: str | None = None,
) -> FastAPI:
    """The HTTP app: plans, OpenAI's and AG-UI's `/v1/...`, `/health`, `/metrics`, `/openapi.json`, and the page at `/`.

    Args:
        service: answers questions and writes plans.
        rules: who may come in; everybody, with bodies of at most 1 MiB, where nothing is said.
        cors_origins: origins whose web pages may call the server.
        threads: where conversations of the page and of AG-UI are kept with their documents, plans that wait for tools
            of clients, and responses that others can go on from, so that they outlive the process and several
            processes can share them: an SQLite file, or `postgresql://...`. In memory where nothing is said.
        page: whether there is a page at `/`.
        examples: questions that the page offers to begin with.
        locks: a folder that all processes on this machine have that share the threads, so that none goes on with a
            conversation at which another is.
        embeddings: find passages of documents that are dropped onto the page by their meaning, too.
        a2a: the address at which other agents reach this server, to ask it by A2A; None if they may not.

    Raises:
        ConfigurationError: a rule, an origin or an address that cannot be one.
        MissingExtraError: A2A's SDK is not installed.
    """
    rules = rules or DoorRules()
    rules.check()
    _check_origins(cors_origins)
    conversations = Threads(service, locks, embeddings)
    agents = None if a2a is None else _agents(conversations, a2a, keyed=bool(rules.keys))
    if agents:
        rules = replace(rules, open_paths=rules.open_paths | {agents.card_path})
    app = _without_routes(partial(_opened, service, conversations, threads, agents) if threads else None)
    routers = [build_routes(service, Readiness(service.parts)), build_agui(conversations)]
    if page:
        routers.append(build_page(conversations, examples=examples, keeps_threads=bool(threads)))
        rules = replace(
            rules, open_paths=rules.open_paths | paths(), max_bodies={**rules.max_bodies, DOCUMENTS: MAX_BYTES}
        )
    for router in routers:
        app.include_router(router)
    if agents:
        app.router.routes.extend(agents.routes)
    handle_failures(app)
    _add_middleware(app, service, rules, cors_origins, frozenset(_documented(routers)))
    return app


def _check_origins(origins: Sequence[str]) -> None:
    if bad := [origin for origin in origins if origin != "*" and "://" not in origin]:
        raise ConfigurationError(f"{bad[0]!r} is no origin; write SCHEME://HOST[:PORT], such as https://example.org")


def _without_routes(lifespan: "Lifespan[FastAPI] | None") -> FastAPI:
    return FastAPI(
        title="anabranch",
        version=__version__,
        description="Plans for questions, and a planner behind an OpenAI-compatible API.",
        # The pages of these load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # Spans of questions alone, and no logs: these would quote what an exception says.
        telemetry={"exclude": _brings_no_work, "operation_spans": False, "logs": False},
        lifespan=lifespan,
    )


def _add_middleware(
    app: FastAPI, service: Service, rules: DoorRules, cors_origins: Sequence[str], routes: frozenset[str]
) -> None:
    # The last one added is the outermost.
    turnstile = Turnstile(service.slots, service.metrics)
    app.add_middleware(Door, rules=rules, metrics=service.metrics, turnstile=turnstile)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
        )
    app.add_middleware(Watch, metrics=service.metrics, routes=routes)


def _documented(routers: Sequence[APIRouter]) -> Iterator[str]:
    """The paths that `/openapi.json` has; that document itself takes ten times as long as all the rest of an app."""
    for route in chain.from_iterable(router.routes for router in routers):
        if isinstance(route, APIRoute) and route.include_in_schema:
            yield route.path


def _brings_no_work(scope: Scope) -> bool:
    return scope["path"] not in PATHS


def _agents(conversations: Threads, address: str, *, keyed: bool) -> "Agents":
    try:
        from anabranch.serving.a2a.routes import Agents
    except ImportError as error:
        raise MissingExtraError(f"A2A needs: pip install 'anabranch[app,a2a]' ({error})") from error
    return Agents(conversations, address, keyed=keyed)


@asynccontextmanager
async def _opened(
    service: Service, conversations: Threads, threads: str, agents: "Agents | None", _: FastAPI
) -> AsyncIterator[None]:
    """Holds what keeps threads open for as long as the app runs."""
    async with AsyncExitStack() as stack:
        store = await open_store(stack, threads)
        service.turns, service.responses = ToolTurns(store), KeptResponses(store)
        conversations.saver = await open_checkpointer(stack, threads)
        conversations.shelf.kept = KeptDocuments(store)
        if agents:
            agents.tasks.keep_in(store)
        yield
