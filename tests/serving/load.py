"""Many clients at once, and the server that they come to: `python -m tests.serving.load` is that server."""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from anabranch.serving.app import create_app
from anabranch.serving.options import Limits
from anabranch.serving.server import serve_app
from anabranch.serving.service import Service
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json, search
from tests.serving import live

ANSWER = "it is as the sub-questions say it is"
CHAT: dict[str, Any] = {"model": "anabranch", "messages": [{"role": "user", "content": live.QUESTION}]}
PLAN = plan_json(("search", "Who founded Craigslist?", []), ("solve", "When was {1} born?", [1]))


class Forgetful(ScriptedChatModel):
    """A scripted model that keeps no record, which would look like a leak."""

    def _reply(self, *arguments: Any) -> Any:
        self.prompts.clear()
        self.bound.clear()
        self.cancelled.clear()
        return super()._reply(*arguments)


@dataclass
class Tally:
    """What became of the requests.

    Attributes:
        whole: answered as they should be.
        refused: sent away with 429 and Retry-After.
        left: broken off by the client, on purpose.
        lost: everything else, by what happened.
        seconds: how long each of the whole ones took.
    """

    whole: int = 0
    refused: int = 0
    left: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.whole + self.refused + self.left + self.lost.total()


async def swarm(url: str, clients: int, seconds: float) -> Tally:
    """Lets clients ask one question after the other, each on a connection of its own, until the time is up.

    Of ten, five ask for a whole answer, three for a stream, one for a plan, and one leaves in the middle of a stream.
    """
    tally, end = Tally(), time.monotonic() + seconds

    async def client(number: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=600, verify=False, trust_env=False) as http:
            await asyncio.sleep(random.random() * min(2.0, seconds / 4))
            while time.monotonic() < end:
                try:
                    wait = await _ask(http, number, tally)
                except (httpx.HTTPError, AssertionError, ValueError, KeyError) as error:
                    tally.lost[f"{type(error).__name__}: {error}"[:100]] += 1
                    wait = 0.1
                await asyncio.sleep(min(wait, max(0.0, end - time.monotonic())))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return tally


async def _ask(http: httpx.AsyncClient, number: int, tally: Tally) -> float:
    """One request; the seconds to wait after it."""
    kind, began = number % 10, time.monotonic()
    if kind in (5, 6, 7, 9):
        outcome = await _stream(http, leave=kind == 9)
    else:
        body = {"question": live.QUESTION} if kind == 8 else CHAT
        reply = await http.post("/v1/plans" if kind == 8 else "/v1/chat/completions", json=body)
        outcome = _wait(reply)
        if outcome == 0.0:
            data = reply.json()
            found = data["new"] == [1, 2] if kind == 8 else data["choices"][0]["message"]["content"] == ANSWER
            assert found, f"another answer: {reply.text}"
    if outcome:
        tally.refused += 1
        return outcome * (0.5 + random.random())
    if kind == 9:
        tally.left += 1
    else:
        tally.whole += 1
        tally.seconds.append(time.monotonic() - began)
    return 0.0


async def _stream(http: httpx.AsyncClient, *, leave: bool) -> float:
    text = ""
    async with http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as reply:
        if reply.status_code != 200:
            await reply.aread()
            return _wait(reply)
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            text += json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content", "")
            if leave and text:
                return 0.0
        assert line == "data: [DONE]" or not line, f"the stream broke off: {line}"
    assert text == ANSWER, f"another answer: {text}"
    return 0.0


def _wait(reply: httpx.Response) -> float:
    if reply.status_code == 429:
        return float(reply.headers["retry-after"])
    assert reply.status_code == 200, f"status {reply.status_code}: {reply.text}"
    return 0.0


@contextmanager
def server(*, concurrency: int, queue: int) -> Iterator[tuple[str, int]]:
    """The server as a process of its own: its address and process id."""
    options = ["--concurrency", str(concurrency), "--queue", str(queue)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serving.load", *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stderr
    try:
        line = next(line for line in process.stderr if '"listening"' in line)
        yield json.loads(line)["url"], process.pid
    finally:
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0


def resident(pid: int) -> float:
    """Memory of a process that is in RAM, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def metric(url: str, name: str) -> float:
    """One of the server's gauges."""
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--queue", type=int, default=64)
    args = parser.parse_args()
    decomposer = Forgetful(script=live.always(PLAN))
    solver = Forgetful(
        script=lambda prompt: ANSWER if "Sub-questions and their answers:" in prompt else "x", word_delay=0.01
    )
    parts = live.parts(decomposer, solver, [search])
    service = Service(parts, Limits(max_concurrency=args.concurrency, max_queue=args.queue, timeout=600))
    app = create_app(service)
    # Nobody reads the log here, and a full pipe would stop the server.
    import logging

    logging.getLogger("anabranch.access").disabled = True
    serve_app(app, "127.0.0.1", 0, drain_seconds=10)


if __name__ == "__main__":
    main()
