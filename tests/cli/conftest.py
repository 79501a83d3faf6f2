"""Fixtures: a folder with a tool module, and the scripted server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import scenario
from tests.openai_server import OpenAIServer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the module `slow_tools` and an empty cache."""
    (tmp_path / "slow_tools.py").write_text(scenario.TOOLS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANABRANCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ANABRANCH_THREADS", raising=False)
    return tmp_path


@pytest.fixture
def server(socket_enabled: None) -> Iterator[OpenAIServer]:
    """The scripted server of the scenario."""
    with OpenAIServer(scenario.script()) as running:
        yield running


@pytest.fixture
def models(server: OpenAIServer) -> Callable[..., list[str]]:
    """Options that make the command use the server."""

    def options(*more: str) -> list[str]:
        return ["--solver", server.url, "--decomposer", server.url, *more]

    return options
