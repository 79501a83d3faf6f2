"""`anabranch serve app` and `anabranch serve mcp`: from options to a server. Importing this imports LangGraph."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from anabranch.agents.models import in_process
from anabranch.cli.failures import complain
from anabranch.cli.options import Options
from anabranch.cli.streams import need_output
from anabranch.errors import ConfigurationError, DocumentError, MissingExtraError
from anabranch.graphs.checkpointers import MEMORY, open_checkpointer
from anabranch.tracing import start_tracing

try:
    from fastapi import FastAPI

    from anabranch.graphs.build import build_parts
    from anabranch.serving.app import create_app
    from anabranch.serving.door import DoorRules
    from anabranch.serving.kept import open_store
    from anabranch.serving.mcp import build_mcp, mcp_app
    from anabranch.serving.mcp_sdk import run_stdio
    from anabranch.serving.options import Access, Limits, Listening
    from anabranch.serving.server import allowed_hosts, check_exposure, serve_app
    from anabranch.serving.service import Parts, Service
    from anabranch.serving.workers import Worker, serve_workers, share
    from anabranch.tools.embedder import embeddings_of
except ImportError as error:
    raise MissingExtraError(f"serving needs: pip install 'anabranch[app]' ({error})") from error

KEY_VARIABLE = "ANABRANCH_SERVER_KEY"
MCP_DRAIN_SECONDS = 10.0
"""MCP clients keep a stream open that never ends by itself; so long are calls under way waited for."""
TRANSPORTS = ("stdio", "http")


def run_app(
    options: Options,
    values: Mapping[str, Any],
    *,
    examples: Sequence[str] = (),
    listening: Callable[[str], None] | None = None,
    worker: Callable[[Path], FastAPI] | None = None,
) -> None:
    """Serves the HTTP app until it is stopped.

    Args:
        options: what the planner is built from.
        values: the command's other options, by name.
        examples: questions that the page offers to begin with.
        listening: told the address, for somebody who watches; requests are not logged then.
        worker: makes the app in each of several processes, out of a folder that they share.

    Raises:
        UserError, BackendError: the options, the models or the address cannot be used.
    """
    rules, limits, workers = _rules(values), _limits(values), values["workers"]
    rules.check()
    if workers > 1:
        _check_shared(values)
        share(limits, workers)
    if values["threads"]:
        asyncio.run(_checked(values["threads"]))
    where: Any = {"host": values["host"], "port": values["port"], "drain_seconds": limits.timeout}
    if worker and workers > 1:
        serve_workers(Worker(worker), workers=workers, **where)
    else:
        serve_app(_app(options, values, limits, examples=examples), listening=listening, **where)


def build_worker(options: Options, values: Mapping[str, Any], folder: Path) -> FastAPI:
    """The app of one of several workers that share a folder.

    Raises:
        UserError, BackendError: as `run_app`.
    """
    app = _app(options, values, share(_limits(values), values["workers"]), locks=folder)
    if values["otel"]:
        stop, within = start_tracing(complain), app.router.lifespan_context

        @asynccontextmanager
        async def traced(app: FastAPI) -> AsyncIterator[Any]:
            async with within(app) as state:
                yield state
            stop()

        app.router.lifespan_context = traced
    return app


def _app(options: Options, values: Mapping[str, Any], limits: Limits, **more: Any) -> FastAPI:
    embeddings = embeddings_of(options.embeddings) if options.embeddings else None
    return create_app(
        _service(options, limits),
        _rules(values),
        cors_origins=values["cors_origin"] or (),
        threads=values["threads"],
        page=values["page"],
        embeddings=embeddings,
        a2a=values["a2a"],
        **more,
    )


def _check_shared(values: Mapping[str, Any]) -> None:
    """Refuses what several workers would each have for themselves.

    Raises:
        ConfigurationError: there is no store that all share, or there is a rate, or A2A.
    """
    if not values["threads"] or values["threads"] == MEMORY:
        raise ConfigurationError(
            "workers find each other's conversations, tool calls and responses in a store that they share; "
            "add --threads FILE, or postgresql://..."
        )
    if values["a2a"]:
        raise ConfigurationError("a task of A2A is cancelled and watched where it runs; take one worker, or no --a2a")
    if values["rate"]:
        raise ConfigurationError(
            "each worker would count --rate for itself; leave that to the proxy in front, or take one worker"
        )


async def _checked(threads: str) -> None:
    """Finds out before models are loaded whether plans and conversations can be kept."""
    async with AsyncExitStack() as stack:
        await open_store(stack, threads)
        await open_checkpointer(stack, threads)


def run_mcp(options: Options, values: Mapping[str, Any]) -> None:
    """Serves the MCP server until it is stopped, or until its client leaves.

    Args:
        options: what the planner is built from.
        values: the command's other options, by name.

    Raises:
        UserError, BackendError: the options, the models or the address cannot be used.
    """
    transport, limits = values["transport"], _limits(values)
    if transport not in TRANSPORTS:
        raise ConfigurationError(f"unknown transport {transport!r}; use one of: {', '.join(TRANSPORTS)}")
    if transport == "stdio":
        need_output()
        # What a tool's module prints when it is imported must not end up in the protocol.
        wire, sys.stdout = sys.stdout, sys.stderr
        service = _service(options, limits)
        sys.stdout = wire
        run_stdio(build_mcp(service))
        return
    rules = _rules(values)
    rules.check()
    service = _service(options, limits)
    # The SDK knows only the names of this machine; where there are others, the door alone decides.
    checked = "" if values["allowed_host"] else values["host"]
    app = mcp_app(build_mcp(service), rules, service.metrics, host=checked)
    serve_app(app, values["host"], values["port"], drain_seconds=min(limits.timeout, MCP_DRAIN_SECONDS))


def _service(options: Options, limits: Limits) -> Service:
    """The models and tools, loaded, behind the limits."""
    if not in_process(options.solver):
        # Imported by the client's first call otherwise: two seconds in which nobody would be served.
        with suppress(ImportError):
            import_module("openai.resources.beta.beta")
    return Service(Parts(**build_parts(options, status=complain, note=complain)), limits)


def _limits(values: Mapping[str, Any]) -> Limits:
    return Limits.of(values, attrgetter("flag"))


def _rules(values: Mapping[str, Any]) -> DoorRules:
    listening, access = Listening.of(values, attrgetter("flag")), Access.of(values, attrgetter("flag"))
    keys = read_keys(access.api_key_file)
    check_exposure(listening.host, has_key=bool(keys), insecure=listening.insecure)
    hosts = allowed_hosts(listening.host, access.allowed_host)
    images = access.max_images if "max_images" in values else 0  # MCP's tools take none
    return DoorRules(keys=keys, rate=access.rate, max_body=access.max_body, max_images=images, hosts=hosts)


def read_keys(file: str | None) -> tuple[str, ...]:
    """The API keys of the environment and of a file, one a line; lines that begin with # are comments.

    Raises:
        DocumentError: the file cannot be read.
        ConfigurationError: there is no key in it.
    """
    keys = [os.environ.get(KEY_VARIABLE, "").strip()]
    if file is not None:
        try:
            lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DocumentError(f"the key file {file} cannot be read; check --api-key-file") from error
        found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not found:
            raise ConfigurationError(f"there is no key in {file}; write one a line")
        keys += found
    return tuple(key for key in dict.fromkeys(keys) if key)
