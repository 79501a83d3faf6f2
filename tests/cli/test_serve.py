"""`anabranch serve`: options, and the real process with its signals."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from anabranch.cli.serving import read_keys
from anabranch.errors import ConfigurationError, DocumentError
from tests.cli import scenario
from tests.cli.test_errors import invoke
from tests.cli.test_light import HEAVY, PROBE
from tests.openai_server import OpenAIServer

BAD = {
    "open to others": (("app", "--host", "0.0.0.0"), "there is no API key; set ANABRANCH_SERVER_KEY"),
    "MCP open to others": (("mcp", "--transport", "http", "--host", "0.0.0.0"), "there is no API key"),
    "no key file": (("app", "--api-key-file", "nothing.txt"), "nothing.txt cannot be read"),
    "no key in the file": (("app", "--api-key-file", "empty.txt"), "there is no key in empty.txt"),
    "a key that is no header": (("app", "--api-key-file", "odd.txt"), "printable ASCII"),
    "rate": (("app", "--rate", "often"), "the rate 'often' is not N/UNIT"),
    "MCP rate": (("mcp", "--transport", "http", "--rate", "often"), "the rate 'often' is not N/UNIT"),
    "no time": (("app", "--timeout", "0"), "--timeout is 0"),
    "no time for a sub-question": (("app", "--step-timeout", "0"), "more than 0 seconds"),
    "no such port": (("app", "--port", "70000"), "--port is 70000; it must be at most 65535"),
    "nobody at a time": (("mcp", "--max-concurrency", "0"), "--max-concurrency is 0; it must be at least 1"),
    "unknown mode": (("app", "--mode", "quick"), "unknown mode 'quick'"),
    "unknown transport": (("mcp", "--transport", "pigeon"), "unknown transport 'pigeon'; use one of: stdio, http"),
    "unknown tool": (("app", "--tool", "hammer"), "unknown tool 'hammer'"),
    "workers without a store": (("app", "--workers", "2"), "add --threads FILE, or postgresql://..."),
    "workers with A2A": (
        ("app", "--workers", "2", "--threads", "t.sqlite", "--a2a", "http://127.0.0.1:8080"),
        "take one worker, or no --a2a",
    ),
    "an address of A2A that is none": (("app", "--a2a", "here"), "'here' is no address of this server"),
    "workers with memory": (("app", "--workers", "2", "--threads", ":memory:"), "add --threads FILE"),
    "workers with a rate": (
        ("app", "--workers", "2", "--threads", "t.sqlite", "--rate", "9/minute"),
        "leave that to the proxy",
    ),
    "more workers than questions": (
        ("app", "--workers", "9", "--threads", "t.sqlite"),
        "9 workers cannot share 8 questions at a time; raise --max-concurrency",
    ),
    "missing document": (("app", "--docs", "nothing"), "there is no 'nothing'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_and_exit_code_2(name: str, home: Path) -> None:
    (home / "empty.txt").write_text("# none yet\n\n")
    (home / "odd.txt").write_text("schlüssel\n")
    arguments, message = BAD[name]
    code, out, err = invoke("serve", *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "schlüssel" not in err


@pytest.mark.parametrize("arguments", [("serve", "--help"), ("serve", "app", "--help"), ("serve", "mcp", "--help")])
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    heavy = (*HEAVY, "fastapi", "uvicorn", "mcp", "prometheus_client")
    process = subprocess.run(
        [sys.executable, "-c", PROBE % (heavy,), *arguments], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0
    assert process.stdout.splitlines()[-1] == "HEAVY:"


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\n one \n\ntwo\none\n")
    assert read_keys(None) == ()
    assert read_keys(str(file)) == ("one", "two")
    monkeypatch.setenv("ANABRANCH_SERVER_KEY", "three")
    assert read_keys(str(file)) == ("three", "one", "two")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentError):
        read_keys(str(file))
    file.write_text("")
    with pytest.raises(ConfigurationError):
        read_keys(str(file))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delitem(sys.modules, "anabranch.cli.serving")
    monkeypatch.delattr("anabranch.cli.serving")
    monkeypatch.delitem(sys.modules, "anabranch.serving.app", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    code, out, err = invoke("serve", "app")
    assert (code, out) == (1, "")
    assert "serving needs: pip install 'anabranch[app]'" in err


class Served:
    """`anabranch serve` as a process that listens."""

    def __init__(self, home: Path, *arguments: str, command: str = "app", **extra: Any) -> None:
        self.process = scenario.start(home, "serve", command, "--port", "0", *arguments, **extra)
        self.log: list[dict[str, Any]] = []
        assert self.process.stderr
        for line in self.process.stderr:
            if line.startswith("{"):
                self.log.append(json.loads(line))
                if self.log[-1]["message"] == "listening":
                    break
        assert self.log, "it did not start"
        self.url = str(self.log[-1]["url"])

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Waits for the end: exit code and log."""
        out, err = self.process.communicate(timeout=60)
        assert out == ""
        self.log += [json.loads(line) for line in err.splitlines() if line.startswith("{")]
        return self.process.returncode, self.log


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def begin(*arguments: str, **extra: str) -> Served:
        started.append(Served(home, *arguments, **extra))
        return started[-1]

    yield begin
    for served in started:
        served.process.kill()
        served.process.communicate()


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_sigterm_drains(start: Callable[..., Served], models: Callable[..., list[str]], server: OpenAIServer) -> None:
    server.delay = 0.5
    served = start(*models("--tool", "slow_tools:lookup"), ANABRANCH_SERVER_KEY="sesame")
    headers = {"Authorization": "Bearer sesame"}
    body = {"model": "anabranch", "messages": [{"role": "user", "content": scenario.QUESTION}]}
    with ThreadPoolExecutor() as pool:
        url = f"{served.url}/v1/chat/completions"
        under_way = [
            pool.submit(httpx.post, url, json={**body, "stream": stream}, headers=headers, timeout=60)
            for stream in (False, True)
        ]
        scenario.wait_until(lambda: len(server.requests) >= 2)
        served.process.send_signal(signal.SIGTERM)
        scenario.wait_until(lambda: refuses(served.url))
        whole, streamed = (future.result() for future in under_way)
    assert whole.json()["choices"][0]["message"]["content"] == scenario.ANSWER
    assert streamed.text.rstrip().endswith("data: [DONE]")
    code, log = served.end()
    assert code == 0
    assert (log[0]["message"], log[-1]["message"]) == ("listening", "stopped")
    asked = [line for line in log if line.get("route") == "/v1/chat/completions"]
    assert [line["status"] for line in asked] == [200, 200]
    assert "sesame" not in json.dumps(log)
    assert "Craigslist" not in json.dumps(log)


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/health/live", timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.RemoteProtocolError:  # taken just before it stopped listening, and closed
        return False
    return False


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_sigterm_does_not_wait_for_ever(
    start: Callable[..., Served], models: Callable[..., list[str]], server: OpenAIServer
) -> None:
    server.delay = 30
    served = start(*models("--timeout", "8"))
    body = {"model": "anabranch", "messages": [{"role": "user", "content": scenario.QUESTION}]}
    with ThreadPoolExecutor() as pool:
        reply = pool.submit(httpx.post, f"{served.url}/v1/chat/completions", json=body, timeout=60)
        scenario.wait_until(lambda: bool(server.requests))
        served.process.send_signal(signal.SIGTERM)
        code, _ = served.end()
        assert code == 0
        assert reply.result().status_code == 504


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_ctrl_c_ends_it(start: Callable[..., Served], models: Callable[..., list[str]]) -> None:
    served = start(*models())
    assert httpx.get(f"{served.url}/health").json()["models"] == {"decomposer": "ready", "solver": "ready"}
    served.process.send_signal(signal.SIGINT)
    code, _ = served.end()
    assert code == 130


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_port_that_is_taken(start: Callable[..., Served], models: Callable[..., list[str]], home: Path) -> None:
    port = start(*models()).url.rpartition(":")[2]
    process = scenario.run(home, "serve", "app", "--port", port, *models())
    assert process.returncode == 1
    assert f"error: cannot listen on 127.0.0.1 port {port}" in process.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_mcp_over_http_ends_although_a_client_listens(
    start: Callable[..., Served], models: Callable[..., list[str]]
) -> None:
    served = start(*models("--tool", "slow_tools:lookup", "--transport", "http", "--timeout", "5"), command="mcp")
    async with Client(f"{served.url}/mcp", mode="legacy") as client:
        result: Any = await client.call_tool("ask", {"question": scenario.QUESTION})
        assert result.content[0].text == scenario.ANSWER
        served.process.send_signal(signal.SIGTERM)
        code, log = await asyncio.to_thread(served.end)
    assert code == 0
    assert log[-1]["message"] == "stopped"
