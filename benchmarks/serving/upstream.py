"""Two servers to measure the HTTP app against: a model server that answers at once, and a bare pass-through to it.

python -m benchmarks.serving.upstream model [--tokens 100] [--delay 0]
python -m benchmarks.serving.upstream through URL
"""

import argparse
import asyncio
import json
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from anabranch.serving.server import bind

DIRECT = '{"sub_questions": []}'
USAGE = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}


class Model:
    """A model server: plans say that no plan is needed, answers have so many tokens. Raw asyncio, to cost little."""

    def __init__(self, tokens: int, delay: float = 0.0) -> None:
        self._delay = delay
        self._plan = self._replies([DIRECT])
        self._answer = self._replies([" word"] * tokens)
        self._models = _response(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}))

    @staticmethod
    def _replies(pieces: list[str]) -> tuple[bytes, list[bytes]]:
        head = {"id": "c", "created": 1, "model": "m"}
        message = {"role": "assistant", "content": "".join(pieces).strip()}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})
        chunks: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
        chunks += [{"delta": {"content": piece}, "finish_reason": None} for piece in pieces]
        chunks += [{"delta": {}, "finish_reason": "stop"}]
        events = [{**head, "object": "chat.completion.chunk", "choices": [{"index": 0, **chunk}]} for chunk in chunks]
        events.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
        lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
        return _response(whole), [f"{len(line):x}\r\n{line}\r\n".encode() for line in lines] + [b"0\r\n\r\n"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"length:" in line), 0
                )
                body = await reader.readexactly(length)
                if head.startswith(b"GET"):
                    writer.write(self._models)
                    continue
                whole, events = self._plan if b"JSON" in body else self._answer
                if self._delay:
                    await asyncio.sleep(self._delay)
                if b'"stream": true' not in body and b'"stream":true' not in body:
                    writer.write(whole)
                    continue
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for event in events:  # each in a packet of its own, as model servers send them
                    writer.write(event)
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _response(body: str) -> bytes:
    data = body.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


def pass_through(url: str) -> Starlette:
    """An app that sends what it gets to a server, and the reply back."""
    http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))

    async def chat(request: Request) -> Response:
        reply = await http.post(f"{url}/chat/completions", json=json.loads(await request.body()))
        return Response(reply.content, reply.status_code, media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


async def _model(tokens: int, delay: float) -> None:
    server = await asyncio.start_server(Model(tokens, delay).serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("model", "through"))
    parser.add_argument("url", nargs="?", default="")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each reply")
    args = parser.parse_args()
    if args.kind == "model":
        asyncio.run(_model(args.tokens, args.delay))
    listening = bind("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(pass_through(args.url), log_config=None, access_log=False)).run(sockets=[listening])


if __name__ == "__main__":
    main()
