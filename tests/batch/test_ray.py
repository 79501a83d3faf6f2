"""Prompts in a file: answered by a scripted server, and by engines on Ray Data, whose parts are tried by themselves.

Ray itself needs an interpreter whose environment has it, named by ANABRANCH_SCALE_PYTHON; see `make test`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.files import read_jsonl, read_requests
from anabranch.batch.jobs import Job, Sampling, read_replies, write_jobs
from anabranch.batch.ray import BATCH, Way, answer, from_engine, merged, to_engine
from anabranch.errors import ConfigurationError, MissingExtraError
from tests.openai_server import Die, OpenAIServer, Reply, prompt_of

PYTHON = os.environ.get("ANABRANCH_SCALE_PYTHON")  # read before the suite hides the settings of the machine
MANY = 2 * BATCH + 5
JOBS = [
    Job(id=str(n), messages=[{"role": "user", "content": f"Say {n}."}], pattern="x" if n % 2 else None)
    for n in range(MANY)
]
live = [
    pytest.mark.slow,
    pytest.mark.loopback,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason="ANABRANCH_SCALE_PYTHON is not set; make test sets it"),
]


def choices(*texts: str) -> dict[str, Any]:
    made = [{"message": {"content": text}, "finish_reason": "stop"} for text in texts]
    return {"choices": made, "usage": {"prompt_tokens": 3, "completion_tokens": len(texts)}}


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    with OpenAIServer(prompt_of) as running:
        yield running


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # short: Ray makes sockets in it
        yield Path(folder)


def run(place: Path, *options: str, python: str = str(PYTHON)) -> "subprocess.CompletedProcess[str]":
    command = [python, "-m", "anabranch.batch.ray", "requests.jsonl", "replies.jsonl", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_TMPDIR": str(place), "HOME": str(place), "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "ANABRANCH_API_KEY": "secret"}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.loopback
@pytest.mark.timeout(300)  # three processes
def test_failures_leave_the_others_and_only_they_are_asked_again(place: Path, server: OpenAIServer) -> None:
    """Samples, requests of different form, a malformed line, a refusal, and a connection that breaks."""

    def script(request: dict[str, Any]) -> Reply:
        if "Say 3." in prompt_of(request):
            return 400, {"error": {"message": "too long"}}
        if "Say 70." in prompt_of(request):
            return 500, "<html>no JSON</html>"
        if "Say 71." in prompt_of(request):
            return Die(part=0)
        return 200, choices(*[f"re {prompt_of(request)}"] * request.get("n", 1))

    server.script = script
    batches = [(JOBS[:100], Sampling(n=2, temperature=0.7, seed=1)), (JOBS[100:], Sampling())]
    write_jobs(place / "requests.jsonl", batches, "m")
    wanted = list(read_jsonl(place / "requests.jsonl"))
    with (place / "requests.jsonl").open("a") as file:
        file.write("{broken\n")
    first = run(place, "--url", server.url, "--workers", "2", python=sys.executable)
    assert first.returncode == 1, first.stderr
    assert len(first.stderr.splitlines()) < 12  # no line for each request
    assert "1 requests left out, not a JSON object: requests.jsonl:134" in first.stderr
    assert f"error: 3 of {MANY} requests have no reply in replies.jsonl, such as " in first.stderr
    assert first.stderr.splitlines()[-1].endswith("see to it and run again: only these are asked")
    asked = {json.dumps(body, sort_keys=True) for body in server.requests}
    assert asked == {json.dumps(row["body"], sort_keys=True) for row in wanted}  # as they are in the file
    assert len(server.requests) == MANY + 4  # what is no refusal is tried three times
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}

    failed = {row["custom_id"]: row["response"] for row in read_jsonl(place / "replies.jsonl")}
    assert [failed[id_]["status_code"] for id_ in ("0", "3", "70", "71")] == [200, 400, 500, 0]
    assert "RemoteProtocolError" in failed["71"]["body"]["error"]["message"]

    server.requests.clear()
    server.script = lambda request: (200, choices(*["again"] * request.get("n", 1)))
    with (place / "replies.jsonl").open("a") as file:
        file.write('{"custom_id": "3", "respo')  # killed in the middle of a line
    second = run(place, "--url", server.url, python=sys.executable)
    assert (second.returncode, second.stdout) == (0, ""), second.stderr
    assert sorted(prompt_of(request) for request in server.requests) == [f"user: Say {n}." for n in (3, 70, 71)]
    replies = read_replies(place / "replies.jsonl", JOBS)
    for job, reply in zip(JOBS, replies, strict=True):
        text = "again" if job.id in ("3", "70", "71") else f"re user: Say {job.id}."
        assert reply.texts == [text] * (2 if int(job.id) < 100 else 1)
        assert (reply.input_tokens, reply.output_tokens) == (3, len(reply.texts))

    third = run(place, "--url", server.url, python=sys.executable)
    assert third.returncode == 0
    assert len(server.requests) == 3


class TestRay:
    pytestmark = live

    def test_the_engines_configuration_is_one_of_the_installed_ray(self, place: Path) -> None:
        """Without vLLM no engine can be built; what is lacking is said."""
        code = """
