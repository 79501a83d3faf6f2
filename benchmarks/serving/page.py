"""The page: how long it takes to load, how soon a line of the plan is seen, and 50 viewers at once.

The scripted decomposer writes into each line when it was written. Viewers read the same streams as the page does.

python -m benchmarks.serving.page [--loads 10] [--runs 10] [--viewers 50]
"""

import argparse
import asyncio
import json
import logging
import re
import secrets
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from rich.console import Console
from rich.table import Table

from anabranch.agents.decomposer import LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.serving.app import create_app
from anabranch.serving.options import Limits
from anabranch.serving.server import serve_app
from anabranch.serving.service import Service
from benchmarks.serving.app_time import process
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import search
from tests.serving import live

QUESTION = "Who founded Craigslist, when, and where?"
LINES = (
    "1 [search] Who founded Craigslist",
    "2 [search] When was it founded",
    "3 [solve] What follows from {1} and {2}",
)
WORD_SECONDS = 0.05
STAMP = re.compile(r"at (\d+\.\d+)\?")
READY = """
    new MutationObserver(() => {
        if (document.documentElement.dataset.ready) window.ready ??= performance.now() / 1000;
    }).observe(document, { attributes: true, subtree: true });
"""
SEEN = """() => {
    window.seen = [];
    const told = new Set();
    new MutationObserver(() => {
        for (const card of document.querySelectorAll("li.card")) {
            const stamp = /at (\\d+\\.\\d+)\\?/.exec(card.textContent);
            if (!stamp || told.has(stamp[1])) continue;
            told.add(stamp[1]);
            // After the next frame it is on the screen.
            requestAnimationFrame(() => window.seen.push(Date.now() / 1000 - Number(stamp[1])));
        }
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


class Stamping(ScriptedChatModel):
    """Writes lines, a word at a time, each of which ends with the time at which it was written."""

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for place, line in enumerate(LINES):
            for word in line.split():
                await asyncio.sleep(WORD_SECONDS)
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
            end = f"at {time.time():.3f}?" + ("\n" if place < len(LINES) - 1 else "")
            yield ChatGenerationChunk(message=AIMessageChunk(content=end))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))


def serve() -> None:
    """The server, as a process of its own."""
    decomposer = LineDecomposer(RoleModel(Stamping(script=[], word_delay=0.0)))
    solver = ScriptedChatModel(
        script=live.always("Craig Newmark, in 1995, in San Francisco"), delay=0.5, word_delay=0.03
    )
    service = Service(live.parts(decomposer, solver, [search]), Limits(max_concurrency=64, max_queue=64))
    logging.getLogger("anabranch.access").disabled = True
    serve_app(create_app(service), "127.0.0.1", 0, drain_seconds=5)


async def view(client: httpx.AsyncClient, lags: list[float], totals: list[float]) -> None:
    """One viewer: asks, and reads the events to the end."""
    began = time.monotonic()
    told = set[str]()
    headers = {"Anabranch-Thread": secrets.token_urlsafe(18)}
    async with client.stream("POST", "/page/runs", json={"question": QUESTION}, headers=headers) as reply:
        assert reply.status_code == 200, await reply.aread()
        async for line in reply.aiter_lines():
            now = time.time()
            if not line.startswith("data: "):
                continue
            event = json.loads(line.removeprefix("data: "))
            for question in event.get("sub_questions", ()) if event["type"] == "draft" else ():
                stamp = STAMP.search(question["text"])
                if stamp and stamp[1] not in told:
                    told.add(stamp[1])
                    lags.append(now - float(stamp[1]))
    assert len(told) == len(LINES)
    assert event["type"] == "end"
    totals.append(time.monotonic() - began)


async def watch(url: str, viewers: int, lags: list[float], totals: list[float]) -> None:
    """Viewers who all begin at the same time."""
    limits = httpx.Limits(max_connections=viewers)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await asyncio.gather(*(view(client, lags, totals) for _ in range(viewers)))


def browse(url: str, loads: int, runs: int) -> tuple[list[float], list[float]]:
    """Seconds until the page is ready, and from each line to its card."""
    from playwright.sync_api import sync_playwright

    ready, seen = list[float](), list[float]()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        for _ in range(loads):
            context = browser.new_context()
            page = context.new_page()
            page.add_init_script(READY)
            page.goto(url)
            page.wait_for_selector("html[data-ready]")
            ready.append(page.evaluate("window.ready"))
            context.close()
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        page.evaluate(SEEN)
        for number in range(runs):
            page.get_by_label("Your question").fill(QUESTION)
            page.keyboard.press("Enter")
            page.wait_for_function("n => document.querySelectorAll('.foot:not(:empty)').length === n", arg=number + 1)
        seen = page.evaluate("window.seen")
        browser.close()
    return ready, seen


def row(table: Table, name: str, values: Sequence[float]) -> None:
    """Adds what is to be known of some seconds."""
    ordered = sorted(values)
    most = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    table.add_row(
        name, str(len(values)), *(f"{1000 * value:,.0f}" for value in (statistics.median(values), most, ordered[-1]))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--serve", action="store_true", help="be the server")
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    table = Table(title="The page")
    for column in ("milliseconds", "n", "median", "p95", "most"):
        table.add_column(column, justify="right")
    with process("benchmarks.serving.page", "--serve") as server:
        if shutil.which("chromium"):
            ready, seen = browse(server.url, args.loads, args.runs)
            row(table, "until the page is ready", ready)
            row(table, "from a line to its card on the screen", seen)
        lags, alone, totals = list[float](), list[float](), list[float]()
        asyncio.run(watch(server.url, 1, [], alone))
        before = server.processor()
        asyncio.run(watch(server.url, args.viewers, lags, totals))
        spent = server.processor() - before
    row(table, "one viewer: a question", alone)
    row(table, f"{args.viewers} viewers at once: from a line to its event", lags)
    row(table, f"{args.viewers} viewers at once: a question", totals)
    Console().print(table)
    Console().print(f"{1000 * spent / args.viewers:.0f} ms of the server's processor time a question")


if __name__ == "__main__":
    main()
