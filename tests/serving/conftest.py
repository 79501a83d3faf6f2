"""Fixtures: scripted planners behind a real server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from anabranch.serving.app import create_app
from anabranch.serving.door import DoorRules
from anabranch.serving.options import Limits
from anabranch.serving.service import Parts, Service
from tests.serving import live

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers: takes a planner's parts and the server's limits and rules, gives the address."""
    with ExitStack() as stack:

        def start(
            parts: Parts | None = None,
            limits: Limits | None = None,
            rules: DoorRules | None = None,
            service: Service | None = None,
            **options: Any,
        ) -> str:
            app = create_app(service or Service(parts or live.parts(), limits), rules, **options)
            return stack.enter_context(live.running(app))

        yield start
