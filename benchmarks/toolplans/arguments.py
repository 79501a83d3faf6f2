"""Arguments of the planned calls against those that people wrote: names and values, F1 over all calls of a set.

```
anabranch eval --task toolplans --data toolplans_seal.jsonl --tools toolplans_seal_tools.json --out RUN --decomposer ...
python -m benchmarks.toolplans.arguments RUN toolplans_seal.jsonl toolplans_seal_tools.json --solver http://host:8000/v1
```

Plans are those of a run of `anabranch eval`; the solver writes the arguments of each planned call as it does in the
product. No tool runs: a result that a call needs is written as Seal-Tools writes it, `API_call_0`. A call that the set
has and the plan has not counts as lost. Ways to ask for arguments are compared in one run:

* `alone`: the sub-task is all that the solver sees; every value is kept.
* `product`: what the planner does for look-ups.
* `request`: the user's request is shown beside it; every value is kept.
* `request, given`: the same; what is written nowhere is left out.
"""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from anabranch.agents import prompts
from anabranch.agents.arguments import arguments_in, parameters_of, write_arguments
from anabranch.agents.grounding import made_up
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.structured import call_for_json
from anabranch.errors import AnabranchError
from anabranch.evals.intervals import mean, paired_difference
from anabranch.evals.records import RunFolder
from anabranch.plan import SOLVE, Plan, fill
from anabranch.replies import json_values

Arguments = dict[str, Any]
Way = Callable[[RoleModel, BaseTool, str, str], Awaitable[Arguments]]


@dataclass(frozen=True)
class Wanted:
    """A request with the calls that fulfil it."""

    question: str
    tools: Sequence[str]
    arguments: Sequence[Arguments]


async def alone(model: RoleModel, tool: BaseTool, text: str, request: str) -> Arguments:
    """From the sub-task; every value is kept."""
    return await _written(model, tool, prompts.arguments_messages(*_told(tool, text)))


async def product(model: RoleModel, tool: BaseTool, text: str, request: str) -> Arguments:
    """As the planner writes the arguments of look-ups."""
    return await write_arguments(model, tool, text)


async def with_request(model: RoleModel, tool: BaseTool, text: str, request: str) -> Arguments:
    """From the sub-task and the request."""
    return await _written(model, tool, prompts.action_messages(*_told(tool, text), [request]))


async def with_request_given(model: RoleModel, tool: BaseTool, text: str, request: str) -> Arguments:
    """From the sub-task and the request, without what stands in neither."""
    return given(await with_request(model, tool, text, request), tool, [text, request])


def given(written: Arguments, tool: BaseTool, known: Sequence[str]) -> Arguments:
    """What is said in `known` of what was written."""
    invented = made_up(written, parameters_of(tool), known)
    return {name: value for name, value in written.items() if name not in invented}


def _told(tool: BaseTool, text: str) -> tuple[str, str, str, str]:
    return text, tool.name, tool.description, json.dumps(parameters_of(tool))


async def _written(model: RoleModel, tool: BaseTool, messages: Sequence[Any]) -> Arguments:
    parameters = parameters_of(tool)
    reply = await call_for_json(model, messages, {"title": "arguments", **parameters}, role="solver", strict=False)
    written = arguments_in(json_values(reply), tool.name, parameters) or {}
    return {name: value for name, value in written.items() if value not in (None, "", [], {})}


WAYS: Mapping[str, Way] = {
    "alone": alone,
    "product": product,
    "request": with_request,
    "request, given": with_request_given,
}


def f1(written: Sequence[tuple[str, Arguments]], wanted: Sequence[tuple[str, Arguments]]) -> Mapping[str, Counter[str]]:
    """Names and values found, written and wanted of one request; calls of one tool are told apart by their order."""
    counts: dict[str, Counter[str]] = {"names": Counter(), "values": Counter()}
    for kind, counter in counts.items():
        mine, right = _leaves(written, kind), _leaves(wanted, kind)
        counter.update(common=(mine & right).total(), written=mine.total(), wanted=right.total())
    return counts


def _leaves(calls: Sequence[tuple[str, Arguments]], kind: str) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for tool, arguments in calls:
        for name, value in arguments.items():
            found[(tool, name) if kind == "names" else (tool, name, _plain(value))] += 1
    return found


