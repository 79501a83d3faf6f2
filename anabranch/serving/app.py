"""The HTTP app, put together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from anabranch import __version__
from anabranch.errors import ConfigurationError
from anabranch.serving.door import Door, DoorRules
from anabranch.serving.failures import handle_failures
from anabranch.serving.health import Readiness
from anabranch.serving.kept import open_store
from anabranch.serving.responses_kept import KeptResponses
from anabranch.serving.routes import build_routes
from anabranch.serving.service import Service
from anabranch.serving.tool_turns import ToolTurns
from anabranch.serving.turnstile import Turnstile
from anabranch.serving.watch import Watch


def create_app(
    service: Service, rules: DoorRules | None = None, *, cors_origins: Sequence[str] = (), threads: str | None = None
) -> FastAPI:
    """The HTTP app: plans, chat completions, responses, `/v1/models`, `/health`, `/metrics`, `/openapi.json`.

    Args:
        service: answers questions and writes plans.
        rules: who may come in; everybody, with bodies of at most 1 MiB, where nothing is said.
        cors_origins: origins whose web pages may call the server.
        threads: where plans are kept that wait for tools of clients, and responses that others can go on from, so that
            they outlive the process and several processes can share them: an SQLite file, or `postgresql://...`. In
            memory where nothing is said.

    Raises:
        ConfigurationError: a rule or an origin that cannot be one.
    """
    rules = rules or DoorRules()
    rules.check()
    if bad := [origin for origin in cors_origins if origin != "*" and "://" not in origin]:
        raise ConfigurationError(f"{bad[0]!r} is no origin; write SCHEME://HOST[:PORT], such as https://example.org")
    app = FastAPI(
        title="anabranch",
        version=__version__,
        description="Plans for questions, and a planner behind an OpenAI-compatible API.",
        # The pages of these load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=partial(_opened, service, threads) if threads else None,
    )
    app.include_router(build_routes(service, Readiness(service.parts)))
    handle_failures(app)
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
    app.add_middleware(Watch, metrics=service.metrics, routes=frozenset(app.openapi()["paths"]))
    return app


@asynccontextmanager
async def _opened(service: Service, threads: str, _: FastAPI) -> AsyncIterator[None]:
    """Holds the store of a service open for as long as the app runs."""
    async with AsyncExitStack() as stack:
        store = await open_store(stack, threads)
        service.turns, service.responses = ToolTurns(store), KeptResponses(store)
        yield
