"""Fixtures of the agents' tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.served import Serve
from tests.openai_server import OpenAIServer, Reply


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with replies in order; the last one is given again and again."""
    running: list[OpenAIServer] = []

    def start(*replies: Reply, **options: Any) -> OpenAIServer:
        left = list(replies)
        server = OpenAIServer(lambda _: left.pop(0) if len(left) > 1 else left[0], **options)
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__()