from ray.data.llm import vLLMEngineProcessorConfig
from anabranch.batch.ray import Way, processor
import ray.data.llm
ray.data.llm.build_processor = lambda config, preprocess, postprocess: config
config = processor(Way(model="m", workers=3, engine={"max_model_len": 64}))
assert isinstance(config, vLLMEngineProcessorConfig)
print(config.model_source, config.concurrency, config.engine_kwargs["max_model_len"], config.should_continue_on_error)
"""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        made = subprocess.run(
            [str(PYTHON), "-c", code], cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        assert made.stdout == "m 3 64 True\n", made.stderr
        write_jobs(place / "requests.jsonl", [(JOBS[:1], Sampling())], "m")
        lacking = run(place, "--model", "m")
        assert lacking.returncode == 1
        assert "pip install 'anabranch[scale]' 'ray[llm]'" in lacking.stderr.splitlines()[-1]


def test_lines_that_are_no_requests_are_listed(tmp_path: Path) -> None:
    good = {"custom_id": "a", "body": {"messages": []}}
    rows = [good, {**good, "body": {"messages": ["other"]}}, {"custom_id": "b", "body": {}}, {"custom_id": "c"}, 5]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken")
    bad: dict[str, list[str]] = {}
    assert read_requests(tmp_path / "r.jsonl", bad) == {"a": good["body"]}
    assert bad == {
        "id that is taken": ["a"],
        "no valid body.messages": ["b"],
        "no valid body": ["r.jsonl:4"],
        "not a JSON object": ["r.jsonl:5", "r.jsonl:6"],
    }
    (tmp_path / "r.jsonl").write_text("{broken")
    with pytest.raises(ConfigurationError, match=r"no line of .* can be used"):
        answer(tmp_path / "r.jsonl", tmp_path / "replies.jsonl", Way(url="http://x/v1"))


def test_ray_is_asked_for_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_jobs(tmp_path / "r.jsonl", [(JOBS[:1], Sampling())], "m")
    with pytest.raises(MissingExtraError, match=r"pip install 'anabranch\[scale\]'"):
        answer(tmp_path / "r.jsonl", tmp_path / "replies.jsonl", Way(model="m"))


def test_samples_become_one_reply() -> None:
    parts = [{"custom_id": "a", "body": json.dumps(choices(text))} for text in ("a", "b")]
    assert merged(parts) == (200, choices("a", "b"))  # the prompt's tokens count once
    failed = {"custom_id": "a", "__inference_error__": "ValueError: too long"}
    assert merged([parts[0], failed]) == (500, {"error": {"message": "ValueError: too long"}})


def test_an_engine_gets_every_setting_and_gives_a_completion() -> None:
    asked = {"messages": JOBS[0].messages, "model": "m", "temperature": 0.0, "max_tokens": 5}
    row = {"custom_id": "a", "body": json.dumps(asked)}
    assert to_engine(row) == {
        "messages": JOBS[0].messages,
        "sampling_params": {
            "temperature": 0.0,
            "top_p": 1.0,
            "max_tokens": 5,
            "seed": 0,
            "structured_outputs": None,
        },
    }
    for written, finish in ((4, "stop"), (5, "length")):
        made = from_engine({**row, "generated_text": "t", "num_generated_tokens": written, "num_input_tokens": 7})
        status, body = merged([made])
        assert (status, body["choices"][0]["finish_reason"]) == (200, finish)
        assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": written}
