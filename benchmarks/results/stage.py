"""A stage of a run: a command, and what it needs."""

import os
import shlex
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GATE = "ev:"
"""A need that begins so is a file `ev-NAME` in the control folder."""


@dataclass(frozen=True)
class Stage:
    """A command that is started once everything it needs is there.

    Attributes:
        name: its name, for needs, logs and control files.
        needs: names of other stages. `NAME` has to be done or skipped; `NAME?` has to be over, whichever way, or
            unable to start any more; `ev:NAME` is a file `ev-NAME` in the control folder.
        command: the program and its arguments.
        folder: where it runs; the scheduler's own working folder where none is given.
        environment: variables besides the scheduler's own.
        health: address that answers once a server is up. A server is done when it is up, and stays.
        again: whether a schedule that is started again repeats it: what it does ends with a server.
        interrupt: whether it is stopped with SIGINT (as Ctrl-C does), not SIGTERM.
        seconds: it is killed, and has failed, when it takes longer. For a server: to come up.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = ""
    again: bool = False
    interrupt: bool = False
    seconds: float = 900

    @property
    def shown(self) -> str:
        """The command as it would be typed."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.command)])


@dataclass(frozen=True)
class Interpreter:
    """A Python, and the variables that it is started with.

    Attributes:
        words: the program, with what comes before its options.
        environment: its variables.
    """

    words: tuple[str, ...] = (sys.executable,)
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "Interpreter":
        """From how a shell would be told: `[NAME=VALUE ...] python3`.

        Raises:
            ArgumentTypeError: there is no program.
        """
        words = shlex.split(text)
        environment = {}
        while words and words[0].partition("=")[0].isidentifier() and "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        if not words:
            raise ArgumentTypeError(f"{text!r} names no Python; write for example 'PYTHONPATH=/some/packages python3'")
        return cls(tuple(words), environment)

    def seeing(self, folder: Path) -> "Interpreter":
        """With a folder at the end of its `PYTHONPATH`."""
        before = self.environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        path = os.pathsep.join(part for part in (before, str(folder)) if part)
        return Interpreter(self.words, {**self.environment, "PYTHONPATH": path})
