"""Keeps a server process up: waits for it, watches it, starts it again, and ends it with all its children."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

import httpx

from anabranch.errors import BackendError, EndpointError
from anabranch.fetching import fetch
from anabranch.private import private

_POLL = 0.2
_PR_SET_PDEATHSIG = 1
_AWAY = (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL, EndpointError)
"""What asking a server raises that does not answer as it should, or not in time."""


@dataclass(frozen=True)
class Work:
    """A small piece of work that shows whether a server does any: its front end may answer while its engine is stuck.

    Attributes:
        address: address of the request.
        body: JSON body to post there.
        key: API key, if the server wants one.
        counters: address of counters in Prometheus' format; while they move, the server is busy and not stuck.
        counter: how the names of those counters begin.
    """

    address: str
    body: Mapping[str, object]
    key: str = field(default="", repr=False)
    counters: str = ""
    counter: str = ""


@dataclass(frozen=True)
class Program:
    """A server to run.

    Attributes:
        name: what it is called in messages.
        command: its command line.
        beside: command lines of processes that it works with; they are started and ended together, and when one ends,
            so do the others.
        health: address that answers 200 once it serves, and while it does.
        log: file that its output is added to.
        env: variables added to the environment.
        phases: words in the log, and what they mean for somebody who waits.
        work: what it is given to do while it runs, besides being asked for its health.
    """

    name: str
    command: Sequence[str]
    health: str
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, str] = field(default_factory=dict)
    beside: Sequence[Sequence[str]] = ()
    work: Work | None = None


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds, and how often to try.

    Attributes:
        start: until it is healthy.
        stop: until it has ended by itself after SIGTERM; then it is killed.
        unhealthy: without an answer of its health address while it runs; then it is started again.
        every: between two looks at its health.
        steady: a process that ran for less has crashed at once.
        crashes: crashes at once, in a row, after which it is given up.
        first_pause: before the first new start; doubled for each crash, up to `longest_pause`.
        longest_pause: the longest such pause.
    """

    start: float = 900.0
    stop: float = 30.0
    unhealthy: float = 60.0
    every: float = 5.0
    steady: float = 120.0
    crashes: int = 3
    first_pause: float = 1.0
    longest_pause: float = 30.0


