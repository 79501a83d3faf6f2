"""Runs an app with uvicorn: binds, serves, and on SIGTERM finishes what it has begun."""

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from anabranch.errors import BackendError, ConfigurationError
from anabranch.serving.connections import Patience, patient_protocol, room_for_connections
from anabranch.serving.watch import log_to_stderr

log = logging.getLogger("anabranch.serving")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, more: Sequence[str]) -> tuple[str, ...]:
    """The names by which a server may be asked for: on loopback those of this machine, elsewhere all if none is named.

    Args:
        host: the address that it listens on.
        more: other names, such as the one of a proxy in front of it; `*` for all.
    """
    if "*" in more:
        return ()
    if is_loopback(host):
        return ("localhost", "127.0.0.1", "::1", host, *more)
    return tuple(more)


def check_exposure(host: str, *, has_key: bool, insecure: bool) -> None:
    """Refuses to be reached by others without a key.

    Raises:
        ConfigurationError: the address is not a loopback one and there is no key.
    """
    if not (is_loopback(host) or has_key or insecure):
        raise ConfigurationError(
            f"{host} can be reached from other machines and there is no API key; "
            "set ANABRANCH_SERVER_KEY, give --api-key-file FILE, or add --insecure"
        )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        BackendError: the address or the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise BackendError(f"cannot listen on {host} port {port} ({error}); choose another --host or --port") from error


def address_of(bound: socket.socket, host: str) -> str:
    """The address of a listening socket, as clients write it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"


def how_to_serve(patience: Patience, drain_seconds: float) -> dict[str, Any]:
    """What uvicorn is told of any server, besides the app and the protocol."""
    return {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        # Addresses in headers are for rate limits to trust only where a proxy is known to write them.
        "proxy_headers": False,
        "timeout_keep_alive": round(patience.quiet),
        "timeout_graceful_shutdown": max(1, round(drain_seconds)),
        "ws": "none",
    }


def serve_app(
    app: ASGIApp, host: str, port: int, *, drain_seconds: float, listening: Callable[[str], None] | None = None
) -> None:
    """Serves until SIGTERM or Ctrl-C. Then nothing new is taken, and what was begun is finished.

    Args:
        app: the app.
        host: address.
        port: port; 0 takes a free one.
        drain_seconds: seconds after which what is still unfinished is cancelled.
        listening: told the address, in place of a log of requests.

    Raises:
        BackendError: the address or the port cannot be had.
        ConfigurationError: too few files may be open at a time.
        KeyboardInterrupt: Ctrl-C, after the same.
    """
    log_to_stderr(logging.WARNING if listening else logging.INFO)
    patience = Patience(connections=room_for_connections())
    bound = bind(host, port)
    config = uvicorn.Config(app, http=patient_protocol(patience), **how_to_serve(patience, drain_seconds))
    # uvicorn sends itself the signal again when it is done; here that means a good end, not a death.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        url = address_of(bound, host)
        log.info("listening", extra={"fields": {"url": url}})
        if listening:
            listening(url)  # who connects now waits for the server to begin
        _run(uvicorn.Server(config), bound)
        log.info("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)
        bound.close()


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Runs a server to its end, on a loop that goes on if what runs on it stops it or raises what ends loops."""
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        loop = runner.get_loop()
        serving = loop.create_task(server.serve(sockets=[listening]))
        while not serving.done():
            try:
                loop.run_until_complete(serving)
            except BaseException:
                if serving.done():
                    raise
                log.exception("the server's event loop was ended by what runs on it, and goes on")
