"""A loopback OpenAI-compatible server with scripted replies, for tests that need a real address.

Sockets are off in the suite; a test that talks to the server from its own process needs
`@pytest.mark.enable_socket`, one that only starts subprocesses needs nothing, except for binding the port: take the
server from a fixture that requests `socket_enabled`.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Hang:
    """No reply: the connection stays open without a byte."""


@dataclass(frozen=True)
class Die:
    """The connection is closed in the middle of a reply, or before it (`part` 0).

    Attributes:
        text: the reply that was under way.
        part: how much of what would be sent is sent.
    """

    text: str = "a reply"
    part: float = 0.5


@dataclass(frozen=True)
class Drip:
    """Bytes that never end: `begin`, and then `more` again and again, with pauses, until the client has gone.

    Attributes:
        begin: what is sent first, from the status line on.
        more: what is sent again and again.
        pause: seconds between.
    """

    begin: bytes
    more: bytes
    pause: float = 0.02


@dataclass(frozen=True)
class Raw:
    """These bytes, from the status line on, and then the end of the connection.

    Attributes:
        sent: the bytes.
        reset: whether the connection is reset in place of closed.
    """

    sent: bytes
    reset: bool = False


Reply = str | dict[str, Any] | tuple[int, Any] | tuple[int, Any, dict[str, str]] | Hang | Die | Drip | Raw
"""A text, a whole message such as `{"content": ..., "tool_calls": [...]}` (with `finish_reason` if not `stop`), an
HTTP status with its body and headers, or a failure."""
Script = Callable[[dict[str, Any]], Reply]


def prompt_of(request: dict[str, Any]) -> str:
    """The messages of a request as one text, `role: content` each."""
    return "\n".join(f"{message['role']}: {message.get('content')}" for message in request["messages"])


class OpenAIServer:
    """Serves `GET /v1/models` and `POST /v1/chat/completions`, plain and streamed, with usage.

    Usage counts words: those of the prompt, and those of the reply; a message may have more of it under `usage`.
    Use as a context manager.

    Args:
        script: the reply to a request's JSON body. What it raises becomes a status 500 that names it.
        delay: seconds before each reply.
        models: ids of the models it lists; or how it drips.
        keep_alive: whether connections are kept for the next request, as real servers do. A pooled connection that
            outlives its test warns when it is collected; close the client.
        port: the port; 0 takes a free one.

    Attributes:
        connections: addresses of the clients' ends of all connections on which something was asked.
        listed: the whole reply of `GET /v1/models`, if it is to be another.
        requests: the JSON bodies of the completions asked for, in the order they came in.
        headers: the HTTP headers of the same.
    """

    def __init__(
        self,
        script: Script,
        *,
        delay: float = 0.0,
        models: tuple[str, ...] | Drip = ("scripted",),
        keep_alive: bool = False,
        port: int = 0,
    ) -> None:
        self.script = script
        self.delay = delay
        self.models = models
        self.keep_alive = keep_alive
        self.port = port
        self.listed: Any = None
        self.closing = threading.Event()
        self.connections: set[Any] = set()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        version = "HTTP/1.1" if self.keep_alive else "HTTP/1.0"
        handler = type("Handler", (_Handler,), {"server_owner": self, "protocol_version": version})
        self._server = _Listener(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    @property
    def url(self) -> str:
        """The address to give as a model: `http://127.0.0.1:PORT/v1`."""
        assert self._server, "use the server as a context manager"
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        """The prompts of all requests, as text."""
        return [prompt_of(request) for request in self.requests]


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128  # of connections that come at once; 5 by default


class _Handler(BaseHTTPRequestHandler):
    server_owner: OpenAIServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""

    def do_GET(self) -> None:
        if self.path.rstrip("/") != "/v1/models":
            self._json(404, _error(f"no such path: {self.path}"))
            return
        if isinstance(self.server_owner.models, Drip):
            self._drip(self.server_owner.models)
            return
        entries = [{"id": name, "object": "model", "owned_by": "test"} for name in self.server_owner.models]
        self._json(200, self.server_owner.listed or {"object": "list", "data": entries})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/v1/chat/completions":
            self._json(404, _error(f"no such path: {self.path}"))
            return
        request = json.loads(body)
        self.server_owner.requests.append(request)
        self.server_owner.headers.append({name.title(): value for name, value in self.headers.items()})
        self.server_owner.connections.add(self.client_address)
        time.sleep(self.server_owner.delay)
        try:
            reply = self.server_owner.script(request)
        except Exception as error:
            reply = (500, _error(f"{type(error).__name__}: {error}"))
        if isinstance(reply, tuple):
            self._json(*reply)
            return
        if isinstance(reply, Hang):
            self.close_connection = True
            self.server_owner.closing.wait(60)
            return
        if isinstance(reply, Drip):
            self._drip(reply)
            return
        if isinstance(reply, Raw):
            self._raw(reply)
            return
        part = reply.part if isinstance(reply, Die) else 1.0
        text = reply.text if isinstance(reply, Die) else reply
        message = {"content": text} if isinstance(text, str) else dict(text)
        self._reply(request, message, part)

    def _drip(self, reply: Drip) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(reply.begin)
            while not self.server_owner.closing.wait(reply.pause):
                self.wfile.write(reply.more)

    def _raw(self, reply: Raw) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(reply.sent)
            if reply.reset:
                time.sleep(0.05)  # so that what was sent arrives before
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

    def _reply(self, request: dict[str, Any], message: dict[str, Any], part: float) -> None:
        finish = message.pop("finish_reason", "stop")
        usage = {**_usage(request, message), **message.pop("usage", {})}
        if request.get("stream"):
            self._stream(request, message, usage, part, finish)
        else:
            body = _completion(request, "chat.completion", {"message": _whole(message)}, finish) | {"usage": usage}
            self._json(200, body, part=part)

    def _stream(
        self, request: dict[str, Any], message: dict[str, Any], usage: dict[str, Any], part: float, finish: str
    ) -> None:
        chunks = [_completion(request, "chat.completion.chunk", {"delta": delta}, None) for delta in _deltas(message)]
        chunks.append(_completion(request, "chat.completion.chunk", {"delta": {}}, finish))
        if (request.get("stream_options") or {}).get("include_usage"):
            chunks.append({**_completion(request, "chat.completion.chunk", {}), "choices": [], "usage": usage})
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        if part < 1:
            self.send_header("Content-Length", "100000")  # so that an early end is not taken for the end
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for chunk in chunks[: round(len(chunks) * part)]:
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
            if part == 1:
                self.wfile.write(b"data: [DONE]\n\n")

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None, *, part: float = 1.0) -> None:
        payload = (body if isinstance(body, str) else json.dumps(body)).encode()
        if part < 1:
            self.close_connection = True
        if part == 0:
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload[: round(len(payload) * part)])


def _completion(
    request: dict[str, Any], object_: str, choice: dict[str, Any], finish: str | None = "stop"
) -> dict[str, Any]:
    calls = (choice.get("message") or {}).get("tool_calls")
    reason = "tool_calls" if calls and finish else finish
    return {
        "id": "chatcmpl-test",
        "object": object_,
        "created": 0,
        "model": request.get("model", "scripted"),
        "choices": [{"index": 0, "finish_reason": reason, "logprobs": None, **choice}],
    }


def _whole(message: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, **message}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    words = str(message.get("content") or "").split(" ")
    yield {"role": "assistant", "content": words[0]}
    for word in words[1:]:
        yield {"content": f" {word}"}
    if calls := message.get("tool_calls"):
        yield {"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]}


def _usage(request: dict[str, Any], message: dict[str, Any]) -> dict[str, int]:
    read, written = len(prompt_of(request).split()), len(str(message.get("content") or "").split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "test", "code": None, "param": None}}
