"""A loopback OpenAI-compatible server with scripted replies, for tests that need a real address.

Sockets are off in the suite; a test that talks to the server from its own process needs
`@pytest.mark.enable_socket`, one that only starts subprocesses needs nothing, except for binding the port: take the
server from a fixture that requests `socket_enabled`.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = str | dict[str, Any] | tuple[int, Any]
"""A text, a whole message such as `{"content": ..., "tool_calls": [...]}`, or an HTTP status with its body."""
Script = Callable[[dict[str, Any]], Reply]


def prompt_of(request: dict[str, Any]) -> str:
    """The messages of a request as one text, `role: content` each."""
    return "\n".join(f"{message['role']}: {message.get('content')}" for message in request["messages"])


class OpenAIServer:
    """Serves `GET /v1/models` and `POST /v1/chat/completions`, plain and streamed, with usage.

    Usage counts words: those of the prompt, and those of the reply. Use as a context manager.

    Args:
        script: the reply to a request's JSON body. What it raises becomes a status 500 that names it.
        delay: seconds before each reply.
        models: ids of the models it lists.

    Attributes:
        requests: the JSON bodies of the completions asked for, in the order they came in.
        headers: the HTTP headers of the same.
    """

    def __init__(self, script: Script, *, delay: float = 0.0, models: tuple[str, ...] = ("scripted",)) -> None:
        self.script = script
        self.delay = delay
        self.models = models
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"server_owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server
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


class _Handler(BaseHTTPRequestHandler):
    server_owner: OpenAIServer
    # Without keep-alive: a pooled connection would outlive the test and warn when it is collected.
    protocol_version = "HTTP/1.0"

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""

    def do_GET(self) -> None:
        if self.path.rstrip("/") != "/v1/models":
            self._json(404, _error(f"no such path: {self.path}"))
            return
        entries = [{"id": name, "object": "model", "owned_by": "test"} for name in self.server_owner.models]
        self._json(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/v1/chat/completions":
            self._json(404, _error(f"no such path: {self.path}"))
            return
        request = json.loads(body)
        self.server_owner.requests.append(request)
        self.server_owner.headers.append(dict(self.headers.items()))
        time.sleep(self.server_owner.delay)
        try:
            reply = self.server_owner.script(request)
        except Exception as error:
            reply = (500, _error(f"{type(error).__name__}: {error}"))
        if isinstance(reply, tuple):
            self._json(*reply)
            return
        message = {"content": reply} if isinstance(reply, str) else reply
        usage = _usage(request, message)
        if request.get("stream"):
            self._stream(request, message, usage)
        else:
            self._json(200, _completion(request, "chat.completion", {"message": _whole(message)}) | {"usage": usage})

    def _stream(self, request: dict[str, Any], message: dict[str, Any], usage: dict[str, int]) -> None:
        chunks = [_completion(request, "chat.completion.chunk", {"delta": delta}, None) for delta in _deltas(message)]
        chunks.append(_completion(request, "chat.completion.chunk", {"delta": {}}))
        if (request.get("stream_options") or {}).get("include_usage"):
            chunks.append({**_completion(request, "chat.completion.chunk", {}), "choices": [], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for chunk in chunks:
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")

    def _json(self, status: int, body: Any) -> None:
        payload = body if isinstance(body, str) else json.dumps(body)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(payload.encode())


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
