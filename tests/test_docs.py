"""The documentation: its links lead somewhere, and the README's first lines run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    def reply(request: dict[str, Any]) -> str:
        prompt = prompt_of(request)
        if "Reply with JSON only" in prompt:
            return CRAIGSLIST
        return "Craig Newmark" if "founded by" in prompt else "1952"

    with OpenAIServer(reply) as running:
        yield running


def blocks(page: str) -> list[str]:
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("page", "number"),
    [("README.md", 0), *(("docs/forms.md", number) for number in range(len(blocks("docs/forms.md"))))],
)
def test_lines_of_python_run_as_they_are_after_the_install(
    page: str, number: int, server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "people.md").write_text("# Craigslist\nCraigslist was founded by Craig Newmark in 1995.")
    # As after `pip install anabranch`: without torch.
    lines = "import sys; sys.modules['torch'] = None\n" + blocks(page)[number]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", lines],
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
    if "todos" in lines:
        assert "{'content': 'Who founded Craigslist?', 'status': 'completed'}" in done.stdout
