"""AG-UI with several workers, which share threads and what waits in them; real processes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import scenario
from tests.cli.test_workers import Workers, start  # noqa: F401 - a fixture
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving.agui.client import Client, interrupts, resume, text
from tests.tools.test_mcp_servers import FIXTURE

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
MOST = 60


class Watched(Client):
    """A front end that knows which worker each of its requests came to."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(workers.url)
        self._workers = workers
        self._ids: list[str] = []
        self.http.event_hooks = {"response": [lambda reply: self._ids.append(reply.headers["x-request-id"])]}

    @property
    def processes(self) -> list[int]:
        """The workers, in the order of the requests."""
        found = [self._process(id_) for id_ in self._ids]
        assert all(each in self._workers.ids for each in found)
        return found

    def _process(self, id_: str) -> int:
        scenario.wait_until(lambda: any(line.get("id") == id_ for line in self._workers.log))
        return int(next(line["process"] for line in self._workers.log if line.get("id") == id_))


def elsewhere(workers: Workers, talk: Callable[[Watched], None]) -> None:
    """Has conversations, each on its own thread, until one of them has come to both workers."""
    for _ in range(MOST):
        client = Watched(workers)
        talk(client)
        if len(set(client.processes)) > 1:
            return
    raise AssertionError("one worker takes it all")


def test_threads_and_what_waits_in_them_are_shared(
    start: Callable[..., Workers],  # noqa: F811
    server: OpenAIServer,
) -> None:
    workers = start("--tool", "slow_tools:lookup").begun()

    def reviewed(client: Watched) -> None:
        (waiting,) = interrupts(client.ask(scenario.QUESTION, forwardedProps={"review": True}))
        assert waiting.reason == "confirmation"
        assert text(resume(client, waiting.id, {"type": "approve"})) == scenario.ANSWER

    elsewhere(workers, reviewed)

    def followed(client: Watched) -> None:
        assert text(client.ask(scenario.QUESTION)) == scenario.ANSWER
        # The server keeps the conversation: only the new message is sent.
        client.messages = []
        before = len(server.requests)
        client.ask("Thank you, and who was born second of the two?")
        prompts = map(prompt_of, server.requests[before:])
        assert any(scenario.QUESTION in prompt and "born second" in prompt for prompt in prompts)

    elsewhere(workers, followed)


def test_what_an_mcp_server_asked_in_one_worker_is_answered_in_another(
    start: Callable[..., Workers],  # noqa: F811
    home: Path,
    server: OpenAIServer,
) -> None:
    plan = json.dumps({"sub_questions": [{"id": 1, "text": "person", "route": "asks", "depends_on": []}]})

    def reply(request: dict[str, Any]) -> Any:
        prompt = prompt_of(request)
        if "Reply with JSON only" in prompt:
            return plan
        return "Answer: " + prompt[prompt.rindex("the person says: ") :].splitlines()[0]

    server.script = reply
    fixture = {"command": sys.executable, "args": [str(FIXTURE)]}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"kitchen": fixture}}))
    workers = start("--mcp", "mcp.json").begun()

    def asked(client: Watched) -> None:
        (waiting,) = interrupts(client.ask("Which one does she want for dinner?"))
        said = text(resume(client, waiting.id, {"which": "mine"}))
        assert said == "the person says: accept {'which': 'mine'}"

    elsewhere(workers, asked)
