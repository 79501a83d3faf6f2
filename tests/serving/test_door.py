"""Keys, rates, origins, logs and metrics."""

import json
import logging
from typing import Any

import httpx
import openai
import pytest

from anabranch.errors import ConfigurationError
from anabranch.serving.app import create_app
from anabranch.serving.door import DoorRules
from anabranch.serving.server import allowed_hosts, check_exposure, is_loopback
from anabranch.serving.service import Service
from anabranch.serving.watch import JsonLines
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

KEYS = DoorRules(keys=("alpha-key", "beta-key"))
CHAT: dict[str, Any] = {"model": "anabranch", "messages": [{"role": "user", "content": live.QUESTION}]}


def test_a_key_is_needed_where_there_are_keys(serve: Serve) -> None:
    service = Service(live.parts())
    url = serve(service=service, rules=KEYS)
    for headers in (
        {},
        {"Authorization": "Bearer alpha"},
        {"Authorization": "Basic alpha-key"},
        {"X-Key": "alpha-key"},
    ):
        for method, path in (
            ("POST", "/v1/plans"),
            ("GET", "/metrics"),
            ("GET", "/v1/models"),
            ("GET", "/openapi.json"),
        ):
            reply = httpx.request(method, url + path, headers=headers)
            assert reply.status_code == 401, path
            assert reply.json()["error"]["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"
    assert b'anabranch_refusals_total{reason="key"} 16.0' in service.metrics.text()
    assert httpx.get(f"{url}/health").status_code == 200
    assert httpx.get(f"{url}/health/live").status_code == 200
    for key in KEYS.keys:
        assert openai.OpenAI(base_url=f"{url}/v1", api_key=key).models.list().data[0].id == "anabranch"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="gamma").models.list()


def test_odd_keys_are_wrong_and_not_an_error(serve: Serve) -> None:
    url = serve(rules=KEYS)
    for sent in (b"Bearer \xff\xfe", b"Bearer", b"", b"Bearer alpha-key beta-key", b"\x80", b"Bearer " + b"k" * 8000):
        assert httpx.get(f"{url}/v1/models", headers={b"Authorization": sent}).status_code == 401


