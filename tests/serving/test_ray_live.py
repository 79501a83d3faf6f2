"""Replicas of the HTTP app on a real Ray Serve, from the settings that are shipped; one is killed under load.

Needs an interpreter whose environment has Ray Serve, named by ANABRANCH_SCALE_PYTHON. `make test` makes one.
"""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from openai import AsyncOpenAI

from anabranch.serving.template import safe_template
from tests.openai_server import OpenAIServer, Reply, prompt_of
from tests.ports import free_port
from tests.serving.test_vllm import model_folder

PYTHON = os.environ.get("ANABRANCH_SCALE_PYTHON")  # read before the suite hides the settings of the machine
SHIPPED = Path(__file__).parents[2] / "serve.yaml"
PLANS = 'anabranch_plans_total{outcome="planned"}'
REPLICA = "ray::ServeReplica:planner:planner"
OPEN = threading.Event()  # the scripted model answers only while it is set
OPEN.set()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.loopback,
    pytest.mark.enable_socket,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason="ANABRANCH_SCALE_PYTHON is not set; make test sets it"),
]


def script(request: dict[str, Any]) -> Reply:
    """Plans with one calculation; the answer to each question is twice its number. Waits for `OPEN`."""
    assert OPEN.wait(120)
    prompt = prompt_of(request)
    if "Reply with JSON only" in prompt:
        number = prompt.rpartition("Double ")[2].split(".")[0]
        return f'{{"sub_questions": [{{"id": 1, "text": "{number} * 2", "route": "calculator", "depends_on": []}}]}}'
    number = prompt.rpartition("Double ")[2].split(".")[0]
    return f"Answer: {int(number) * 2}"


@dataclass
class Cluster:
    """`serve run` as a process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def replicas(self) -> set[int]:
        """The processes of the app's replicas."""
        found = set()
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if REPLICA in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
        return found

    def until(self, what: Any, seconds: float = 240) -> None:
        """Waits."""
        deadline = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)

    def healthy(self) -> bool:
        """Whether the app answers."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        return False


def shipped() -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that are shipped, and the planner's part of them."""
    loaded: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    return loaded, next(app for app in loaded["applications"] if app["name"] == "planner")


def settings(model: str, port: int) -> dict[str, Any]:
    """What is shipped, without the GPU, on another port, with other models, and with two small replicas."""
    loaded, planner = shipped()
    loaded["http_options"]["port"] = port
    planner["args"] |= {"decomposer": model, "solver": model}
    (deployment,) = planner["deployments"]
    deployment["autoscaling_config"] |= {"min_replicas": 2, "max_replicas": 2}
    deployment["ray_actor_options"] = {"num_cpus": 0.1}
    return loaded | {"applications": [planner]}


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer(script, delay=0.05) as server:
        yield server


@pytest.fixture(scope="module")
def cluster(model: OpenAIServer) -> Iterator[Cluster]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # short: Ray makes sockets in it
        place = Path(folder)
        (place / "serve.yaml").write_text(yaml.safe_dump(settings(f"{model.url}#scripted", port)))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {"RAY_TMPDIR": folder, "HOME": folder, "RAY_USAGE_STATS_ENABLED": "0"}
        with (place / "log").open("wb") as log:
            serve = Path(str(PYTHON)).parent / "serve"
            process = subprocess.Popen(
                [serve, "run", "serve.yaml"],
                cwd=place,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            running = Cluster(process, f"http://127.0.0.1:{port}", place / "log")
            family: list[psutil.Process] = []
            try:
                running.until(lambda: running.healthy() and len(running.replicas()) == 2)
                family = psutil.Process(process.pid).children(recursive=True)
                yield running
            finally:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                for child in family:
                    with suppress(psutil.Error):
                        child.kill()
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


async def ask(client: AsyncOpenAI, number: int) -> tuple[int, str, int]:
    """The number, the answer, and how often it was asked again."""
    reply = await client.chat.completions.with_raw_response.create(
        model="anabranch", messages=[{"role": "user", "content": f"Double {number}."}]
    )
    return number, str(reply.parse().choices[0].message.content), reply.retries_taken


def test_both_replicas_answer(cluster: Cluster) -> None:
    asked = 0

    async def counts() -> set[float]:
        async with httpx.AsyncClient(base_url=cluster.url, timeout=60) as client:
            questions = [{"question": f"Double {number}."} for number in range(40)]
            replies = await asyncio.gather(*(client.post("/v1/plans", json=body) for body in questions))
            assert {reply.status_code for reply in replies} == {200}
            pages = await asyncio.gather(*(client.get("/metrics") for _ in range(40)))
        lines = [line for page in pages for line in page.text.splitlines() if line.startswith(PLANS)]
        return {float(line.split()[-1]) for line in lines}

    def shared() -> bool:
        nonlocal asked
        asked += 40
        return 0 < min(asyncio.run(counts())) < asked

    # The process of a replica is there some seconds before it takes requests.
    cluster.until(shared, 60)


def test_no_request_is_lost_when_a_replica_is_killed_under_load(cluster: Cluster, model: OpenAIServer) -> None:
    """The replica's requests end with status 500, and the client (OpenAI's own, retrying) sends them again.

    Ray Serve sends a request to another replica only if it has not reached the one that died.
    """
    victim = min(cluster.replicas())
    at_work = shipped()[1]["args"]["max_concurrency"]  # questions that one replica works on
    held = len(model.requests) + 2 * at_work

    async def load() -> list[tuple[int, str, int]]:
        async with AsyncOpenAI(base_url=f"{cluster.url}/v1", api_key="none", max_retries=5, timeout=60) as client:
            tasks = [asyncio.create_task(ask(client, number)) for number in range(200)]
            await asyncio.to_thread(cluster.until, lambda: len(model.requests) >= held, 60)
            os.kill(victim, signal.SIGKILL)
            OPEN.set()
            return await asyncio.gather(*tasks)

    OPEN.clear()
    try:
        answers = asyncio.run(load())
    finally:
        OPEN.set()
    assert [(number, text) for number, text, _ in answers if str(number * 2) not in text] == []
    assert len(answers) == 200
    assert sum(again > 0 for _, _, again in answers) >= at_work
    cluster.until(lambda: len(cluster.replicas()) == 2 and victim not in cluster.replicas())
    cluster.until(cluster.healthy)


HANDED = """
import json, sys, types
handed = {}
llm = types.ModuleType("ray.serve.llm")
llm.LLMConfig = lambda **settings: handed.update(settings)
llm.build_openai_app = lambda settings: None
sys.modules["ray.serve.llm"] = llm  # the package needs vLLM
from anabranch.serving.ray import decomposer
decomposer({"adapter": sys.argv[1], "engine": {"max_num_seqs": 4}})
print(json.dumps(handed))
"""


def test_the_decomposer_is_handed_to_ray_as_to_vllm(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    command = [str(PYTHON), "-c", HANDED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=SHIPPED.parent)
    handed = json.loads(done.stdout.splitlines()[-1])
    assert handed["model_loading_config"] == {"model_id": "decomposer-mine", "model_source": str(folder)}
    engine = handed["engine_kwargs"]
    assert engine["chat_template"] == safe_template(folder)
    assert (engine["max_num_seqs"], engine["enable_prefix_caching"]) == (4, True)
