"""`anabranch demo`: the page over example documents."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from anabranch.cli.demonstration import EXAMPLES, documents
from anabranch.config import Settings
from anabranch.errors import DocumentError
from tests.browser import Open
from tests.cli import scenario
from tests.receiver import receiving
from tests.serving.page.client import Client

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


@contextmanager
def demo(home: Path, *arguments: str, **extra: Any) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The command as a process, once it tells its address."""
    process = scenario.start(home, "demo", "--no-browser", *arguments, **extra)
    said = ""
    try:
        assert process.stderr
        for line in process.stderr:
            said += line
            if found := re.search(r"the page is at (\S+)", line):
                yield found[1], process
                return
        pytest.fail(f"it did not start: {said}")
    finally:
        process.kill()
        process.communicate()


def test_it_serves_the_page_and_the_example_documents(home: Path, models: Callable[..., list[str]]) -> None:
    options = [option for option in models() if option != "--quiet"]
    with demo(home, *options) as (url, process):
        assert httpx.get(url).text.startswith("<!doctype html>")
        settings = Client(url).http.get("/page/settings").json()
        assert settings["examples"] == list(EXAMPLES)
        assert [tool["name"] for tool in settings["tools"]] == ["calculator", "search"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.strip() == "interrupted"


def test_its_questions_are_traced_if_that_is_wanted(home: Path, models: Callable[..., list[str]]) -> None:
    options = [option for option in models("--otel") if option != "--quiet"]
    with receiving() as receiver:
        with demo(home, *options, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as (url, process):
            assert Client(url).run(question=scenario.QUESTION)[-1]["type"] == "end"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        names = [span.name for span in receiver.spans()]
    assert {"POST /page/runs", "invoke_agent anabranch"} <= set(names)


def test_the_documents_are_found_or_missed() -> None:
    assert (documents() / "hollin-quay-ferry.md").is_file()


def test_without_the_documents_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("anabranch.cli.demonstration.anabranch.__file__", str(tmp_path / "anabranch" / "__init__.py"))
    with pytest.raises(DocumentError, match="install anabranch again"):
        documents()


@pytest.mark.slow
def test_the_documents_are_in_the_wheel(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "wheel", "zip")
    assert (tmp_path / "wheel" / "anabranch" / "example_documents" / "hollin-quay-ferry.md").is_file()
    assert (tmp_path / "wheel" / "anabranch" / "serving" / "page" / "assets" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
def test_the_embedded_models_answer_on_the_page(home: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    # The cache of the user, where the model is likely to be prepared already.
    monkeypatch.delenv("ANABRANCH_CACHE_DIR")
    with demo(home, ANABRANCH_CACHE_DIR=str(Settings().cache_dir)) as (url, _):
        page = open_page(url)
        page.set_default_timeout(200_000)
        page.get_by_role("button", name=EXAMPLES[0]).click()
        page.locator("li.card").first.wait_for()
        page.locator(".foot:not(:empty)").wait_for()
        assert page.locator(".answer-text").inner_text() == "Kestrel Hythe"
        assert page.locator("li.card[data-state=done]").count() == 2
        assert "marta-ostrander.md" in page.locator(".sources").inner_text()
