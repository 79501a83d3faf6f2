"""Tools from outside on the command line: documents of several names, and MCP servers."""

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.cli import scenario
from tests.cli.test_errors import invoke
from tests.cli.test_serve import Served, start  # noqa: F401 - a fixture
from tests.openai_server import OpenAIServer, prompt_of
from tests.tools.test_mcp_servers import FIXTURE, gone

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
STEPS = [
    {"id": 1, "text": "Who founded Craigslist?", "route": "people", "depends_on": []},
    {"id": 2, "text": "Where is the ferry?", "route": "places", "depends_on": []},
    {"id": 3, "text": "Which process?", "route": "pid", "depends_on": []},
    {"id": 4, "text": "Which child?", "route": "child", "depends_on": []},
]


@pytest.fixture
def options(home: Path, server: OpenAIServer, models: Callable[..., list[str]]) -> list[str]:
    """Models, two folders with names, and an MCP server."""
    found = scenario.script(STEPS)
    texts = ("Craig Newmark", "Hollin Quay")

    def reply(request: dict[str, object]) -> object:
        prompt = prompt_of(request)
        if "Reply with JSON only" in prompt or "Sub-questions and their answers" in prompt:
            return found(request)
        return next((text for text in texts if text in prompt), (re.findall(r"\d{2,}", prompt) or ["?"])[-1])

    server.script = reply  # type: ignore[assignment]
    (home / "people").mkdir()
    (home / "people" / "founders.md").write_text("Craigslist was founded by Craig Newmark.")
    (home / "places.md").write_text("The ferry is at Hollin Quay.")
    fixture = {"command": sys.executable, "args": [str(FIXTURE)]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"fixture": fixture, "away": {"command": "nobody"}}}))
    docs = ("--docs", "people=people:People of the valley.", "--docs", "places=places.md")
    return models(*docs, "--mcp", "mcp.json")


def test_ask_takes_named_documents_and_mcp_servers(home: Path, server: OpenAIServer, options: list[str]) -> None:
    done = scenario.run(home, "ask", "Where is everything?", *options, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    answers = [answer["text"] for answer in data["answers"]]
    assert answers[:2] == ["Craig Newmark", "Hollin Quay"]
    assert all(gone(int(answer)) for answer in answers[2:])
    planned = next(prompt_of(request) for request in server.requests if "Reply with JSON" in prompt_of(request))
    assert "people: People of the valley." in planned
    assert "places: Looks up facts in the documents on places." in planned
    assert "book: Books a table." in planned


def test_a_server_that_does_not_start_is_told(home: Path, options: list[str]) -> None:
    done = scenario.run(home, "plan", "Where is everything?", *options)
    assert done.returncode == 0, done.stderr
    assert "the MCP server 'away' cannot be used" in done.stderr


def test_the_servers_of_an_app_end_with_it(
    start: Callable[..., Served],  # noqa: F811
    options: list[str],
) -> None:
    served = start(*options)
    body: dict[str, object] = {"model": "anabranch", "messages": [{"role": "user", "content": "Where is everything?"}]}
    body["anabranch"] = {"include_plan": True}
    answered = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).json()
    found = json.dumps(answered)
    assert scenario.ANSWER in found
    processes = [int(each["text"]) for each in answered["anabranch"]["answers"] if each["route"] in ("pid", "child")]
    assert len(processes) == 2
    served.process.send_signal(signal.SIGTERM)
    code, _ = served.end()
    assert code == 0
    assert all(gone(process) for process in processes)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--docs", "people=nowhere:People."), "there is no 'nowhere'"),
        (("--docs", "calculator=."), "two tools are named 'calculator'"),
        (("--docs", "solve=."), "the tool name 'solve' cannot be a route"),
        (("--mcp", "nothing.json"), "nothing.json: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(home: Path, models: Callable[..., list[str]], given: tuple[str, str], told: str) -> None:
    (home / "note.md").write_text("Something to read.")
    code, out, err = invoke("ask", "Who?", *models(*given))
    assert (code, out) == (2, "")
    assert told in err
