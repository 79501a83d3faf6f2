"""Processor time of a question over HTTP and in a batch, and throughput where clients are many and do not wait.

A question takes two model calls: a plan that none is needed, and the answer in so many tokens. The model server answers
at once, or, in the last row, after half a second. In the same run: a bare pass-through of one call, and LangChain's own
client.

python -m benchmarks.serving.app_time [--questions 200] [--tokens 100] [--seconds 8] [--before CHECKOUT]

With `--before`, the app of another checkout is measured in turn with that of this one, and nothing else.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

import httpx
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

QUESTION: dict[str, Any] = {"model": "anabranch", "messages": [{"role": "user", "content": "How old is the oldest?"}]}
CLIENTS = (1, 32, 256)
ROUNDS = 5
DELAY = 0.5
"""Seconds that a call of the slower model takes."""


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    url: str
    pid: int

    def processor(self) -> float:
        """Seconds of processor time that it took until now."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


@contextmanager
def process(*arguments: str, checkout: str = "") -> Iterator[Server]:
    """A server; its address is in the first line that has one, of what it writes or logs.

    Args:
        arguments: what to run, after `python -m`.
        checkout: whose code runs; this one's by default.
    """
    with TemporaryFile() as written:
        command = [sys.executable, "-m", *arguments]
        started = subprocess.Popen(command, stdout=written, stderr=written, **_in(checkout))
        try:
            while not (found := re.search(rb"http://127[\d.:]+(?=[\n\"])", _all_of(written))):
                assert started.poll() is None, _all_of(written).decode()
                time.sleep(0.1)
            yield Server(found[0].decode(), started.pid)
        finally:
            started.kill()
            started.wait()


def _in(checkout: str) -> dict[str, Any]:
    """Where a process runs, so that it finds the code of a checkout."""
    return {"env": os.environ | {"PYTHONPATH": checkout}, "cwd": checkout} if checkout else {}


def _all_of(file: IO[bytes]) -> bytes:
    return os.pread(file.fileno(), 100_000, 0)


async def one_by_one(server: Server, count: int, **body: Any) -> tuple[float, float]:
    """Milliseconds of processor time of a question, and milliseconds that it took."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:

        async def ask(number: int) -> None:
            for _ in range(number):
                reply = await http.post("/v1/chat/completions", json=QUESTION | body)
                assert reply.status_code == 200, reply.text
                assert "word" in reply.text

        await ask(max(10, count // 10))
        processor, began = server.processor(), time.monotonic()
        await ask(count)
        return (server.processor() - processor) / count * 1e3, (time.monotonic() - began) / count * 1e3


async def impatient(server: Server, clients: int, seconds: float) -> tuple[float, int]:
    """Answers a second for clients that ask again at once when they are refused, and how many were refused."""
    answered, refused, end = 0, 0, time.monotonic() + seconds
    body = json.dumps(QUESTION).encode()
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def client() -> None:
        nonlocal answered, refused
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                while time.monotonic() < end:
                    writer.write(request)
                    reply = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                    lines = reply.lower().split(b"\r\n")
                    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
                    await reader.readexactly(length)
                    answered += reply.startswith(b"HTTP/1.1 200")
                    refused += reply.startswith(b"HTTP/1.1 429")
                    if b"connection: close" in reply.lower():
                        break
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answered / seconds, refused


def batch(model: Server, count: int) -> tuple[float, float]:
    """Milliseconds of processor time of a question of `ask --batch`, and questions a second, without the start."""

    def ask(number: int) -> tuple[float, float]:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "questions.jsonl"
            file.write_text("\n".join(json.dumps(f"How old is the oldest in town {n}?") for n in range(number)))
            names = ["--solver", f"{model.url}/v1#m", "--decomposer", f"{model.url}/v1#m", "--concurrency", "32"]
            command = [sys.executable, "-m", "anabranch.cli", "ask", "--batch", str(file), "--quiet", *names]
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, took

    few, many = ask(20), ask(20 + count)
    return (many[0] - few[0]) / count * 1e3, count / (many[1] - few[1])


async def langchain_calls(model: Server, count: int) -> float:
    """Milliseconds of processor time of two calls of LangChain's own client, one after the other, 32 pairs at once."""
    chat = ChatOpenAI(model="m", base_url=f"{model.url}/v1", api_key=SecretStr("none"))
    todo = iter(range(count))

    async def client() -> None:
        for _ in todo:
            await chat.ainvoke("How old is the oldest?")
            await chat.ainvoke("How old is the oldest?")

    await chat.ainvoke("How old?")
    began = time.process_time()
    await asyncio.gather(*(client() for _ in range(32)))
    return (time.process_time() - began) / count * 1e3


