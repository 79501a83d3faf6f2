"""The example of a support bot: three turns, each in a process of its own, with a decision open between two of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.openai_server import OpenAIServer, prompt_of

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.loopback
STATUS = "What is the state of my order 1042?"
CANCEL = "Please cancel it."
REFUND = "And when do I get my money back?"


def plan(route: str, text: str) -> str:
    return json.dumps({"sub_questions": [{"id": 1, "text": text, "route": route, "depends_on": []}]})


PLANS = {
    STATUS: plan("order_status", "What is the state of order 1042?"),
    "Cancel order 1042.": plan("cancel_order", "Cancel order 1042"),
    "When is the money of a cancelled order paid back?": plan(
        "handbook", "When is the refund of a cancelled order paid?"
    ),
}


def model(request: dict[str, Any]) -> str:
    """A model that understands the three turns, and copies what it is shown."""
    prompt = prompt_of(request)
    last = str(request["messages"][-1]["content"])
    if "Last message: " in last:
        return "QUESTION: " + list(PLANS)[2 if REFUND in last else 1]
    if "You split a question" in prompt:
        return next(written for question, written in PLANS.items() if f"Question: {question}" in last)
    if "JSON schema of the arguments" in prompt:
        return '{"order_id": 1042}'
    if "Result:" in last:
        return "within 2 working days" if "2 working days" in last else "packed, not sent yet"
    return last.partition(" = ")[2].partition("\n")[0]


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    with OpenAIServer(model) as running:
        yield running


def test_three_turns_each_in_a_process_of_its_own(server: OpenAIServer, tmp_path: Path) -> None:
    def say(*words: str) -> list[str]:
        options = ["--model", f"{server.url}#scripted", "--state", str(tmp_path)]
        done = subprocess.run(
            [sys.executable, "examples/support_bot.py", *options, *words], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def state() -> str:
        return str(json.loads((tmp_path / "orders.json").read_text())["1042"]["state"])

    assert say(STATUS)[0] == "packed, not sent yet"
    assert say(CANCEL) == ["May I? cancel_order({'order_id': 1042})  --approve or --reject"]
    assert state() == "packed, not sent yet"
    assert say("--approve")[0] == "Order 1042 is cancelled."
    assert state() == "cancelled"
    assert say(REFUND) == ["within 2 working days", "  [returns.md]"]
    joined = [prompt for prompt in server.prompts if "Sub-questions and their answers" in prompt]
    assert all("You are the friendly assistant of a shop for boats." in prompt for prompt in joined)
