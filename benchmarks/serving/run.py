"""Measures variants of serving: `python -m benchmarks.serving.run PROMPTS --base BASE --adapter ADAPTER --out FOLDER`.

Results are added to FOLDER/results.jsonl after each measurement, so that a run that is cut off keeps what it has.
With `--together`, that many processes are started at the same time and measured one after the other: most of a short
run is starting. They share the accelerator's memory, so give each its part with `--engine`, for example
`'{"kv_cache_memory_bytes": 12884901888, "gpu_memory_utilization": 0.2}'`. With `--url ADDRESS#MODEL`, a server that is
up already is measured in their place. With `--when FILE` nothing is measured before
that file is there, so that starts can overlap with other work on the machine, and measurements do not; `--ready FILE`
says when they could begin.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.serving.subjects import Elsewhere, Place, Subject, Weights
from benchmarks.serving.variants import MANY_LEVELS, VARIANTS, Step, Variant


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    began = time.monotonic()
    weights = Weights(arguments.base, arguments.adapter, arguments.merged)
    arguments.out.mkdir(parents=True, exist_ok=True)
    there = Variant("running", f"a server that was up already: {arguments.url}", steps=MANY_LEVELS)
    variants = [there] if arguments.url else _chosen(arguments.only, arguments.merged)
    chosen = [_limited(variant, arguments) for variant in variants]
    for start in range(0, len(chosen), arguments.together):
        group = chosen[start : start + arguments.together]
        if time.monotonic() - began > arguments.seconds:
            print(f"out of time; left out: {', '.join(v.name for v in chosen[start:])}", flush=True)
            break
        _measure_group(group, weights, arguments, began)
    print(f"{time.monotonic() - began:.0f} s in all", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--base", default="", help="folder of the base model")
    parser.add_argument("--adapter", default="", help="folder of the LoRA adapter")
    parser.add_argument("--url", default="", help="measure this server in place of variants: http://…/v1#MODEL")
    parser.add_argument("--merged", help="folder of the merged weights; without it, variants on them are left out")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--label", default="", help="kept with each result, such as the adapter's name")
    parser.add_argument("--only", default="", help=f"of {', '.join(v.name for v in VARIANTS)}")
    parser.add_argument("--levels", type=int, nargs="*", default=[], help="only these concurrencies")
    parser.add_argument("--repeat", type=int, default=1, help="rounds of the steps with the most clients")
    parser.add_argument("--most", type=int, default=0, help="most requests a measurement; 0 for the variant's own")
    parser.add_argument("--engine", type=json.loads, default={}, help="more engine arguments, as JSON")
    parser.add_argument("--cores", default="", help="cores that engines and servers are held to, such as 0-15")
    parser.add_argument("--servers", type=int, default=0, help="API processes, in place of the variant's")
    parser.add_argument("--processes", type=int, default=6, help="client processes")
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--when", type=Path, help="measure once this file is there")
    parser.add_argument("--ready", type=Path, help="make this file when the first group is up")
    parser.add_argument("--start-seconds", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=3600, help="no variant is started after this time")
    arguments = parser.parse_args()
    if not arguments.url and not (arguments.base and arguments.adapter):
        parser.error("--base and --adapter are needed, or --url")
    return arguments


def _chosen(only: str, merged: str | None) -> list[Variant]:
    names = [name for name in only.split(",") if name]
    unknown = set(names) - {variant.name for variant in VARIANTS}
    if unknown:
        raise SystemExit(f"unknown variants: {', '.join(sorted(unknown))}")
    by_name = {variant.name: variant for variant in VARIANTS}
    wanted = [by_name[name] for name in names] or VARIANTS
    left_out = [variant.name for variant in wanted if variant.merged and not merged]
    if left_out:
        print(f"without --merged, left out: {', '.join(left_out)}", flush=True)
    return [variant for variant in wanted if merged or not variant.merged]


def _limited(variant: Variant, arguments: argparse.Namespace) -> Variant:
    """The variant with what the command line says otherwise."""
    steps: list[Step] = [
        (level, min(requests, arguments.most or requests), grammar)
        for level, requests, grammar in variant.steps
        if not arguments.levels or level in (0, *arguments.levels)
    ]
    servers = arguments.servers if arguments.servers and variant.servers else variant.servers
    most = max((level for level, _, _ in steps), default=0)
    again = [step for step in steps if step[0] == most] * (arguments.repeat - 1)
    return replace(variant, steps=(*again, *steps), servers=servers)


def _stem(variant: Variant, arguments: argparse.Namespace) -> str:
    """Of the files of a variant: runs with other labels may share the folder."""
    return "-".join(part for part in (arguments.label, variant.name) if part)


def _measure_group(group: Sequence[Variant], weights: Weights, arguments: argparse.Namespace, began: float) -> None:
    subjects: list[Subject | Elsewhere] = (
        [Elsewhere(variant, arguments.url, arguments.prompts) for variant in group]
        if arguments.url
        else [Subject(variant, weights, arguments.prompts, _place(variant, arguments)) for variant in group]
    )
    deadline = time.monotonic() + arguments.start_seconds
    try:
        # All are up before the first is measured: a start takes processor time.
        up = [subject for subject in subjects if _waited(subject, deadline)]
        if arguments.ready:
            arguments.ready.touch()
        while arguments.when and not arguments.when.exists():
            time.sleep(0.2)
        for subject in up:
            for step in subject.variant.steps:
                _record(subject, step, arguments, began)
    finally:
        for subject in subjects:
            subject.stop()


def _place(variant: Variant, arguments: argparse.Namespace) -> Place:
    log = arguments.out / f"{_stem(variant, arguments)}.log"
    return Place(arguments.engine, log, arguments.cores)


def _waited(subject: Subject | Elsewhere, deadline: float) -> bool:
    ready = subject.wait(deadline)
    print(f"{subject.variant.name}: {'up' if ready else 'NOT UP'} after {subject.seconds_to_start:.0f} s", flush=True)
    if not ready:
        print(subject.last_lines(), flush=True)
    return ready


def _record(subject: Subject | Elsewhere, step: Step, arguments: argparse.Namespace, began: float) -> None:
    variant = subject.variant
    row: dict[str, Any] = {"label": arguments.label, "variant": variant.name, "about": variant.about}
    replies: list[dict[str, Any]] = []
    try:
        figures, replies = subject.measure(step, arguments.processes)
    except Exception as error:  # one measurement that fails leaves the others
        figures = {"failed": f"{type(error).__name__}: {error}"}
    row |= figures | {"start_s": subject.seconds_to_start, "at_s": time.monotonic() - began}
    with (arguments.out / "results.jsonl").open("a") as sink:
        sink.write(json.dumps(row) + "\n")
    with (arguments.out / f"plans-{_stem(variant, arguments)}-{step[0]}-{step[2]}.jsonl").open("w") as sink:
        sink.writelines(json.dumps(reply) + "\n" for reply in replies)
    shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
    print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
