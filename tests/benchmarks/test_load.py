"""The load on a served decomposer, on a scripted server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]


def script(request: dict[str, Any]) -> str:
    """A line that fits no plan at first, and the rest of it under the grammar."""
    if "structured_outputs" in request:
        return "calculator] 14 * 30" if request["messages"][-1]["role"] == "assistant" else "1 [calculator] 14 * 30"
    return "1 [nothing] 14 * 30"


@pytest.mark.loopback
@pytest.mark.usefixtures("socket_enabled")
def test_plans_are_counted_and_put_right(tmp_path: Path) -> None:
    data = tmp_path / "q.jsonl"
    data.write_text("".join(json.dumps({"id": f"q{n}", "question": f"What is {n}?"}) + "\n" for n in range(60)))
    with OpenAIServer(script) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.serving.load", f"{server.url}#m", "--data", str(data)),
                *("--clients", "2", "--requests", "24", "--processes", "2", "--out", str(tmp_path / "out.jsonl")),
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    held, free = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (held["grammar"], held["requests"], held["errors"]) == ("on_demand", 24, 0)
    assert (held["valid"], held["asked_again"]) == (24, 24)
    assert (free["grammar"], free["valid"], free["asked_again"]) == ("never", 0, 0)
    assert len(done.stdout.splitlines()) == 4
