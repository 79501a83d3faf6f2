"""Offline engines that share a GPU, without HTTP: `python -m benchmarks.serving.shared PROMPTS --model MERGED`.

How many plans a second one GPU can be made to write, by how many engines there are: what a server of several engines
can at most come close to. Each engine is a process of its own (`offline`) and writes the same prompts; all begin
together. What is printed, and added to OUT/shared.jsonl, is all plans over the time of the slowest engine. A plan asked
again waits for all of its batch, which costs more here than behind a server.

The multi-process service lets them run at the same time: before, start
`CUDA_MPS_PIPE_DIRECTORY=/tmp/mps CUDA_MPS_LOG_DIRECTORY=/tmp/mps nvidia-cuda-mps-control -d`, and add `--mps`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.serving.variants import MPS, QUICK


def main() -> None:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ThreadPoolExecutor(arguments.engines) as pool:
        engines = [_started(arguments, number) for number in range(arguments.engines)]
        try:
            ready = list(pool.map(lambda engine: _heard(engine, "ready"), engines))
            print(f"{sum(line is not None for line in ready)} up after {time.monotonic() - began:.0f} s", flush=True)
            for grammar in ("on_demand", "never") * arguments.passes:
                order = json.dumps({"grammar": grammar, "count": arguments.count})
                _record(arguments, measured(engines, order, pool.map), grammar)
        finally:
            for engine in engines:
                engine.kill()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--model", required=True, help="folder of merged weights")
    parser.add_argument("--engines", type=int, default=4)
    parser.add_argument("--sequences", type=int, default=256, help="most sequences of an engine at a time")
    parser.add_argument("--count", type=int, default=768, help="plans that each engine writes")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--cache-bytes", type=int, default=6 * 10**9, help="keys and values of an engine")
    parser.add_argument("--mps", action="store_true")
    parser.add_argument("--engine", type=json.loads, default=QUICK, help="more engine arguments, as JSON")
    parser.add_argument("--out", type=Path, default=Path("results"))
    return parser.parse_args()


def _started(arguments: argparse.Namespace, number: int) -> "subprocess.Popen[str]":
    engine = {
        "max_model_len": 1024,
        "max_num_seqs": arguments.sequences,
        "max_num_batched_tokens": 8192,
        "kv_cache_memory_bytes": arguments.cache_bytes,
        "gpu_memory_utilization": 0.03,
        **arguments.engine,
    }
    # One process an engine: another for its scheduler would compete for the processor's cores.
    more = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
    more["VLLM_CACHE_ROOT"] = str((arguments.out / f"cache-{number}").resolve())
    command = [sys.executable, "-m", "benchmarks.serving.offline", str(arguments.prompts), "--model", arguments.model]
    with (arguments.out / f"shared-{number}.log").open("w") as log:
        return subprocess.Popen(
            [*command, "--engine", json.dumps(engine)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **more, **(MPS if arguments.mps else {})},
        )


def _heard(engine: "subprocess.Popen[str]", start: str) -> str | None:
    assert engine.stdout
    return next((line for line in engine.stdout if line.startswith(start)), None)


def measured(
    engines: Sequence["subprocess.Popen[str]"], order: str, spread: Callable[..., Any]
) -> list[dict[str, Any]]:
    """What the engines that still run say to an order, which all get at the same time."""

    def told(engine: "subprocess.Popen[str]") -> dict[str, Any] | None:
        assert engine.stdin
        try:
            engine.stdin.write(f"{order}\n")
            engine.stdin.flush()
        except BrokenPipeError:
            return None
        line = _heard(engine, "result ")
        return dict(json.loads(line.removeprefix("result "))) if line else None

    return [figures for figures in spread(told, engines) if figures]


def _record(arguments: argparse.Namespace, found: Sequence[dict[str, Any]], grammar: str) -> None:
    longest = max((figures["seconds"] for figures in found), default=0.0)
    total = {
        name: sum(figures[name] for figures in found) for name in ("requests", "tokens_out", "valid", "asked_again")
    }
    row = {
        "engines": len(found),
        "of": arguments.engines,
        "sequences": arguments.sequences,
        "grammar": grammar,
        **total,
    }
    row |= {"seconds": longest, "plans_per_s": total["requests"] / longest if longest else None, "mps": arguments.mps}
    with (arguments.out / "shared.jsonl").open("a") as sink:
        sink.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
