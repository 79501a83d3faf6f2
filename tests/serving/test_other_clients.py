"""Clients that have environments of their own, unmodified.

OpenAI's in JavaScript, the Vercel AI SDK and AG-UI's are installed from a lock file where there is Node. LiteLLM is in
`.venv-litellm`, which `make test` makes, or where `ANABRANCH_LITELLM_PYTHON` says.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, plan_json, reader, search
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.slow, pytest.mark.loopback, pytest.mark.enable_socket]

HERE = Path(__file__).parent / "js"
NODE, NPM = shutil.which("node"), shutil.which("npm")
LITELLM = os.environ.get("ANABRANCH_LITELLM_PYTHON", str(Path(__file__).parents[2] / ".venv-litellm/bin/python"))
DIRECT = json.dumps({"sub_questions": []})
GOOD = '{"name": "Craig Newmark", "year": 1952}'


def run(command: list[str], folder: Path | None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients and their packages."""
    if not NODE or not NPM:
        pytest.skip("node and npm are not installed (Debian: apt install nodejs npm)")
    folder = tmp_path_factory.mktemp("js")
    for file in HERE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    done = run([NPM, "ci", "--ignore-scripts"], folder)
    if done.returncode:
        pytest.skip(f"the packages cannot be installed: {done.stderr.strip()[-300:]}")
    return folder


def planning(prompt: str) -> Reply:
    asked = prompt.rpartition("Question:")[2]
    if "weather" in prompt and "Paris" in asked:
        return plan_json(("weather", "What is the weather in Paris?", []))
    return CRAIGSLIST if "Craigslist" in asked else DIRECT


def solving(prompt: str) -> Reply:
    if "this JSON schema" in prompt:
        return GOOD
    if "JSON schema of the arguments" in prompt:
        return '{"city": "Paris"}'
    if "[image 1]" in prompt:
        return "a cat"
    last = prompt.rpartition("human: ")[2]
    if "Sub-questions and their answers:" in last and "degrees" in last:
        return "It is 20 degrees."
    return "20 degrees" if "20 degrees" in last else reader(prompt)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("script", ["official.mjs", "vercel.mjs", "agui.mjs"])
def test_clients_in_javascript(serve: Serve, installed: Path, script: str) -> None:
    assert NODE
    check([NODE, script], installed, serve)


@pytest.mark.skipif(not Path(LITELLM).exists(), reason=f"there is no {LITELLM}; make test makes it")
def test_litellm(serve: Serve) -> None:
    check([LITELLM, str(Path(__file__).parent / "litellm_client.py")], None, serve)


def check(command: list[str], folder: Path | None, serve: Serve) -> None:
    decomposer, solver = ScriptedChatModel(script=planning), ScriptedChatModel(script=solving)
    url = serve(live.parts(decomposer, solver, [search]))
    done = run([*command, f"{url}/v1"], folder)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
