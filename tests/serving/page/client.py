"""The page's requests without a browser."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


class Client:
    """One conversation with a server.

    Args:
        url: the server's address.
        key: its API key, if it has one.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.thread = secrets.token_urlsafe(18)
        headers = {"Anabranch-Thread": self.thread, **({"Authorization": f"Bearer {key}"} if key else {})}
        # Without connections that outlive a request: nobody closes them.
        alone = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=url, headers=headers, timeout=30, limits=alone)

    @contextmanager
    def running(self, until: str, **body: Any) -> Iterator[None]:
        """A run that goes on as long as the block, which begins when an event holds a text."""
        with self.http.stream("POST", "/page/runs", json=body) as reply:
            lines = reply.iter_lines()  # held, or the stream would be closed
            while until not in next(lines):
                pass
            yield

    def run(self, **body: Any) -> list[dict[str, Any]]:
        """All events of a run."""
        reply = self.http.post("/page/runs", json=body)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines]

    def show(self) -> dict[str, Any]:
        """The conversation as it stands."""
        found: dict[str, Any] = self.http.get("/page/thread").json()
        return found

    def put(self, name: str, data: bytes) -> httpx.Response:
        """Adds a document."""
        headers = {"Content-Type": "application/octet-stream"}
        return self.http.put("/page/documents", params={"name": name}, content=data, headers=headers)


def of_type(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    """The events of one type."""
    return [event for event in events if event.get("type") == type_]
