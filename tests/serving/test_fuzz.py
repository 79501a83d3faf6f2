"""Requests that nobody thought of: every reply is one that the app's own OpenAPI description foresees.

schemathesis has an environment of its own, which `make test` makes: `.venv-fuzz`, or the command that `SCHEMATHESIS`
names. Where there is none, only the tests that need nothing but hypothesis run.
"""

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.serving.app import create_app
from anabranch.serving.door import DoorRules
from anabranch.serving.protocol import ErrorReply
from anabranch.serving.service import Service
from tests.graphs.scripts import plan_json
from tests.serving import live

pytestmark = [pytest.mark.slow, pytest.mark.loopback, pytest.mark.enable_socket]

KEY = {"Authorization": "Bearer sesame"}
LOCAL = Path(__file__).parents[2] / ".venv-fuzz/bin/schemathesis"
COMMAND = os.environ.get("SCHEMATHESIS", str(LOCAL))
CALL = {"id": "call_abc", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOK = {"name": "look", "parameters": {"properties": {"a": {"type": "string"}}}}
TOOL = {"type": "function", "function": LOOK}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
VALID: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/chat/completions",
        {
            "model": "anabranch",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Why is it so?"}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_abc", "content": "it is"},
            ],
            "tools": [TOOL],
            "stream": True,
            "stream_options": {"include_usage": True},
            "stop": ["\n\n"],
            "seed": 7,
            "tool_choice": "auto",
            "response_format": {"type": "text"},
            "anabranch": {"include_plan": True},
        },
    ),
    (
        "/v1/chat/completions",
        {
            "model": "anabranch",
            "messages": [{"role": "user", "content": "Why is it so?"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
        },
    ),
    (
        "/v1/responses",
        {
            "model": "anabranch",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Why is it so?"}]},
                {"type": "function_call", "call_id": "call_abc", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_abc", "output": "it is"},
            ],
            "instructions": "Be brief.",
            "tools": [{"type": "function", **LOOK}],
            "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
            "metadata": {"a": "b"},
            "store": False,
            "stream": True,
            "anabranch": {"include_plan": True},
        },
    ),
    (
        "/v1/plans",
        {
            "question": "Why is it so?",
            "tools": [{"name": "look", "description": "Looks."}],
            "mode": "static",
            "asked": [{"id": 1, "text": "a?", "route": "solve", "depends_on": []}],
            "answers": [{"id": 1, "text": "b", "status": "done"}],
            "feedback": "no",
        },
    ),
]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800")
awkward = st.sampled_from(
    ["", "\x00", "solve", "{1}", "{{1}}", "Plan:\n", "REPLAN: x", -1, 0, 10**30, [], {}, [[]], 1e999]
)
anything = st.recursive(
    scalars | awkward,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    # A plan that fits whatever tools a request has.
    parts = live.parts(always_new, live.always('Answer: {"a": 4}'))
    with live.running(create_app(Service(parts), DoorRules(keys=("sesame",)))) as address:
        yield address


def always_new(prompt: str) -> str:
    """One sub-question, numbered as the prompt wants it."""
    number = prompt.rpartition("Number new sub-questions from ")[2].split(".")[0]
    return plan_json(("solve", f"What is {number}?", []), first_id=int(number) if number.isdecimal() else 1)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_valid_requests_with_something_changed(url: str, data: st.DataObject) -> None:
    path, body = data.draw(st.sampled_from(VALID))
    body = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(1, 3))):
        change(body, data)
    content = json.dumps(body).encode()
    reply = httpx.post(url + path, content=content, headers={**KEY, "Content-Type": "application/json"}, timeout=30)
    assert reply.status_code in (200, 400, 404), (body, reply.text)
    if reply.status_code != 200:
        ErrorReply.model_validate(reply.json())


def change(value: Any, data: st.DataObject) -> None:
    """Puts anything at all into some place of a JSON value, or takes something away."""
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            return
        place = data.draw(st.sampled_from(places))
        if isinstance(value[place], dict | list) and value[place] and data.draw(st.booleans()):
            value = value[place]
        elif data.draw(st.booleans()):
            value[place] = data.draw(anything)
            return
        else:
            del value[place]
            return


@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path(COMMAND).exists(), reason=f"there is no {COMMAND}; make test makes it")
def test_every_reply_is_as_described(url: str, tmp_path: Path) -> None:
    options = ["-H", f"Authorization: {KEY['Authorization']}", "--phases", "examples,coverage,fuzzing"]
    # What fits the schema may still not make sense, such as an answer to nothing.
    options += ["--exclude-checks", "positive_data_acceptance", "--max-examples", "100", "--continue-on-failure"]
    # More messages than allowed are often more bytes than allowed, which is found out first.
    statuses = "[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 404, 405, 413, 415, 422, 429]\n"
    (tmp_path / "schemathesis.toml").write_text(statuses)
    if seed := os.environ.get("SCHEMATHESIS_SEED"):
        options += ["--seed", seed]
    process = subprocess.run(
        [COMMAND, "run", f"{url}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert process.returncode == 0, process.stdout[-8000:] + process.stderr