def test_rates_are_by_key(serve: Serve) -> None:
    service = Service(live.parts())
    url = serve(service=service, rules=DoorRules(keys=KEYS.keys, rate="3/hour"))

    def ask(key: str) -> httpx.Response:
        return httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})

    assert [ask("alpha-key").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert [ask("beta-key").status_code for _ in range(2)] == [200, 200]
    # Guesses are one caller, whatever they guess.
    assert [ask(f"guess {n}").status_code for n in range(5)] == [401, 401, 401, 429, 429]
    reply = ask("alpha-key")
    assert 0 < int(reply.headers["retry-after"]) <= 7200
    assert reply.json()["error"]["code"] == "rate_limit_exceeded"
    assert httpx.get(f"{url}/health").status_code == 200
    assert b'anabranch_refusals_total{reason="rate"}' in service.metrics.text()


def test_rates_are_by_address_where_there_are_no_keys(serve: Serve) -> None:
    url = serve(rules=DoorRules(rate="2/hour"))
    headers = [{"X-Forwarded-For": f"10.0.0.{n}", "Authorization": f"Bearer {n}"} for n in range(3)]
    assert [httpx.get(f"{url}/v1/models", headers=each).status_code for each in headers] == [200, 200, 429]


@pytest.mark.parametrize("rate", ["quick", "0/minute", "5", "-1/second", "1/fortnight", ""])
def test_a_rate_that_is_none(rate: str) -> None:
    with pytest.raises(ConfigurationError, match="rate"):
        create_app(Service(live.parts()), DoorRules(rate=rate))


def test_other_origins_are_let_in_by_name_only(serve: Serve) -> None:
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{serve()}/v1/plans", headers=ask)
    assert "access-control-allow-origin" not in preflight.headers
    url = serve(rules=KEYS, cors_origins=["https://a.example"])
    preflight = httpx.options(
        f"{url}/v1/plans", headers={**ask, "Access-Control-Request-Headers": "authorization,content-type"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    refused = httpx.post(f"{url}/v1/plans", json={}, headers={"Origin": "https://a.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://a.example")
    other = httpx.get(f"{url}/health", headers={"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers
    with pytest.raises(ConfigurationError, match="no origin"):
        create_app(Service(live.parts()), cors_origins=["a.example"])


def test_the_log_has_no_question_and_no_key(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="anabranch")
    url = serve(rules=KEYS)
    headers = {"Authorization": "Bearer alpha-key"}
    reply = httpx.post(f"{url}/v1/chat/completions?q=craigslist", json=CHAT, headers=headers)
    httpx.get(f"{url}/craigslist", headers=headers)
    httpx.post(f"{url}/v1/plans", json={"question": "Craigslist" * 5000}, headers=headers)
    live.wait_until(lambda: sum(record.name == "anabranch.access" for record in caplog.records) == 3)
    lines = [JsonLines().format(record) for record in caplog.records if record.name.startswith("anabranch")]
    assert "raigslist" not in "".join(lines)
    assert "alpha" not in "".join(lines)
    first = json.loads(lines[0])
    assert first["route"] == "/v1/chat/completions"
    assert (first["status"], first["method"], first["id"]) == (200, "POST", reply.headers["x-request-id"])
    assert first["seconds"] > 0
    assert [json.loads(line)["route"] for line in lines[1:]] == ["other", "/v1/plans"]


def test_the_log_names_all_paths_that_are_documented_and_no_others() -> None:
    app = create_app(Service(live.parts()))
    (watch,) = (each for each in app.user_middleware if "routes" in each.kwargs)
    assert watch.kwargs["routes"] == set(app.openapi()["paths"])


def test_metrics(serve: Serve) -> None:
    url = serve()
    httpx.post(f"{url}/v1/chat/completions", json=CHAT)
    httpx.post(f"{url}/v1/plans", json={"question": live.QUESTION})
    reply = httpx.get(f"{url}/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in reply.text.splitlines() if not line.startswith("#"))
    assert lines['anabranch_requests_total{route="/v1/chat/completions",status="200"}'] == "1.0"
    assert lines['anabranch_request_seconds_count{route="/v1/plans"}'] == "1.0"
    assert lines['anabranch_plans_total{outcome="planned"}'] == "2.0"
    assert lines['anabranch_sub_questions_total{route="search",status="done"}'] == "2.0"
    assert lines['anabranch_answers_total{status="answered"}'] == "1.0"
    assert lines["anabranch_replans_total"] == "0.0"
    assert lines['anabranch_model_calls_total{role="solver"}'] == "2.0"
    assert float(lines['anabranch_tokens_total{direction="input",role="decomposer"}']) > 100
    assert lines["anabranch_running"] == "0.0"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    check_exposure(host, has_key=False, insecure=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "localhost.example.org", "127.0.0.1.x"]
)
def test_other_addresses_need_a_key(host: str) -> None:
    assert not is_loopback(host)
    check_exposure(host, has_key=True, insecure=False)
    check_exposure(host, has_key=False, insecure=True)
    with pytest.raises(ConfigurationError, match="ANABRANCH_SERVER_KEY"):
        check_exposure(host, has_key=False, insecure=False)


# Names


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("LocalHost:8080", True),
        ("localhost.", True),
        ("127.0.0.1:1", True),
        ("[::1]:8080", True),
        ("::1", True),
        ("planner.example.org", True),
        ("evil.example.org", False),
        ("evil.example.org:8080", False),
        ("localhost.evil.example.org", False),
        ("127.0.0.1.evil.example.org", False),
        ("127.0.0.1@evil.example.org", False),
        ("[::1].evil", False),
        ("", False),
        ("\xff", False),
    ],
)
def test_a_server_is_asked_for_by_its_own_names(host: str, known: bool, serve: Serve) -> None:
    """A web page can make its own name point to this machine; browsers then take our server for its own."""
    hosts = allowed_hosts("127.0.0.1", ["planner.example.org"])
    url = serve(rules=DoorRules(hosts=hosts, keys=("alpha-key",)))
    for path in ("/v1/models", "/health/live", "/metrics", "/openapi.json", "/nowhere"):
        headers = {b"Host": host.encode("latin-1"), b"Authorization": b"Bearer alpha-key"}
        reply = httpx.get(url + path, headers=headers)
        assert (reply.status_code == 421) == (not known), path
    if not known:
        assert reply.json()["error"]["code"] == "unknown_host"


def test_which_names_are_allowed() -> None:
    assert set(allowed_hosts("127.0.0.1", ())) == {"localhost", "127.0.0.1", "::1"}
    assert "127.0.0.5" in allowed_hosts("127.0.0.5", ())
    assert allowed_hosts("0.0.0.0", ()) == ()
    assert allowed_hosts("0.0.0.0", ("a.example.org",)) == ("a.example.org",)
    assert allowed_hosts("127.0.0.1", ("*",)) == ()
    with pytest.raises(ConfigurationError, match="no name of a host"):
        DoorRules(hosts=("http://a.example.org",)).check()
