"""Users, passwords and keys: used, and neither shown nor written down."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from anabranch.addresses import masked, split_login, without_login
from anabranch.agents.models import RoleModel, call, resolve_model
from anabranch.batch.chat import Server, name_of
from anabranch.batch.jobs import Job, Sampling
from anabranch.cli.options import Options
from anabranch.errors import AnabranchError, ConfigurationError, EndpointError
from anabranch.evals.models import ModelSpec
from anabranch.graphs.build import build_solver
from anabranch.serving.failures import describe
from anabranch.serving.health import Readiness
from anabranch.serving.service import Parts
from tests.graphs.scripts import ask, plan_json, planner
from tests.openai_server import OpenAIServer, Raw

SECRET = "ha:rd@w%2Ford"
PROMPT = [HumanMessage("Q?")]


@pytest.mark.parametrize(
    ("address", "bare", "login"),
    [
        ("http://host:8000/v1#m", "http://host:8000/v1#m", None),
        ("http://u:p@host:8000/v1#m", "http://host:8000/v1#m", ("u", "p")),
        (f"https://u:{SECRET}@host/v1", "https://host/v1", ("u", "ha:rd@w/ord")),
        ("http://u@[::1]:1/v1", "http://[::1]:1/v1", ("u", "")),
        ("http://host/v1?q=a@b#c@d", "http://host/v1?q=a@b#c@d", None),
        ("http://host/a@b/v1", "http://host/a@b/v1", None),
    ],
)
def test_an_address_and_its_login(address: str, bare: str, login: Any) -> None:
    assert split_login(address) == (bare, login)
    assert without_login(address) == bare


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no reply from http://u:p@host/v1, or from 'ftp://a:b@c'", "no reply from http://host/v1, or from 'ftp://c'"),
        ("Illegal header value b'Bearer sk-123\\n'", "Illegal header value b'Bearer ***\\n'"),
        ("authorization: basic dTpw; x", "authorization: basic ***; x"),
        ("Incorrect API key provided: sk-secret.", "Incorrect API key provided: ***."),
        ("mail a@b.org", "mail a@b.org"),
        ("none of them", "none of them"),
    ],
)
def test_what_is_secret_in_a_text_is_masked(text: str, shown: str) -> None:
    assert masked(text, "sk-secret\n", "none") == shown


def at(server: OpenAIServer) -> str:
    return server.url.replace("http://", f"http://mill:{SECRET}@")


class Told(BaseCallbackHandler):
    """What tracers are told."""

    def __init__(self) -> None:
        self.seen = ""

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.seen += f"{serialized} {kwargs}"


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_login_is_sent_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    lines: list[str] = []
    with OpenAIServer(lambda _: "a") as server:
        resolve_model(at(server))  # lists the models
        options = Options(solver=f"{at(server)}#m")
        model = build_solver(options, status=lines.append)
        told = Told()
        await call(model, PROMPT, role="solver", runnable=model.chat.with_config(callbacks=[told]))
        parts = Parts(decomposer=object(), solver=model)  # type: ignore[arg-type]
        assert (await Readiness(parts).check()).models["solver"] == "ready"
        await model.chat.aclose()  # type: ignore[attr-defined]
    sent = base64.b64encode(b"mill:ha:rd@w/ord").decode()
    assert server.headers[0]["Authorization"] == f"Basic {sent}"
    shown = [repr(model), repr(parts), str(model.chat), told.seen, *lines, json.dumps(options.stored()), caplog.text]
    shown += [repr(model.chat), str(model.chat._identifying_params), str(model.chat.model_dump())]
    assert told.seen
    for text in shown:
        assert "ha:rd" not in text
        assert sent not in text


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_login_is_in_no_error() -> None:
    with OpenAIServer(lambda _: (500, "no")) as server:
        server.listed = "nothing"
        away = [at(server).replace(server.url[16:], "1/v1"), at(server), at(server).replace("http:", "htp:")]
        for spec in away:
            with pytest.raises(AnabranchError) as caught:
                resolve_model(spec)
            assert "ha:rd" not in str(caught.value)
        with pytest.raises(ConfigurationError) as refused:
            resolve_model(f"mill:http://u:{SECRET}@host")
        assert "ha:rd" not in str(refused.value)
        async with Server(at(server), "m", key="sk-secret") as asked:
            with pytest.raises(EndpointError) as failed:
                await asked(Job(id="1", messages=[]), Sampling())
        assert "ha:rd" not in str(failed.value)


def test_a_login_is_in_no_thread_manifest_or_report(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://mill:{SECRET}@host/v1#m"
    options = Options(solver=address, decomposer=address)
    assert options.stored()["solver"] == options.stored()["decomposer"] == "http://host/v1#m"
    assert ModelSpec.of(address).label == "http://host/v1#m"
    assert name_of(address) == "http://host/v1#m"
    # A thread goes on with the login that the environment has for its address, and with no other address's.
    assert options.recalled(options.stored(), ()).solver == address
    elsewhere = replace(options, solver="http://mill:x@elsewhere/v1")
    assert elsewhere.recalled(options.stored(), ()).solver == "http://host/v1#m"


ECHO = "Incorrect API key provided: sk-secret-key. The prompt was: 'where is the treasure?'"


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_what_a_model_server_says_does_not_reach_clients(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_API_KEY", "sk-secret-key")
    with OpenAIServer(lambda _: (status, {"error": {"message": ECHO}})) as server:
        model = resolve_model(f"{server.url}#m")
        model.chat.max_retries = 0  # type: ignore[attr-defined]
        with pytest.raises(EndpointError) as caught:
            await call(model, PROMPT, role="solver")
    assert "sk-secret-key" not in str(caught.value)
    assert "treasure" in str(caught.value)  # who runs it may read on
    told = describe(caught.value)[1]["error"]["message"]
    assert "treasure" not in told
    assert "sk-" not in told
    assert told.startswith("the solver model failed: ")


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_an_error_within_a_stream_does_not_reach_clients_either() -> None:
    body = b'data: {"object": "error", "message": "sk-secret-key is wrong"}\n\n'
    with OpenAIServer(lambda _: Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body)) as server:
        model = resolve_model(f"{server.url}#m")
        with pytest.raises(EndpointError) as caught:
            await call(model, PROMPT, role="solver", runnable=model.chat.bind(stream=True))
    assert "sk-" not in describe(caught.value)[1]["error"]["message"]


def test_what_a_tool_raises_is_told_without_logins() -> None:
    @tool
    def look_up(query: str) -> str:
        """Looks things up."""
        raise OSError(f"cannot reach http://mill:{SECRET}@host/search with Bearer sk-1234")

    plan = plan_json(("look_up", "Who?", []))
    result = planner([plan], ["Nobody knows."], [look_up], max_replans=0).invoke(ask())
    shown = json.dumps(result["answers"][1].model_dump(mode="json")) + result["answer"]
    assert "cannot reach http://host/search with Bearer ***" in shown
    assert "ha:rd" not in shown


def test_models_are_shown_without_their_insides() -> None:
    class Chat:
        def __repr__(self) -> str:
            return "secret"

    assert "secret" not in repr(RoleModel(Chat()))  # type: ignore[arg-type]