def _plain(value: Any) -> str:
    """A value as it is compared: numbers by their value, texts without case, outer spaces and a closing full stop."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    try:
        return f"{float(text.replace(',', '')):g}"
    except ValueError:
        return " ".join(text.casefold().split()).strip(" .'\"")


def _f1_of(counts: Sequence[Counter[str]]) -> float:
    all_: Counter[str] = sum(counts, Counter())
    return 100 * 2 * all_["common"] / max(1, all_["written"] + all_["wanted"])


async def _calls(
    way: Way, model: RoleModel, plan: Plan, wanted: Wanted, tools: Mapping[str, BaseTool]
) -> tuple[list[tuple[str, Arguments]], int]:
    places = {name: f"API_call_{place}" for place, name in reversed(list(enumerate(wanted.tools)))}
    results = {q.id: places.get(q.route, "the result") for q in plan.sub_questions}
    written: list[tuple[str, Arguments]] = []
    failed = 0
    for question in plan.sub_questions:
        if question.route == SOLVE or question.route not in tools:
            continue
        text = fill(question.text, results)
        try:
            written.append((question.route, await way(model, tools[question.route], text, wanted.question)))
        except AnabranchError:
            failed += 1
            written.append((question.route, {}))
    return written, failed


def read_wanted(path: Path) -> dict[str, Wanted]:
    """The requests of a file by id."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {row["id"]: Wanted(row["question"], row["tools"], row["arguments"]) for row in rows}


def read_tools(path: Path) -> dict[str, BaseTool]:
    """The tools of a catalogue by name, each argument optional and of any type."""
    tools: dict[str, BaseTool] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        properties = {name: {"description": text} for name, text in row["parameters"].items()}
        schema = {"type": "object", "properties": properties}
        tools[row["name"]] = StructuredTool(
            name=row["name"], description=row["description"] or row["name"], args_schema=schema, func=str
        )
    return tools


async def measure(folder: Path, data: Path, catalogue: Path, model: RoleModel, options: argparse.Namespace) -> None:
    """Prints a table of the ways, and writes every call to a file."""
    wanted, tools, run = read_wanted(data), read_tools(catalogue), RunFolder(folder)
    fingerprint = run.manifest().systems[-1].fingerprint
    records = [r for (mark, _), r in sorted(run.records().items()) if mark == fingerprint and r.id in wanted]
    records, limit = records[: options.limit], asyncio.Semaphore(options.concurrency)
    scores: dict[str, dict[str, list[Counter[str]]]] = {}
    with booking(Ledger()), options.out.open("w", encoding="utf-8") as sink:
        for label in options.way or WAYS:

            async def one(record: Any, way: Way = WAYS[label]) -> tuple[list[tuple[str, Arguments]], int]:
                async with limit:
                    return await _calls(way, model, record.plan or Plan(), wanted[record.id], tools)

            results = await asyncio.gather(*(one(record) for record in records))
            scores[label] = {"names": [], "values": []}
            for record, (written, _) in zip(records, results, strict=True):
                right = list(zip(wanted[record.id].tools, wanted[record.id].arguments, strict=True))
                for kind, counter in f1(written, right).items():
                    scores[label][kind].append(counter)
                sink.write(json.dumps({"way": label, "id": record.id, "written": written, "wanted": right}) + "\n")
            failed = sum(failures for _, failures in results)
            print(label, *_row(scores[label], scores[next(iter(scores))], failed), sep=" | ", flush=True)


def _row(mine: Mapping[str, Sequence[Counter[str]]], first: Mapping[str, Sequence[Counter[str]]], failed: int) -> Any:
    """Cells of one way: F1 over all calls, then the mean of requests, and its difference from the first way."""
    for kind, counts in mine.items():
        each = [_f1_of([count]) for count in counts]
        change = paired_difference(each, [_f1_of([count]) for count in first[kind]])
        yield f"{kind} {_f1_of(counts):.1f} (of requests {mean(each).value:.1f} ± {1.96 * mean(each).error:.1f})"
        yield f"{change.value:+.1f} [{change.low:+.1f}, {change.high:+.1f}]"
    yield f"n={len(mine['names'])} failed calls={failed}"


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run of `anabranch eval --task toolplans`")
    parser.add_argument("data", type=Path, help="requests with `tools` and `arguments`")
    parser.add_argument("tools", type=Path, help="the catalogue")
    parser.add_argument("--solver", required=True, help="who writes arguments")
    parser.add_argument("--way", action="append", choices=WAYS, help="only this way; repeatable")
    parser.add_argument("--limit", type=int, help="most requests")
    parser.add_argument("--concurrency", type=int, default=64, help="requests at a time")
    parser.add_argument("--out", type=Path, default=Path("arguments.jsonl"), help="file of all calls")
    options = parser.parse_args()
    asyncio.run(measure(options.run, options.data, options.tools, resolve_model(options.solver), options))


if __name__ == "__main__":
    main()
