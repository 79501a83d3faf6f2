"""A server on loopback that keeps what is posted to it: an OpenTelemetry collector, or LangSmith."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """What was posted.

    Attributes:
        url: address, without a path.
        posted: path and body of each request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.posted: list[tuple[str, bytes]] = []

    def spans(self) -> list[Any]:
        """All spans that were sent by OTLP, each with its resource's attributes as `resource`."""
        found = []
        for path, body in self.posted:
            assert path == "/v1/traces"
            for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [span for scope in part.scope_spans for span in scope.spans]
        return found

    def service(self) -> str:
        """The name of the service that sent spans."""
        request = ExportTraceServiceRequest.FromString(self.posted[0][1])
        return str(attributes(request.resource_spans[0].resource)["service.name"])


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of a span or resource as plain values; lists are left out."""
    kinds = ("string_value", "int_value", "bool_value", "double_value")
    return {
        each.key: getattr(each.value, kind)
        for each in holder.attributes
        if (kind := each.value.WhichOneof("value")) in kinds
    }


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Runs a receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            zipped = self.headers.get("content-encoding") == "gzip"
            receiver.posted.append((self.path, gzip.decompress(body) if zipped else body))
            self.reply()

        def reply(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