def times(through: Server, app: Server, model: Server, args: argparse.Namespace) -> Table:
    """Processor time of a question, by the ways to ask it."""
    table = Table(title=f"a question of two model calls, {args.tokens} tokens, n = {args.questions}")
    for column in ("", "ms of processor time", "/ pass-through of one call", "ms"):
        table.add_column(column, justify="right")
    ways: dict[str, tuple[Server, dict[str, Any]]] = {
        "pass-through of one call": (through, {}),
        "serve app": (app, {}),
        "serve app, streamed": (app, {"stream": True}),
    }
    # In turn, as the machine may do other things meanwhile.
    rounds = [
        [asyncio.run(one_by_one(server, args.questions // ROUNDS, **body)) for server, body in ways.values()]
        for _ in range(ROUNDS)
    ]
    for place, name in enumerate(ways):
        processor, took = (statistics.median(column) for column in zip(*(each[place] for each in rounds), strict=True))
        ratio = statistics.median(each[place][0] / each[0][0] for each in rounds)
        table.add_row(name, f"{processor:.1f}", f"{ratio:.1f}", f"{took:.1f}")
    bare = statistics.median(each[0][0] for each in rounds)
    theirs = asyncio.run(langchain_calls(model, args.questions))
    processor, rate = batch(model, args.questions)
    table.add_row("two calls of LangChain's client, 32 at once", f"{theirs:.1f}", f"{theirs / bare:.1f}", "")
    table.add_row("ask --batch, 32 at once", f"{processor:.1f}", f"{processor / bare:.1f}", f"{1e3 / rate:.1f}")
    return table


def before_and_after(before: Server, after: Server, count: int) -> Table:
    """Processor time of a question in another checkout and in this one, in turn."""
    table = Table(title=f"ms of processor time of a question, n = {count}, medians of {ROUNDS} rounds in turn")
    for column in ("", "before", "after", "after / before"):
        table.add_column(column, justify="right")

    def over_http(server: Server, **body: Any) -> float:
        return asyncio.run(one_by_one(server, count // ROUNDS, **body))[0]

    ways: dict[str, list[Callable[[], float]]] = {
        "serve app": [partial(over_http, server) for server in (before, after)],
        "serve app, streamed": [partial(over_http, server, stream=True) for server in (before, after)],
    }
    rounds = [{name: [measure() for measure in pair] for name, pair in ways.items()} for _ in range(ROUNDS)]
    for name in ways:
        first, second = (statistics.median(each[name][place] for each in rounds) for place in (0, 1))
        ratio = statistics.median(each[name][1] / each[name][0] for each in rounds)
        table.add_row(name, f"{first:.1f}", f"{second:.1f}", f"{ratio:.2f}")
    return table


def rates(through: Server, app: Server, slow: Server, over_slow: Server, seconds: float) -> Table:
    """Answers a second."""
    table = Table(title=f"answers a second for {seconds:g} s; clients ask again at once")
    for column in ("clients", "bare", "serve app", "refused", "of bare", "of that at 32"):
        table.add_column(column, justify="right")
    at_32 = 0.0
    for clients in CLIENTS:
        bare, _ = asyncio.run(impatient(through, clients, seconds / 2))
        rate, refused = asyncio.run(impatient(app, clients, seconds))
        at_32 = rate if clients == 32 else at_32
        share = f"{rate / at_32:.2f}" if at_32 else ""
        table.add_row(str(clients), f"{bare:.0f}", f"{rate:.1f}", str(refused), f"{rate / bare:.2f}", share)
    # As many questions as two calls one after the other allow.
    seconds = max(seconds, 30 * DELAY)
    bare = asyncio.run(impatient(slow, 32, seconds))[0] / 2
    rate, refused = asyncio.run(impatient(over_slow, 32, seconds))
    table.add_row(f"32, calls of {DELAY:g} s", f"{bare:.0f}", f"{rate:.1f}", str(refused), f"{rate / bare:.2f}", "")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--before", default="", help="folder of another checkout, to compare with")
    args = parser.parse_args()
    with ExitStack() as stack:

        def start(*arguments: str) -> Server:
            return stack.enter_context(process(*arguments))

        def app(model: Server, checkout: str = "") -> Server:
            names = ["--solver", f"{model.url}/v1#m", "--decomposer", f"{model.url}/v1#m", "--max-concurrency", "32"]
            command = ("anabranch.cli", "serve", "app", "--port", "0", *names)
            return stack.enter_context(process(*command, checkout=checkout))

        upstream = "benchmarks.serving.upstream"
        model = start(upstream, "model", "--tokens", str(args.tokens))
        console = Console()
        if args.before:
            pair = app(model, args.before), app(model)
            console.print(before_and_after(*pair, args.questions))
            return
        slow = start(upstream, "model", "--tokens", str(args.tokens), "--delay", str(DELAY))
        through, over, over_slow = start(upstream, "through", f"{model.url}/v1"), app(model), app(slow)
        console.print(times(through, over, model, args))
        console.print(rates(through, over, slow, over_slow, args.seconds))


if __name__ == "__main__":
    main()
