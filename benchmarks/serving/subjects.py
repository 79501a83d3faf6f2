"""What is measured, as processes: a vLLM server, or vLLM's offline engine."""

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anabranch.serving.engines import command_lines
from anabranch.serving.vllm import max_lora_rank
from benchmarks.serving import load
from benchmarks.serving.prompts import Prompts
from benchmarks.serving.variants import Step, Variant, flags

NAME = "decomposer"


@dataclass(frozen=True)
class Weights:
    """Where the weights are.

    Attributes:
        base: folder of the base model.
        adapter: folder of the LoRA adapter.
        merged: folder of the base model with the adapter merged in, if there is one.
    """

    base: str
    adapter: str
    merged: str | None


@dataclass(frozen=True)
class Place:
    """Where and how a variant's processes run.

    Attributes:
        engine: more engine arguments.
        log: its logs are called so, with a number.
        cores: cores of the processor that they are held to, as taskset takes them; empty for all.
    """

    engine: dict[str, Any]
    log: Path
    cores: str = ""

    @property
    def pinned(self) -> list[str]:
        """What comes before a command."""
        return ["taskset", "-c", self.cores] if self.cores else []


class Subject:
    """Processes that are started, waited for, measured and stopped: as many as the variant has engines."""

    def __init__(self, variant: Variant, weights: Weights, prompts: Path, place: Place) -> None:
        self.variant = variant
        self.prompts = Prompts.read(prompts)
        self.seconds_to_start = 0.0
        self._began = time.monotonic()
        self._shared = variant.rust and variant.engines > 1
        environment = {**variant.environment, **({"VLLM_USE_RUST_FRONTEND": "1"} if variant.rust else {})}
        ports = _free_ports(1 if self._shared else variant.engines)
        commands = [self._command(weights, prompts, place.engine | variant.engine, port) for port in ports]
        if self._shared:
            commands = command_lines(commands[0], variant.engines, memory=())
        self._processes = [
            Engine(
                [*place.pinned, *command],
                ports[min(number, len(ports) - 1)],
                place.log.with_suffix(f".{number}.log"),
                environment,
            )
            for number, command in enumerate(commands)
        ]

    def _command(self, weights: Weights, prompts: Path, engine: dict[str, Any], port: int) -> list[str]:
        model = (weights.merged if self.variant.merged else weights.base) or ""
        adapter = None if self.variant.merged else weights.adapter
        if not self.variant.servers:
            command = [sys.executable, "-m", "benchmarks.serving.offline", str(prompts), "--model", model]
            command += ["--engine", json.dumps(engine)]
            return command + (["--adapter", adapter] if adapter else [])
        command = [sys.executable, "-m", *_entry(), model]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        # The front end in Rust knows neither.
        command += [] if self.variant.rust else ["--generation-config", "vllm", "--disable-uvicorn-access-log"]
        command += ["--api-server-count", str(self.variant.servers)] if self.variant.servers > 1 else []
        if adapter:
            command += ["--enable-lora", "--max-lora-rank", str(max_lora_rank(Path(adapter)))]
            command += ["--lora-modules", f"{NAME}={adapter}"]
        else:
            command += ["--served-model-name", NAME]
        return command + flags(engine)

    @property
    def _fronts(self) -> list["Engine"]:
        """The processes that take requests."""
        return self._processes[:1] if self._shared else self._processes

    def wait(self, deadline: float) -> bool:
        """Waits until it can be measured, until a time of the monotonic clock; False if it will not be."""
        ready = all(
            process.healthy(deadline) if self.variant.servers else process.hear("ready", deadline) is not None
            for process in self._fronts
        )
        self.seconds_to_start = time.monotonic() - self._began
        return ready

    def measure(self, step: Step, processes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """One measurement; figures, and plans by id."""
        concurrency, requests, grammar = step
        if not self.variant.servers:
            requests = min(requests, len(self.prompts.measured))
            order = json.dumps({"grammar": grammar, "count": requests})
            heard = self._processes[0].told(order, "result ", time.monotonic() + 600)
            return (json.loads(heard.removeprefix("result ")) if heard else {"errors": requests}), []
        urls = [process.url for process in self._fronts]
        _warm_up(urls, NAME, self.prompts, concurrency)
        for process in self._fronts:
            process.post("/reset_prefix_cache")
        return _driven(urls, NAME, self.prompts, step, processes)

    def stop(self) -> None:
        """Ends its processes with all their children."""
        for process in self._processes:
            process.stop()

    def last_lines(self, count: int = 12) -> str:
        """The ends of its logs."""
        return "\n".join(process.last_lines(count) for process in self._processes)


class Elsewhere:
    """A server that is up already, such as `anabranch serve decomposer`; its prefix cache is warm after the first step.

    Args:
        variant: the steps to measure.
        address: its address, with the model's name after a #.
        prompts: file of prompts.
    """

    seconds_to_start = 0.0

    def __init__(self, variant: Variant, address: str, prompts: Path) -> None:
        self.variant = variant
        self.prompts = Prompts.read(prompts)
        self._url, _, self._model = address.partition("#")

    def wait(self, deadline: float) -> bool:
        """Waits until it answers, until a time of the monotonic clock; False if it does not."""
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self._url}/models", timeout=2):
                return True
            time.sleep(0.5)
        return False

    def measure(self, step: Step, processes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """One measurement; figures, and plans by id."""
        _warm_up([self._url], self._model, self.prompts, step[0])
        return _driven([self._url], self._model, self.prompts, step, processes)

    def stop(self) -> None:
        """Leaves it as it is."""

    def last_lines(self) -> str:
        """Nothing: its log is elsewhere."""
        return ""


def _driven(
    urls: list[str], model: str, prompts: Prompts, step: Step, processes: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    concurrency, requests, grammar = step
    return load.drive(
        urls, model, prompts, concurrency=concurrency, requests=requests, grammar=grammar, processes=processes
    )


def _warm_up(urls: list[str], model: str, prompts: Prompts, concurrency: int) -> None:
    """With the grammar, so that it is compiled before the clock runs: by every engine behind an address."""
    count = min(concurrency, len(prompts.warm_up))
    warm = Prompts(prompts.grammar, prompts.max_tokens, prompts.warm_up * 2)
    load.drive(urls, model, warm, concurrency=count, requests=count, grammar="always", processes=1)


class Engine:
    """One process: a server on a port, or the offline engine, spoken to over its streams; its log goes to a file."""

    def __init__(self, command: list[str], port: int, log: Path, environment: dict[str, str]) -> None:
        self.log = log
        self._port = port
        self._sink = log.open("w")
        # For /reset_prefix_cache; and engines that start together must not write into one cache of compiled code.
        more = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_CACHE_ROOT": str(log.with_suffix(".cache").resolve()), **environment}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if "benchmarks.serving.offline" in command else self._sink,
            stderr=self._sink,
            text=True,
            start_new_session=True,
            env={name: value for name, value in {**os.environ, **more}.items() if value or name not in environment},
        )

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._port}/v1"

    def healthy(self, deadline: float) -> bool:
        """Waits until the server answers."""
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=2):
                return True
            time.sleep(0.5)
        return False

    def post(self, path: str) -> None:
        """Sends the server an empty request."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", method="POST")
        with urllib.request.urlopen(request, timeout=60):
            pass

    def told(self, order: str, start: str, deadline: float) -> str | None:
        """Writes a line to the process, and gives the next line of it that begins so."""
        assert self._process.stdin
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self.hear(start, deadline)

    def hear(self, start: str, deadline: float) -> str | None:
        """The next line of the process that begins so; its log comes on the same stream."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(start):
                return line
            self._sink.write(line)
            if time.monotonic() > deadline:
                break
        return None

    def stop(self) -> None:
        """Ends it with all its children."""
        for kind, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, kind)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._sink.close()

    def last_lines(self, count: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def _entry() -> list[str]:
    """`vllm serve`, which alone can start several API processes; CPU builds under another name lack it."""
    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return ["vllm.entrypoints.openai.api_server", "--model"]
    return ["vllm.entrypoints.cli.main", "serve"]


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
