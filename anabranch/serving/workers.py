"""Several processes behind one address: uvicorn's workers, which is also what replaces those that die.

Light, and so is what each worker is started with: a worker says that it lives only when all this is imported.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from prometheus_client.multiprocess import mark_process_dead
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess

from anabranch.errors import BackendError, ConfigurationError
from anabranch.serving.connections import Crowd, Patience, PatientProtocol
from anabranch.serving.metrics import SHARED_FOLDER
from anabranch.serving.options import Limits
from anabranch.serving.server import address_of, bind, how_to_serve
from anabranch.serving.watch import log_to_stderr

log = logging.getLogger("anabranch.serving")
HUNG_SECONDS = 30
"""Seconds without a sign of life after which a worker is replaced."""
AGAIN_SECONDS = 5.0
"""Seconds until another worker is started for one that could not begin where others could before."""


class WorkerProtocol(PatientProtocol):
    """The protocol of a worker, found by its name; each process has its own connections."""

    crowd: ClassVar[Crowd] = Crowd(Patience())


@dataclass(frozen=True)
class Worker:
    """What each process serves.

    Attributes:
        build: makes the app, given a folder that all workers have; it is pickled, so it is a function of a module, or a
            `partial` of one.
        folder: the folder.
        begun: whether any worker has ever begun to serve.
    """

    build: Callable[[Path], ASGIApp]
    folder: Path = Path()
    begun: Event = field(default_factory=lambda: get_context("spawn").Event())

    def __call__(self) -> ASGIApp:
        """The app, in the worker."""
        log_to_stderr()
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            app = self.build(self.folder)
        except SystemExit:
            if not self.begun.is_set():
                raise SystemExit(STARTUP_FAILURE) from None
            # What it needs is away for now, such as a model's server; the others still serve.
            threading.Event().wait(AGAIN_SECONDS)
            raise
        return _Telling(app, self.begun)


class _Telling:
    """An app that tells when its worker has begun to serve."""

    def __init__(self, app: ASGIApp, begun: Event) -> None:
        self._app = app
        self._begun = begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._begun.set()
                log.info("worker begins")
            await send(message)

        await self._app(scope, receive, told)


def _end_with_parent() -> None:
    """Ends this process when the one that started it has gone without a word, which would keep the port."""
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


class _Workers(Multiprocess):
    """uvicorn's workers; what the dead ones had under way is no longer counted as such."""

    interrupted = False

    def handle_int(self) -> None:
        """Ctrl-C."""
        self.interrupted = True
        super().handle_int()

    def keep_subprocess_alive(self) -> None:
        """Replaces the workers that have died or hang."""
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
            log.warning("worker replaced", extra={"fields": {"worker": pid}})

    @property
    def failed(self) -> bool:
        """Whether a worker could not begin."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)


def share(limits: Limits, workers: int) -> Limits:
    """The limits of one worker, so that those of all together are what was asked for.

    Raises:
        ConfigurationError: there are more workers than questions at a time.
    """
    if limits.max_concurrency < workers:
        raise ConfigurationError(
            f"{workers} workers cannot share {limits.max_concurrency} questions at a time; raise --max-concurrency"
        )
    mine = limits.max_concurrency // workers
    return replace(limits, max_concurrency=mine, max_queue=limits.max_queue // workers)


def serve_workers(worker: Worker, host: str, port: int, *, workers: int, drain_seconds: float) -> None:
    """Serves with several processes until SIGTERM or Ctrl-C; then what was begun is finished. SIGHUP renews them.

    Args:
        worker: what each of them serves.
        host: address.
        port: port; 0 takes a free one.
        workers: how many processes.
        drain_seconds: seconds after which what is still unfinished is cancelled.

    Raises:
        BackendError: the address or the port cannot be had, or no worker could begin; it has said why.
        KeyboardInterrupt: Ctrl-C, after the same.
    """
    log_to_stderr()
    with bind(host, port) as bound, _shared_folder() as folder, _signals_given_back():
        config = Config(
            replace(worker, folder=folder),
            factory=True,
            workers=workers,
            http=f"{__name__}:{WorkerProtocol.__name__}",
            timeout_worker_healthcheck=HUNG_SECONDS,
            **how_to_serve(WorkerProtocol.crowd.patience, drain_seconds),
        )
        running = _Workers(config, [bound])
        log.info("listening", extra={"fields": {"url": address_of(bound, host), "workers": workers}})
        running.run()
        log.info("stopped")
    if running.failed:
        raise BackendError("the workers could not begin; what is wrong stands above")
    if running.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _shared_folder() -> Iterator[Path]:
    """A folder of the workers; in another one they count, so that each can show the counts of all."""
    with TemporaryDirectory(prefix="anabranch-") as folder, TemporaryDirectory(prefix="anabranch-counts-") as counts:
        os.environ[SHARED_FOLDER] = counts
        try:
            yield Path(folder)
        finally:
            del os.environ[SHARED_FOLDER]


@contextmanager
def _signals_given_back() -> Iterator[None]:
    """Takes back the signals of this process, which uvicorn keeps."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
