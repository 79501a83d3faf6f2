"""The graph that `langgraph.json` names, under the real `langgraph dev` server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.graphs.scripts import plan_json
from tests.openai_server import OpenAIServer, prompt_of
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.loopback, pytest.mark.timeout(180)]


def script(request: dict[str, Any]) -> str:
    if "Last message:" in prompt_of(request):
        return "QUESTION: How many rolls would be left if the baker sold 200?"
    if "You split a question" in prompt_of(request):
        return plan_json(("solve", "How many rolls are baked?", []), ("solve", "How many of {1} are left?", [1]))
    return "12 * 24 = 288, 288 - 250 = 38. Answer: 38"


@pytest.fixture
def address(socket_enabled: None, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    with OpenAIServer(script) as models, (tmp_path / "log").open("w") as log:
        settings = {
            "ANABRANCH_DECOMPOSER": models.url,
            "ANABRANCH_SOLVER": models.url,
            "ANABRANCH_DOCS": "examples/documents",
        }
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("langgraph")),
                "dev",
                "--no-browser",
                "--no-reload",
                "--port",
                str(port),
            ],
            cwd=ROOT,
            env={**os.environ, **settings, "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/ok", process, tmp_path / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_langgraph_dev_loads_the_graph_and_answers(address: str) -> None:
    body = {
        "assistant_id": "anabranch",
        "input": {
            "messages": [{"role": "user", "content": "A baker bakes 12 trays of 24 and sells 250. How many left?"}]
        },
    }
    result = httpx.post(f"{address}/runs/wait", json=body, timeout=60).raise_for_status().json()
    assert result.get("answer") == "38", result
    assert result["plan"]["sub_questions"][1]["depends_on"] == [1]


def test_follow_ups_on_a_thread_of_the_server_are_understood(address: str) -> None:
    thread = httpx.post(f"{address}/threads", json={}, timeout=60).raise_for_status().json()["thread_id"]

    def ask(text: str) -> Any:
        body = {"assistant_id": "anabranch", "input": {"messages": [{"role": "user", "content": text}]}}
        return httpx.post(f"{address}/threads/{thread}/runs/wait", json=body, timeout=60).raise_for_status().json()

    ask("A baker bakes 12 trays of 24 and sells 250. How many left?")
    second = ask("And if he sold 200?")
    assert len(second["messages"]) == 4
    state = httpx.get(f"{address}/threads/{thread}/state", timeout=60).raise_for_status().json()["values"]
    assert state["asked"] == "And if he sold 200?"
    assert state["question"] == "How many rolls would be left if the baker sold 200?"
