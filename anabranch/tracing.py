"""Traces by OpenTelemetry: what a question did, as spans of the conventions for generative AI.

LangChain tells of every run of the graph, of a node, a model and a tool. The instrumentation of OpenLLMetry makes spans
of that; where they go, the variables of OpenTelemetry say (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, ...).
A trace goes on over HTTP: FastAPI continues the caller's, and the clients of models pass it on, in the headers that
`OTEL_PROPAGATORS` names (`traceparent`, `baggage`).
"""

import logging
import os
from collections.abc import Callable

from anabranch.errors import MissingExtraError

SERVICE = "anabranch"
WITH_TEXTS = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Variable of the conventions: whether spans have prompts, replies, arguments and results."""
_OWN_WITH_TEXTS = "TRACELOOP_TRACE_CONTENT"
"""The instrumentation's own variable for that, which is on by default."""

_NOT_TRACED = ("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "/models$")
"""The variable that says which requests have no span: those that only ask whether a model's server is there."""


class _Told(logging.Handler):
    """Tells once that spans could not be sent, whatever the exporter says of it how often."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._tell: Callable[[str], None] | None = tell

    def emit(self, record: logging.LogRecord) -> None:
        tell, self._tell = self._tell, None
        if tell:
            tell("traces could not be sent; check that a collector listens at OTEL_EXPORTER_OTLP_ENDPOINT")


def start_tracing(tell: Callable[[str], None] | None = None) -> Callable[[], None]:
    """Sends a trace of each question to an OpenTelemetry collector, from now on and in the whole process.

    Where the program has set up a tracer provider of its own, that is used. Spans have names, durations, models and
    tokens; texts only where `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`.

    Args:
        tell: called once with a line for the user when spans cannot be sent; without it, it is left to `logging`.

    Returns:
        What sends the spans that are still kept, for the end. A provider of the program's own does that itself.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
        from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError(f"traces need: pip install 'anabranch[otel]' ({error})") from error
    wanted = os.environ.get(WITH_TEXTS, "").strip().lower() not in ("", "false", "0", "no_content")
    os.environ.setdefault(_OWN_WITH_TEXTS, str(wanted).lower())
    os.environ.setdefault(*_NOT_TRACED)
    if tell:
        logging.getLogger("opentelemetry.exporter").addHandler(_Told(tell))
    provider, end = trace.get_tracer_provider(), _nothing
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(resource=Resource({SERVICE_NAME: SERVICE}).merge(OTELResourceDetector().detect()))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        end = provider.shutdown
    clients = (AioHttpClientInstrumentor(), HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor())
    for instrumentor in (LangchainInstrumentor(), *clients):
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)
    return end


def _nothing() -> None:
    """The end of tracing where the program has a provider of its own."""
