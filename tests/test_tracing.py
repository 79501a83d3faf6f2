"""Traces, as a collector and LangSmith get them from a process of its own: tracing is switched on for all of one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import home, models, server
from tests.cli.scenario import ANSWER, QUESTION, environment, run
from tests.receiver import Receiver, attributes, receiving

__all__ = ["home", "models", "server"]
pytestmark = pytest.mark.loopback
LOOKUP = ("--tool", "slow_tools:lookup", "--quiet")
Models = Callable[..., list[str]]


@pytest.fixture
def receiver(socket_enabled: None) -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def printed(home: Path, program: str, *arguments: str) -> tuple[str, str]:
    """What a program of its own process prints, and what goes wrong in it."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout, done.stderr


def test_a_collector_gets_a_span_of_each_sub_question_tool_and_model_call(
    home: Path, models: Models, receiver: Receiver
) -> None:
    done = run(home, "ask", QUESTION, *models(*LOOKUP, "--otel"), OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert (done.stdout, done.stderr) == (f"{ANSWER}\n", "")
    spans = receiver.spans()
    assert receiver.service() == "anabranch"
    assert len({span.trace_id for span in spans}) == 1
    names = [span.name for span in spans]
    assert names.count("execute_tool lookup") == 3
    assert names.count("execute_task sub_question") == 3
    assert {f"execute_task {node}" for node in ("gate", "plan", "execute", "join")} <= set(names)
    by_id = {span.span_id: span for span in spans}
    tool = next(span for span in spans if span.name == "execute_tool lookup")
    assert by_id[tool.parent_span_id].name == "execute_task sub_question"
    chat = [attributes(span) for span in spans if attributes(span).get("gen_ai.operation.name") == "chat"]
    assert len(chat) == 5
    assert {each["gen_ai.request.model"] for each in chat} == {"scripted"}
    assert all(each["gen_ai.usage.input_tokens"] > 0 for each in chat)


@pytest.mark.parametrize("wanted", ["", "true"])
def test_texts_are_sent_only_if_they_are_wanted(home: Path, models: Models, receiver: Receiver, wanted: str) -> None:
    run(
        home,
        "ask",
        QUESTION,
        *models(*LOOKUP),
        ANABRANCH_OTEL="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_SERVICE_NAME="handbook",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=wanted,
    )
    assert receiver.service() == "handbook"
    sent = b"".join(body for _, body in receiver.posted)
    assert all((text in sent) is bool(wanted) for text in (b"founder of Craigslist", b"1952", b"Reply with JSON only"))


def test_without_a_collector_the_answer_comes_all_the_same(home: Path, models: Models) -> None:
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = run(home, "ask", QUESTION, *models(*LOOKUP, "--otel"), **nowhere)
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n")
    told = "traces could not be sent; check that a collector listens at OTEL_EXPORTER_OTLP_ENDPOINT\n"
    assert done.stderr == told


def test_without_the_extra_it_is_named(home: Path, models: Models) -> None:
    (home / "sitecustomize.py").write_text(
        "import sys\nsys.modules['opentelemetry.instrumentation.langchain'] = None\n"
    )
    path = f"{home}:{environment(home)['PYTHONPATH']}"
    done = run(home, "ask", QUESTION, *models(*LOOKUP, "--otel"), PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: traces need: pip install 'anabranch[otel]'")


def test_a_program_keeps_its_own_provider(home: Path) -> None:
    program = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from anabranch.tracing import start_tracing
from tests.graphs.scripts import CRAIGSLIST, ask, planner

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
start_tracing()
with trace.get_tracer("program").start_as_current_span("request"):
    planner([CRAIGSLIST]).invoke(ask())
spans = exporter.get_finished_spans()
assert len({span.context.trace_id for span in spans}) == 1
print(spans[-1].name, sum(span.name == "execute_tool search" for span in spans))
"""
    assert printed(home, program) == ("request 2\n", "")


def test_a_trace_goes_on_from_the_caller_to_the_models(home: Path, socket_enabled: None) -> None:
    program = """
import json
import sys
import urllib.request
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import resolve_model
from anabranch.serving.app import create_app
from anabranch.serving.service import Parts, Service
from anabranch.tracing import start_tracing
from tests.graphs.scripts import CRAIGSLIST, reader, search
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving import live

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
start_tracing()
start_tracing()

def script(request):
    prompt = prompt_of(request)
    return CRAIGSLIST if "Reply with JSON only" in prompt else str(reader(prompt))

caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
asked = [{"role": "user", "content": live.QUESTION}]
body = {"model": "anabranch", "messages": asked, "stream": sys.argv[1] == "stream"}
with OpenAIServer(script) as models:
    model = resolve_model(f"{models.url}#m")
    with live.running(create_app(Service(Parts(JsonDecomposer(model), model, (search,))))) as url:
        headers = {"traceparent": caller, "content-type": "application/json"}
        asked = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
        assert b"1952" in urllib.request.urlopen(asked).read()
        urllib.request.urlopen(f"{url}/health").read()
    sent = [{name.lower(): value for name, value in found.items()} for found in models.headers]
    passed = [found["traceparent"].split("-") for found in sent]
spans = exporter.get_finished_spans()
by_id = {f"{span.context.span_id:016x}": span for span in spans}
(server,) = [span for span in spans if span.kind == trace.SpanKind.SERVER]
assert (server.name, f"{server.parent.span_id:016x}") == ("POST /v1/chat/completions", caller.split("-")[2])
agent = next(span for span in spans if span.name == "invoke_agent anabranch")
assert agent.parent.span_id == server.context.span_id
assert {f"{span.context.trace_id:032x}" for span in spans} == {caller.split("-")[1]} == {each[1] for each in passed}
assert {by_id[each[2]].kind for each in passed} == {trace.SpanKind.CLIENT}
print(len(passed), sum(span.name == "execute_task sub_question" for span in spans))
"""
    for form in ("whole", "stream"):
        assert printed(home, program, form) == ("4 2\n", "")


def test_langsmith_gets_the_same_runs_by_its_own_variables(home: Path, models: Models, receiver: Receiver) -> None:
    done = run(
        home,
        "ask",
        QUESTION,
        *models(*LOOKUP),
        LANGSMITH_TRACING="true",
        LANGSMITH_ENDPOINT=receiver.url,
        LANGSMITH_API_KEY="key",
        LANGSMITH_PROJECT="handbook",
    )
    assert done.stdout == f"{ANSWER}\n"
    sent = b"".join(body for path, body in receiver.posted if path.startswith("/runs"))
    assert all(name in sent for name in (b'"anabranch"', b'"lookup"', b'"sub_question"', b'"handbook"', b"1952"))
