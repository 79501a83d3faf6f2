"""`anabranch serve app --workers`, with real processes."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from anabranch.serving.options import Limits
from anabranch.serving.workers import share
from tests.cli import scenario
from tests.openai_server import OpenAIServer

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
TOOL = {
    "type": "function",
    "function": {
        "name": "lookup",
        "description": "Looks up facts about people.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}
USER = {"role": "user", "content": scenario.QUESTION}


class Workers:
    """`anabranch serve app` with two workers."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.errors = home / "errors.txt"
        shared = ("--workers", "2", "--threads", "threads.sqlite")
        with self.errors.open("w") as errors:
            self.process = scenario.start(home, "serve", "app", "--port", "0", *shared, *arguments, stderr=errors)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["message"] == message]

    def begun(self, count: int = 2) -> "Workers":
        """Waits until so many workers have begun, those that are gone included."""
        scenario.wait_until(lambda: len(self.said("worker begins")) >= count or self.process.poll() is not None, 200)
        assert self.process.poll() is None, self.errors.read_text()
        return self

    @property
    def url(self) -> str:
        return str(self.said("listening")[0]["url"])

    @property
    def ids(self) -> list[int]:
        return [line["process"] for line in self.said("worker begins")]

    def ask(self, *messages: Any, **more: Any) -> tuple[dict[str, Any], int]:
        """A reply's message, and the process that it came from, on a connection of its own."""
        body = {"model": "anabranch", "messages": messages, **more}
        reply = httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        id_ = reply.headers["x-request-id"]
        scenario.wait_until(lambda: any(line.get("id") == id_ for line in self.log))
        process = next(line["process"] for line in self.log if line.get("id") == id_)
        return reply.json()["choices"][0]["message"], process

    def answered(self) -> float:
        """How many questions were answered, by the counters of whichever worker is asked."""
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        wanted = 'anabranch_requests_total{route="/v1/chat/completions",status="200"}'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted))


@pytest.fixture
def start(home: Path, models: Callable[..., list[str]]) -> Iterator[Callable[..., Workers]]:
    started: list[Workers] = []

    def begin(*arguments: str) -> Workers:
        started.append(Workers(home, *models(*arguments)))
        return started[-1]

    yield begin
    for workers in started:
        # Whoever is left ends with the process that started it.
        workers.process.kill()
        workers.process.communicate()


def test_workers_share_plans_and_counts_and_are_replaced(start: Callable[..., Workers], server: OpenAIServer) -> None:
    workers = start().begun()
    asked, first = workers.ask(USER, tools=[TOOL])
    assert {call["function"]["name"] for call in asked["tool_calls"]} == {"lookup"}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1952"} for call in asked["tool_calls"]]
    count, others = 1, set[int]()
    while not others:
        went_on, process = workers.ask(USER, asked, *results, tools=[TOOL])
        assert went_on["tool_calls"] or went_on["content"]
        count, others = count + 1, others | ({process} - {first})
        assert count < 200, "one worker takes it all"
    assert workers.answered() == count

    os.kill(first, signal.SIGKILL)
    assert workers.begun(3).said("worker replaced")[0]["worker"] == first
    _, process = workers.ask(USER, asked, *results, tools=[TOOL])
    assert process in set(workers.ids) - {first}
    assert workers.answered() == count + 1

    server.delay = 0.5
    before = len(server.requests)
    with ThreadPoolExecutor() as pool:
        under_way = pool.submit(workers.ask, USER)
        scenario.wait_until(lambda: len(server.requests) > before)
        workers.process.send_signal(signal.SIGTERM)
        assert under_way.result()[0]["content"] == scenario.ANSWER
    assert workers.process.wait(60) == 0
    assert workers.log[-1]["message"] == "stopped"


def test_workers_that_cannot_begin_are_not_begun_again(start: Callable[..., Workers]) -> None:
    workers = start("--docs", "nothing")
    assert workers.process.wait(200) == 1
    told = workers.errors.read_text().splitlines()
    assert "error: there is no 'nothing'" in "\n".join(told)
    assert told[-1] == "error: the workers could not begin; what is wrong stands above"
    assert "Traceback" not in "\n".join(told)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_workers_end_with_the_process_that_started_them(
    start: Callable[..., Workers], number: signal.Signals, code: int
) -> None:
    workers = start().begun()
    workers.process.send_signal(number)
    assert workers.process.wait(60) == code
    scenario.wait_until(lambda: not any(Path(f"/proc/{id_}").exists() for id_ in workers.ids))


def test_limits_are_divided() -> None:
    mine = share(Limits(max_concurrency=9, max_queue=3, timeout=7), 4)
    assert (mine.max_concurrency, mine.max_queue, mine.timeout) == (2, 0, 7)
