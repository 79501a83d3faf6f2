"""The guides in docs/guides: every line of code runs, in order, and prints what the page says it prints."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.graphs.scripts import plan_json
from tests.openai_server import OpenAIServer, Reply, prompt_of
from tests.ports import free_port

GUIDES = sorted((Path(__file__).parents[1] / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)
TOLD = re.compile(r"(?:^|  )# (.+)$", re.MULTILINE)
WITHOUT_LOCAL = "import sys; sys.modules['xllamacpp'] = None\n"
"""As after `pip install anabranch`, without the embedded models."""
COMMAND_LINE = "from anabranch.cli import main; main()"
LEADING = "Who leads the team that wrote the travel rules?"
NOT_PRINTED = ("writes plans", "reads passages", "an answer comes")
"""How comments begin that explain a line and are not what it prints."""
HANDBOOK = {
    "travel.md": "# Travel rules\nThe travel rules were written by the finance team.",
    "people.md": "# People\nThe finance team is led by Mara Olsen. The extension of Mara Olsen is 4411.",
}
FRIDAY = plan_json(
    ("find_person", "Find the e-mail address of Mara Olsen.", []),
    ("find_person", "Find the e-mail address of Ivo Brandt.", []),
    ("free_slots", "When is {1} free on Friday?", [1]),
    ("free_slots", "When is {2} free on Friday?", [2]),
)
MAIL = plan_json(
    ("find_person", "Find the e-mail address of Mara Olsen.", []),
    ("send_mail", "Mail {1} that the slipway is free on Friday.", [1]),
)
LEADER = plan_json(("search", "Which team wrote the travel rules?", []), ("search", "Who leads {1}?", [1]))


SAID: tuple[tuple[str, Reply], ...] = (
    (r"Reply with JSON only.*Give only the next.*from 3", plan_json()),
    (r"Reply with JSON only.*Question: .*Mara Olsen and Ivo Brandt", FRIDAY),
    (r"Reply with JSON only.*Question: Mail", MAIL),
    (r"Reply with JSON only.*Question: Who leads the team", LEADER),
    (r"Reply with JSON only", plan_json()),
    (r"Reply with YES or NO", "YES"),
    (r"Last message: And what is her extension", "QUESTION: What is Mara Olsen's extension?"),
    (r"Last message: Who wrote the travel rules\?$", "QUESTION: Who wrote the travel rules?"),
    (
        r"Last message: What does the harbour charge for parking\?$",
        "QUESTION: What does the harbour charge for parking?",
    ),
    (r"call of the tool find_person.*of Mara Olsen", '{"name": "Mara Olsen"}'),
    (r"call of the tool find_person.*of Ivo Brandt", '{"name": "Ivo Brandt"}'),
    (r"call of the tool free_slots.*mara@yard.example", '{"email": "mara@yard.example"}'),
    (r"call of the tool free_slots.*ivo@yard.example", '{"email": "ivo@yard.example"}'),
    (
        r"call of the tool send_mail.*mara@yard.example",
        '{"to": "mara@yard.example", "text": "The slipway is free on Friday."}',
    ),
    (r"were answered.*both free", "Both are free at 11."),
    (r"their answers:.*\n\nQuestion: .*both free", "Both are free at 11."),
    (r"their answers:.*\n\nQuestion: Mail", "The mail was sent."),
    (r"their answers:.*\n\nQuestion: Who leads the team", "Mara Olsen leads it."),
    (r"their answers:.*\n\nQuestion: .*extension", "It is 4411."),
    (r"their answers:.*\n\nQuestion: Who wrote", "The finance team wrote them."),
    (r"Result:.*Question: .*address of Mara Olsen", "mara@yard.example"),
    (r"Result:.*Question: .*address of Ivo Brandt", "ivo@yard.example"),
    (r"Result:.*Question: .*mara@yard.example free", "9, 11 and 15"),
    (r"Result:.*Question: .*ivo@yard.example free", "11 and 16"),
    (r"Result:.*Question: Who leads", "Mara Olsen"),
    (r"Result:.*Question: Wh\w+( team)? wrote", "The finance team"),
    (r"Result:.*Question: .*extension", "4411"),
    (r"Result:.*Question: .*parking", "NOT FOUND"),
)
"""What a prompt has in it, and what a good model would say to it; the first that fits."""


def reply(request: dict[str, Any]) -> Reply:
    prompt = prompt_of(request)
    fits = (said for pattern, said in SAID if re.search(pattern, prompt, re.DOTALL))
    said = next(fits, None)
    assert said is not None, f"no reply to {prompt[-1500:]!r}"
    return said


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    with OpenAIServer(reply) as running:
        yield running


@contextmanager
def serving(command: list[str], folder: Path, environment: dict[str, str], port: int) -> Iterator[None]:
    """A command that serves, until it is no longer needed."""
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(600):
                if process.poll() is not None:
                    pytest.fail(f"the server ended: {process.stderr and process.stderr.read()}")
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.loopback
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_all_code_of_a_guide_runs_and_prints_what_the_page_says(
    page: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "handbook").mkdir()
    for name, text in HANDBOOK.items():
        (tmp_path / "handbook" / name).write_text(text)
    (tmp_path / "questions.jsonl").write_text(json.dumps({"question": LEADING}) + "\n")
    (tmp_path / "mine.jsonl").write_text(json.dumps({"question": LEADING, "answer": "Mara Olsen"}) + "\n")
    environment = os.environ | {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "none",
        "ANABRANCH_CACHE_DIR": str(tmp_path / "cache"),
    }
    port, program, commands = free_port(), WITHOUT_LOCAL, []
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            program += code
        else:
            commands += [shlex.split(line)[1:] for line in code.splitlines() if line.startswith("anabranch ")]
    with ExitStack() as servers:
        for words in commands:
            command = [sys.executable, "-c", WITHOUT_LOCAL + COMMAND_LINE, *words]
            if words[0] == "serve":
                servers.enter_context(serving([*command, "--port", str(port)], tmp_path, environment, port))
            else:
                run(command, tmp_path, environment)
        printed = run([sys.executable, "-c", program.replace(":8080", f":{port}")], tmp_path, environment)
    told = [line for line in TOLD.findall(program) if not line.startswith(NOT_PRINTED)]
    assert told, "the page says nothing of what its code prints"
    lines = iter(printed.splitlines())
    for line in told:
        assert line in lines, f"the page says {line!r}; printed was {printed!r}"
