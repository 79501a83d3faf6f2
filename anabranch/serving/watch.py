"""One log line and one count for each request; and the last net under the app. Logs hold no question and no key."""

import json
import logging
import sys
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anabranch.serving.failures import reply
from anabranch.serving.metrics import Metrics

log = logging.getLogger("anabranch.access")
GONE = 499
"""Logged as the status where the client left before the reply (as nginx does)."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Watch:
    """Logs and counts requests, gives each an id, and answers 500 where the app raised."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started = uuid.uuid4().hex, time.monotonic()
        status, sent = GONE, 0

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if status == GONE:
                await reply(error)(scope, receive, watched)
            else:
                reply(error)  # logs it; the reply has begun and breaks off
        finally:
            seconds = time.monotonic() - started
            # Paths and methods are the client's to make up: those that are not ours are not kept.
            known = scope["path"] if scope["path"] in self._routes else "other"
            route = str(getattr(scope.get("route"), "path", known))
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(route, status, seconds)
            fields = {"id": request_id, "method": method, "route": route, "status": status}
            log.info("request", extra={"fields": {**fields, "seconds": round(seconds, 4), "bytes": sent}})


class JsonLines(logging.Formatter):
    """Log records as JSON lines; `extra={"fields": {...}}` are added as they are."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends the server's log to standard error, as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, least in (("anabranch", level), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(least)
