"""Fuzzes one target, or one after the other; ends with the first case that breaks one.

python -m benchmarks.fuzz [--target lines] [--cases 1000000] [--seed 0] [--atheris]

Without `--atheris`, cases are mutations of the seeds, the same for the same seed. With it (`pip install atheris`, on
Linux with Python 3.11 to 3.13) libFuzzer mutates what reaches new lines of the package.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from benchmarks.fuzz.mutation import Broken, fuzz, shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz")
    parser.add_argument("--target", action="append", help="a name; all without it")
    parser.add_argument("--cases", type=int, default=100_000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; one target")
    parser.add_argument("--corpus", type=Path, help="folder where libFuzzer keeps what it found")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if args.atheris:
        _guided(args.target[0], args.cases, args.corpus)
        return
    from benchmarks.fuzz.targets import TARGETS

    for name in args.target or TARGETS:
        start = time.perf_counter()
        try:
            slowest = fuzz(TARGETS[name], args.cases, args.seed)
        except Broken as broken:
            print(f"{name}: case {broken.number} of seed {args.seed} breaks it: {shown(broken.data)}")
            raise
        seconds = time.perf_counter() - start
        print(f"{name}: {args.cases:,} cases in {seconds:.0f} s, the slowest {slowest * 1000:.0f} ms", flush=True)


def _guided(name: str, cases: int, corpus: Path | None) -> None:
    import atheris

    with atheris.instrument_imports(include=["anabranch"]):
        from benchmarks.fuzz.targets import TARGETS

    target = TARGETS[name]
    folder = corpus or Path(f"fuzz-{name}")
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.parent / f"{name}.dict"
    words.write_text("".join(f'"{_escaped(piece)}"\n' for piece in target.pieces))
    options = [f"-atheris_runs={cases}", f"-dict={words}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, str(folder)], target.run)
    atheris.Fuzz()


def _escaped(piece: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in piece)


if __name__ == "__main__":
    main()
