"""The documentation: its links lead somewhere, and the README's first lines run."""

import inspect
import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch import bounds, config, create_planner, fetching, python_sandbox
from anabranch.agents.listing import LISTING_SECONDS
from anabranch.serving import connections, door, health
from anabranch.serving.connections import Patience
from anabranch.serving.options import Limits
from anabranch.serving.page import documents as page_documents
from anabranch.serving.page import kept_documents, threads
from anabranch.tools import mcp_session, reading
from tests.graphs.scripts import CRAIGSLIST
from tests.openai_server import OpenAIServer, prompt_of

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "anabranch/adapters/*/*.md",
        "packages/**/*.md",
        "distill_data/*.md",
        "benchmarks/**/*.md",
    )
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(found), f"{page.name} links to {link}"


FOR_READERS = [page for page in PAGES if page.parent in (ROOT, ROOT / "docs", ROOT / "docs" / "guides")]


@pytest.mark.parametrize("page", FOR_READERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_paragraphs_are_short_and_errors_stand_in_tables(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*|] |\d+\. )", text):
        if not paragraph.lstrip().startswith("|"):
            assert len(paragraph.split()) <= 95, paragraph
            assert "±" not in paragraph, paragraph


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    def reply(request: dict[str, Any]) -> str:
        prompt = prompt_of(request)
        if "Reply with JSON only" in prompt:
            return (
                CRAIGSLIST.replace('"search"', '"people"')
                if "Answers questions about people." in prompt
                else CRAIGSLIST
            )
        return "Craig Newmark" if "founded by" in prompt else "1952"

    with OpenAIServer(reply) as running:
        yield running


def blocks(page: str) -> list[str]:
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def write_handbook(folder: Path) -> None:
    (folder / "handbook").mkdir()
    (folder / "handbook" / "people.md").write_text("# Craigslist\nCraigslist was founded by Craig Newmark in 1995.")


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("page", "number"),
    [("README.md", 0), *(("docs/forms.md", number) for number in range(len(blocks("docs/forms.md"))))],
)
def test_lines_of_python_run_as_they_are_after_the_install(
    page: str, number: int, server: OpenAIServer, tmp_path: Path
) -> None:
    write_handbook(tmp_path)
    fixture = {"command": sys.executable, "args": [str(ROOT / "tests" / "mcp_fixture.py")]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"fixture": fixture}}))
    # As after `pip install anabranch`: without the embedded model.
    lines = "import sys; sys.modules['xllamacpp'] = None\n" + blocks(page)[number]
    # deepagents has OpenAI's models speak the Responses API, which the server of the tests does not.
    chat = 'model=__import__("langchain_openai").ChatOpenAI(model="gpt-5-mini", use_responses_api=False)'
    lines = re.sub(r"(create_deep_agent\()model=[^,]+", rf"\1{chat}", lines)
    done = subprocess.run(
        [sys.executable, "-W", "default" if "deepagents" in lines else "error", "-c", lines],
        cwd=tmp_path,
        env=os.environ | {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1952"
    if page == "README.md":
        assert "people.md" in done.stdout
        assert "Who founded Craigslist?" in done.stdout
    if "agent_tool" in lines:
        assert done.stdout.splitlines()[1] == "['people', 'people']"
    if "todos" in lines:
        assert "{'content': 'Who founded Craigslist?', 'status': 'completed'}" in done.stdout


@pytest.mark.slow
@pytest.mark.loopback
@pytest.mark.timeout(900)
def test_the_first_lines_run_where_only_the_wheel_was_installed(server: OpenAIServer, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("anabranch-*.whl")
    assert wheel.stat().st_size <= 45_000_000
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, capture_output=True)
    write_handbook(tmp_path)
    settings = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none", "HOME": str(tmp_path)}
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    lines = [str(python), "-W", "error", "-c", blocks("README.md")[0]]
    done = subprocess.run(lines, cwd=tmp_path, env=kept | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1952\n")
    assert "people.md" in done.stdout


def test_the_page_on_forms_has_the_numbers_of_the_code() -> None:
    page = (ROOT / "docs" / "forms.md").read_text(encoding="utf-8")
    for words in (
        f"not within {mcp_session.CONNECT_SECONDS:g} s",
        f"does not answer within {mcp_session.PING_SECONDS:g} s",
        f"sends more than {bounds.MAX_REPLY_BYTES >> 20} MiB at once",
        f"longer results than {bounds.MAX_RESULT_CHARS:,} characters",
    ):
        assert words in page


def test_the_page_on_reliability_has_the_numbers_of_the_code() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    told = inspect.signature(create_planner).parameters
    sandbox = inspect.signature(python_sandbox).parameters
    for line in (
        f"| `Budget(call_timeout=)` | {bounds.CALL_SECONDS:g} s |",
        f"| `step_timeout=` | {told['step_timeout'].default:g} s |",
        f"| a list of models, a health check | {LISTING_SECONDS:g} s, {health.PROBE_SECONDS:g} s |",
        f"| one document | {reading.MAX_SECONDS:g} s |",
        f"| the sandbox | {sandbox['timeout'].default:g} s |",
        f"| a request to `serve app` | {Limits().timeout:g} s |",
        f"its head has {Patience().head:g} s, its body {door.BODY_SECONDS:g} s",
        f"dropped after {Patience().answer:g} s",
        f"| a question | {config.MAX_QUESTION_CHARS:,} characters |",
        f"| {fetching.MAX_REPLY_BYTES >> 20} MiB; {bounds.MAX_REPLY_CHARS:,} characters of text |",
        f"| the answer to a sub-question | {bounds.MAX_ANSWER_CHARS:,} characters |",
        f"| a sub-question with answers in its slots | {bounds.MAX_FILLED_CHARS:,} characters |",
        f"| a tool's result | {bounds.MAX_RESULT_CHARS:,} characters |",
        f"| a plan | {bounds.MAX_PLAN_SIZE:,} sub-questions, {bounds.MAX_PLAN_CHARS:,} characters |",
        f"| a document | {reading.MAX_BYTES >> 20} MiB, {reading.MAX_MEMORY >> 30} GiB of memory |",
        f"| the sandbox | {sandbox['max_memory_mb'].default} MiB, {sandbox['max_output_chars'].default:,} characters",
        f"| the head of a request to `serve app` | {connections.MAX_HEAD_BYTES >> 10} KiB |",
        f"takes {Limits().max_concurrency} questions at a time and lets {Limits().max_queue} wait",
    ):
        assert line in page


def test_the_page_on_the_page_has_the_numbers_of_the_code() -> None:
    page = (ROOT / "docs" / "page.md").read_text(encoding="utf-8")
    for line in (
        f"| a document | {page_documents.MAX_BYTES >> 20} MiB |",
        f"| {page_documents.MAX_DOCUMENTS}, and {page_documents.MAX_CHARS:,} characters |",
        f"| documents of all conversations, in memory | {page_documents.MAX_ALL_CHARS:,} characters;",
        f"| documents where `--threads` says | {kept_documents.MAX_KEPT_CHARS:,} characters",
        f"{kept_documents.KEEP_SECONDS / 86_400:g} days after the last change",
        f"| conversations in memory | {threads.MAX_KEPT:,};",
    ):
        assert line in page
