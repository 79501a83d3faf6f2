"""A closed-loop load on a served decomposer, from several processes, so that the client is not the limit.

python -m benchmarks.serving.load http://127.0.0.1:8000/v1#decomposer-135m --data gsm8k_main_test.jsonl [--clients 1024]

Prints plans a second, seconds and dollars for each number of clients, with the grammar on demand and without, and adds
the figures to --out. Replies are kept as bytes and read when the clock has stopped. One request in `STREAM_EVERY` is
streamed; those give the time to the first token. With the grammar on demand, a client reads each reply as the
decomposer does, and asks again where a line fits no plan; all of these count as one request.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, get_args

import aiohttp

from anabranch.on_demand import Reply, asks
from benchmarks.serving.prompts import Grammar, Prompts

STREAM_EVERY = 16
TIMEOUT = 300.0


@dataclass
class Exchange:
    """One request and what came back; times are of the machine's monotonic clock, in seconds.

    `before` are the replies before the last, where something had to be put right, and `plan` what came of all of them.
    """

    id: str
    streamed: bool
    began: float = 0.0
    first: float = 0.0
    ended: float = 0.0
    status: int = 0
    body: bytes = b""
    error: str = ""
    before: list[bytes] = field(default_factory=list)
    plan: Reply | None = None


@dataclass(frozen=True)
class Share:
    """What one client process sends: for each request its row, whether it is streamed, and its body.

    `prompts` has no rows; with `on_demand`, what fits no plan is put right under its grammar.
    """

    url: str
    model: str
    concurrency: int
    requests: list[tuple[dict[str, Any], bool, bytes]]
    prompts: Prompts
    on_demand: bool


def drive(
    url: str,
    model: str,
    prompts: Prompts,
    *,
    concurrency: int,
    requests: int,
    grammar: Grammar,
    processes: int = 4,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Sends `requests` prompts from `concurrency` clients, to a server; figures, and the plans by id."""
    rows = [prompts.measured[n % len(prompts.measured)] for n in range(requests)]
    bodies = []
    for place, row in enumerate(rows):
        stream = place % STREAM_EVERY == 0 and grammar != "on_demand"
        body = prompts.body(row, model, prompts.first(grammar), stream=stream)
        bodies.append((row, stream, body))
    processes = min(processes, concurrency)
    bare, on_demand = replace(prompts, rows=[]), grammar == "on_demand"
    clients = [concurrency // processes + (n < concurrency % processes) for n in range(processes)]
    shares = [Share(url, model, count, bodies[n::processes], bare, on_demand) for n, count in enumerate(clients)]
    exchanges = _in_processes(shares)
    replies = [_read(exchange) for exchange in exchanges]
    figures = summarize(exchanges, replies, prompts, concurrency)
    return {"concurrency": concurrency, "grammar": grammar, **figures}, replies


def summarize(
    exchanges: Sequence[Exchange], replies: Sequence[dict[str, Any]], prompts: Prompts, concurrency: int
) -> dict[str, Any]:
    """Plans a second, latencies, tokens and validity of a run."""
    done = [(exchange, reply) for exchange, reply in zip(exchanges, replies, strict=True) if reply["text"] is not None]
    errors: dict[str, int] = {}
    for reply in replies:
        if reply["text"] is None:
            errors[reply["error"]] = errors.get(reply["error"], 0) + 1
    seconds = max(e.ended for e in exchanges) - min(e.began for e in exchanges)
    latencies = [exchange.ended - exchange.began for exchange, _ in done]
    firsts = [exchange.first - exchange.began for exchange, _ in done if exchange.first]
    return {
        "requests": len(exchanges),
        "errors": sum(errors.values()),
        "error_kinds": errors,
        "seconds": seconds,
        "plans_per_s": len(done) / seconds,
        "steady_plans_per_s": steady([e.ended for e in exchanges if e.status == 200], concurrency),
        "tokens_in": sum(reply["tokens_in"] for _, reply in done),
        "tokens_out": sum(reply["tokens_out"] for _, reply in done),
        "latency_p50": percentile(latencies, 50),
        "latency_p99": percentile(latencies, 99),
        "first_token_p50": percentile(firsts, 50),
        "first_token_p99": percentile(firsts, 99),
        "first_token_n": len(firsts),
        "asked_again": sum(bool(e.before) for e in exchanges),
        "cut": sum(reply["finish"] == "length" for _, reply in done),
        "valid": sum(prompts.valid(reply["text"], cut=reply["finish"] == "length") for _, reply in done),
    }


def steady(ends: Sequence[float], concurrency: int) -> float | None:
    """Plans a second without the beginning, when all clients ask at once, and without the end, when they run dry.

    It counts from the completion of as many plans as there are clients until no more than that are left; None where
    fewer than as many again lie between.
    """
    ends = sorted(ends)
    between = len(ends) - 2 * concurrency
    if between < concurrency:
        return None
    return between / (ends[concurrency + between - 1] - ends[concurrency - 1])


def percentile(values: Sequence[float], of_hundred: int) -> float | None:
    """A percentile, or None where there are too few values."""
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[of_hundred - 1]


def _in_processes(shares: Sequence[Share]) -> list[Exchange]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    queue: Any = context.Queue()
    children = [context.Process(target=_child, args=(share, barrier, queue)) for share in shares]
    for child in children:
        child.start()
    exchanges = [exchange for _ in shares for exchange in queue.get()]
    for child in children:
        child.join()
    return exchanges


def _child(share: Share, barrier: Barrier, queue: Any) -> None:
    queue.put(asyncio.run(_send(share, barrier)))


async def _send(share: Share, barrier: Barrier) -> list[Exchange]:
    exchanges = [Exchange(row["id"], streamed) for row, streamed, _ in share.requests]
    todo = iter(list(zip(exchanges, share.requests, strict=True)))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        barrier.wait()
        await asyncio.gather(*(_client(session, todo, share) for _ in range(share.concurrency)))
    return exchanges


async def _client(
    session: Any, todo: Iterator[tuple[Exchange, tuple[dict[str, Any], bool, bytes]]], share: Share
) -> None:
    for exchange, (row, _, body) in todo:
        exchange.began = time.monotonic()
        try:
            await _post(session, share.url, exchange, body)
            if share.on_demand:
                await _go_on(session, exchange, row, share)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            exchange.error = type(error).__name__
        exchange.ended = time.monotonic()


async def _post(session: Any, url: str, exchange: Exchange, body: bytes) -> None:
    async with session.post(f"{url}/chat/completions", data=body) as response:
        exchange.status = response.status
        if exchange.streamed:
            await _read_stream(exchange, response)
        else:
            exchange.body = await response.read()


async def _go_on(session: Any, exchange: Exchange, row: dict[str, Any], share: Share) -> None:
    """Asks for what is missing until there is a plan; what failed is not asked for again."""
    writing = asks(share.prompts.grammar)
    next(writing)
    while (reply := _read(exchange))["text"] is not None:
        try:
            ask = writing.send((reply["text"], reply["finish"] == "length"))
        except StopIteration as done:
            exchange.plan = done.value
            return
        exchange.before.append(exchange.body)
        await _post(session, share.url, exchange, share.prompts.body(row, share.model, ask))


async def _read_stream(exchange: Exchange, response: Any) -> None:
    pieces = []
    async for line in response.content:
        # The first event has the role alone.
        if not exchange.first and b'"content":"' in line and b'"content":""' not in line:
            exchange.first = time.monotonic()
        pieces.append(line)
    exchange.body = b"".join(pieces)


def _read(exchange: Exchange) -> dict[str, Any]:
    """The text, why it ended, and the tokens of a reply; `text` is None where there was none."""
    failed = {"id": exchange.id, "text": None, "finish": None, "tokens_in": 0, "tokens_out": 0}
    if exchange.error or exchange.status != 200:
        return failed | {"error": exchange.error or f"{exchange.status}: {exchange.body[:200]!r}"}
    try:
        events = [json.loads(exchange.body)] if not exchange.streamed else _events(exchange.body)
        choices = [event["choices"][0] for event in events if event["choices"]]
        text = "".join((c.get("message") or c.get("delta") or {}).get("content") or "" for c in choices)
        usage = next(event["usage"] for event in reversed(events) if event.get("usage"))
    except (ValueError, LookupError, StopIteration) as error:
        return failed | {"error": f"unreadable reply: {type(error).__name__}"}
    used = [usage, *(json.loads(body)["usage"] for body in exchange.before)]
    whole, cut = exchange.plan or (text, choices[-1]["finish_reason"] == "length")
    return {
        "id": exchange.id,
        "text": whole,
        "finish": "length" if cut else "stop",
        "tokens_in": sum(each["prompt_tokens"] for each in used),
        "tokens_out": sum(each["completion_tokens"] for each in used),
    }


def _events(body: bytes) -> list[dict[str, Any]]:
    data = (line[6:] for line in body.split(b"\n") if line.startswith(b"data: "))
    return [json.loads(text) for text in data if text.strip() != b"[DONE]"]


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures for each number of clients and each grammar, after a warm-up in which the grammar is compiled."""
    url, _, model = arguments.server.partition("#")
    prompts = Prompts.of(arguments.data, arguments.requests)
    warm = Prompts(prompts.grammar, prompts.max_tokens, prompts.warm_up * 2)
    for clients in arguments.clients:
        count = min(clients, len(prompts.warm_up))
        drive(url, model, warm, concurrency=count, requests=count, grammar="always", processes=1)
        for grammar in arguments.grammar:
            # Few clients take long for many requests, and tell as much with fewer.
            requests = min(arguments.requests, max(24, 20 * clients))
            figures, _ = drive(
                url,
                model,
                prompts,
                concurrency=clients,
                requests=requests,
                grammar=grammar,
                processes=arguments.processes,
            )
            rate = figures["plans_per_s"]
            figures["dollars_per_1000"] = arguments.dollars_per_hour / 3.6 / rate if rate else None
            yield {"label": arguments.label or model, **figures}


COLUMNS = {
    "clients": "concurrency",
    "grammar": "grammar",
    "n": "requests",
    "plans/s": "plans_per_s",
    "steady": "steady_plans_per_s",
    "p50 s": "latency_p50",
    "p99 s": "latency_p99",
    "first token p50 s": "first_token_p50",
    "asked again": "asked_again",
    "valid": "valid",
    "errors": "errors",
    "$ per 1,000 plans": "dollars_per_1000",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", help="address of the server, with the model's name after a #")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="JSON lines: id, question")
    parser.add_argument("--clients", type=int, nargs="+", default=[1024, 256, 32, 1])
    parser.add_argument("--grammar", nargs="+", choices=get_args(Grammar), default=["on_demand", "never"])
    parser.add_argument("--requests", type=int, default=4096, help="most plans of a measurement")
    parser.add_argument("--processes", type=int, default=6, help="client processes")
    parser.add_argument("--dollars-per-hour", type=float, default=3.0)
    parser.add_argument("--label", default="", help="kept with the figures")
    parser.add_argument("--out", type=Path, default=Path("serving.jsonl"))
    arguments = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for figures in measure(arguments):
        with arguments.out.open("a", encoding="utf-8") as sink:
            sink.write(json.dumps(figures) + "\n")
        cells = [figures[name] for name in COLUMNS.values()]
        print(
            f"| {' | '.join(f'{cell:.3g}' if isinstance(cell, float) else str(cell or 0) for cell in cells)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