class Supervisor:
    """Runs a program until it is told to stop.

    Args:
        program: what to run.
        patience: how long to wait.
        say: told in one line what is happening.
        ready: called each time that it has become healthy, with its process id.
    """

    def __init__(
        self,
        program: Program,
        patience: Patience | None = None,
        *,
        say: Callable[[str], None],
        ready: Callable[[int], None],
    ) -> None:
        self.program = program
        self.patience = patience or Patience()
        self._say = say
        self._ready = ready
        self._processes: list[subprocess.Popen[bytes]] = []
        self._told: int | None = None
        self._told_twice = False
        self._counted: Sequence[str] = ()

    def run(self) -> None:
        """Starts it, and starts it again when it ends, until SIGTERM or SIGINT.

        Raises:
            BackendError: it cannot be started, or keeps crashing.
            KeyboardInterrupt: SIGINT, after it has ended.
        """
        crashes, self._told, self._told_twice = 0, None, False
        with self._listening(), open(self.program.log, "ab", opener=private) as log:
            try:
                while not self._stopping():
                    began = time.monotonic()
                    log_began = self.program.log.stat().st_size
                    reason = self._once(log)
                    if self._stopping():
                        break
                    crashes = 1 if time.monotonic() - began >= self.patience.steady else crashes + 1
                    self._give_up_after(crashes, reason, log_began)
                    pause = min(self.patience.first_pause * 2 ** (crashes - 1), self.patience.longest_pause)
                    self._say(f"{self.program.name} {reason}; starting it again in {pause:g} s")
                    self._wait(lambda: False, pause)
            finally:
                self.stop()
        if self._told == signal.SIGINT:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Ends its processes with all their children: asks first, then kills."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)  # does nothing where it has ended
        deadline = time.monotonic() + self.patience.stop
        while self._running() and time.monotonic() < deadline and not self._told_twice:
            time.sleep(_POLL / 4)
        for process in self._processes:
            # Its children are in its group, also those that have outlived it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes = []

    def _running(self) -> list["subprocess.Popen[bytes]"]:
        return [process for process in self._processes if process.poll() is None]

    def _ended(self) -> int | None:
        """The exit code of the first of its processes that has ended."""
        return next((code for process in self._processes if (code := process.poll()) is not None), None)

    def _stopping(self) -> bool:
        return self._told is not None

    def _once(self, log: TextIO | object) -> str:
        """Its processes once, from their start to their end; why they ended, as the rest of a sentence."""
        for command in (self.program.command, *self.program.beside):
            self._processes.append(self._started(command, log))
        self._say(f"starting {self.program.name}")
        reason = self._until_healthy()
        if reason is None and not self._stopping():
            self._ready(self._processes[0].pid)
            reason = self._until_unhealthy()
        if not self._stopping():
            self.stop()
        return reason or "was stopped"

    def _started(self, command: Sequence[str], log: TextIO | object) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,  # type: ignore[arg-type]
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.program.env},
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        except OSError as error:
            raise BackendError(f"{command[0]} cannot be started ({error}); check --python") from error

    def _until_healthy(self) -> str | None:
        phases = _Phases(self.program)

        def up() -> bool:
            if news := phases.news():
                self._say(f"starting {self.program.name}: {news}")
            return self._ended() is not None or self._healthy()

        reached = self._wait(up, self.patience.start)
        if (code := self._ended()) is not None:
            return f"ended while starting (exit code {code})"
        return None if reached else f"was not up after {self.patience.start:g} s"

    def _until_unhealthy(self) -> str | None:
        heard = looked = time.monotonic()
        while not self._stopping():
            if (code := self._ended()) is not None:
                return f"ended (exit code {code})"
            if time.monotonic() - looked >= self.patience.every:
                if self._healthy() and self._works():
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.patience.unhealthy:
                    return f"gave no sign of life for {self.patience.unhealthy:g} s"
                looked = time.monotonic()
            time.sleep(_POLL)
        return None

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._stopping() and time.monotonic() < deadline:
            if done():
                return True
            time.sleep(min(_POLL, max(deadline - time.monotonic(), 0.0)))
        return False

    def _healthy(self) -> bool:
        return self._get(self.program.health) is not None

    def _works(self) -> bool:
        """Whether it does a small piece of work, or is busy with others."""
        if (work := self.program.work) is None:
            return True
        headers = {"Authorization": f"Bearer {work.key}"} if work.key else {}
        try:
            # What it refuses says nothing about its engine.
            return fetch(work.address, seconds=self.patience.every, headers=headers, body=work.body).status < 500
        except _AWAY:
            lines = (self._get(work.counters) or "").splitlines() if work.counters else []
            before, self._counted = self._counted, [line for line in lines if line.startswith(work.counter)]
            return before != self._counted

    def _get(self, address: str) -> str | None:
        try:
            found = fetch(address, seconds=self.patience.every)
        except _AWAY:
            return None
        return found.body.decode(errors="replace") if found.status == 200 else None

    def _give_up_after(self, crashes: int, reason: str, log_began: int) -> None:
        # A command line that is refused will be refused again.
        refused = not self._processes and reason.endswith("(exit code 2)")
        if crashes < self.patience.crashes and not refused:
            return
        for line in _last_lines(self.program.log, log_began):
            self._say(f"  {line}")
        times = "its command line was refused" if refused else f"it crashed {crashes} times in a row"
        raise BackendError(
            f"{self.program.name} {reason}, and {times}; see the lines above and the log {self.program.log}"
        )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def tell(number: int, _: FrameType | None) -> None:
            self._told_twice = self._told is not None
            self._told = number

        before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Phases:
    """Reads on in a log, and says when another phase has begun."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._place = program.log.stat().st_size
        self._last = ""

    def news(self) -> str:
        with self._program.log.open("rb") as log:
            log.seek(self._place)
            text = log.read()
            self._place = log.tell()
        found = [(text.rfind(word.encode()), meaning) for word, meaning in self._program.phases.items()]
        place, meaning = max(found, default=(-1, ""))
        if place < 0 or meaning == self._last:
            return ""
        self._last = meaning
        return meaning


def _last_lines(log: Path, begin: int, count: int = 12) -> list[str]:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    return [line[:300] for line in lines if line.strip()][-count:]


def _die_with_parent() -> None:
    """Ends the process when its supervisor is killed, which cannot end it then. Linux only: prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
