"""Processor time of a question over HTTP, and throughput where clients are many and do not wait.

A question takes two model calls: a plan that none is needed, and the answer in so many tokens. The model server answers
at once. A bare pass-through to it, of one call, is measured in the same run.

python -m benchmarks.serving.app_time [--questions 200] [--tokens 100] [--seconds 8]
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import httpx
from rich.console import Console
from rich.table import Table

QUESTION: dict[str, Any] = {"model": "anabranch", "messages": [{"role": "user", "content": "How old is the oldest?"}]}
CLIENTS = (1, 32, 256)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    url: str
    pid: int

    def processor(self) -> float:
        """Seconds of processor time that it took until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def process(*arguments: str) -> Iterator[Server]:
    """A server; its address is in the first line that has one, of what it writes or logs."""
    with TemporaryFile() as written:
        started = subprocess.Popen([sys.executable, "-m", *arguments], stdout=written, stderr=written)
        try:
            while not (found := re.search(rb"http://127[\d.:]+(?=[\n\"])", _all_of(written))):
                assert started.poll() is None, _all_of(written).decode()
                time.sleep(0.1)
            yield Server(found[0].decode(), started.pid)
        finally:
            started.kill()
            started.wait()


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=8)
    args = parser.parse_args()
    with ExitStack() as stack:
        upstream = "benchmarks.serving.upstream"
        model = stack.enter_context(process(upstream, "model", "--tokens", str(args.tokens)))
        through = stack.enter_context(process(upstream, "through", f"{model.url}/v1"))
        names = ["--solver", f"{model.url}/v1", "--decomposer", f"{model.url}/v1", "--port", "0"]
        app = stack.enter_context(process("anabranch.cli", "serve", "app", *names))
        times = Table(title=f"a question over HTTP, {args.tokens} tokens, n = {args.questions}")
        for column in ("", "ms of processor time", "ms"):
            times.add_column(column, justify="right")
        for name, server, body in (
            ("pass-through of one call", through, {}),
            ("serve app", app, {}),
            ("serve app, streamed", app, {"stream": True}),
        ):
            processor, took = asyncio.run(one_by_one(server, args.questions, **body))
            times.add_row(name, f"{processor:.1f}", f"{took:.1f}")
        rates = Table(title=f"answers a second for {args.seconds:g} s; clients ask again at once")
        for column in ("clients", "pass-through", "serve app", "refused", "of that at 32"):
            rates.add_column(column, justify="right")
        at_32 = 0.0
        for clients in CLIENTS:
            bare, _ = asyncio.run(impatient(through, clients, args.seconds / 2))
            rate, refused = asyncio.run(impatient(app, clients, args.seconds))
            at_32 = rate if clients == 32 else at_32
            share = f"{rate / at_32:.2f}" if at_32 else ""
            rates.add_row(str(clients), f"{bare:.0f}", f"{rate:.1f}", str(refused), share)
        console = Console()
        console.print(times)
        console.print(rates)


if __name__ == "__main__":
    main()
