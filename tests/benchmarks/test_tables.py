"""The table of many runs, out of the reports of real ones."""

from pathlib import Path

from anabranch.batch.examples import Example
from anabranch.evals.records import Described, Manifest, Record, RunFolder, Tokens
from anabranch.evals.report import write_report
from anabranch.evals.summary import summarize
from benchmarks.tables import rows, tables


def run(folder: Path, right: dict[str, set[int]], n: int = 4) -> None:
    """A run of `n` questions; `right` has each system's right ones."""
    made = RunFolder(folder)
    systems = tuple(
        Described(
            name=name,
            label=f"{name} ({'decomposer d, ' if name == 'static:guided' else ''}solver m)",
            fingerprint=name,
            solver="m",
        )
        for name in right
    )
    examples = [Example(id=f"q{number}", question="How many?", answers=(str(number),)) for number in range(n)]
    made.open(Manifest(task="gsm8k", data="q.jsonl", data_hash="x", seed=1, limit=None, systems=systems), examples)
    file = made.appending()
    for system in systems:
        for number in range(n):
            answer = number if number in right[system.name] else 77
            file.add(
                Record(
                    system=system.label,
                    fingerprint=system.name,
                    id=f"q{number}",
                    reply=f"Answer: {answer}",
                    solving=Tokens(calls=1, input=60, output=40),
                    seconds=1.0,
                ).line
            )
    file.close()
    write_report(summarize(made), folder)


def test_runs_become_one_table_with_paired_differences(tmp_path: Path) -> None:
    run(tmp_path / "base/gsm8k", {"cot": {0, 1}, "unguided": {0}})
    run(tmp_path / "d/gsm8k", {"static:guided": {1, 2, 3}})
    run(tmp_path / "d/first", {"static:guided": {0}}, n=2)  # of the same system, the run with fewer questions
    lines = "\n".join(tables(list(rows(tmp_path)))).splitlines()
    assert lines[0] == "## gsm8k: q, em"
    found = {
        cells[2]: cells
        for cells in ([each.strip() for each in line.split("|")] for line in lines[4:])
        if len(cells) > 2
    }
    assert found["cot"][4:8] == ["4", "50.0 ± 28.9", "", "+25.0 ± 25.0"]
    assert found["static:guided"][3:8] == ["d", "4", "75.0 ± 25.0", "+25.0 ± 47.9", "+50.0 ± 50.0"]
    assert found["cot"][9] == "60 + 40"
    assert len(found) == 3
