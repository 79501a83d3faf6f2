"""The distilled decomposer behind an address, on real sockets: what it sends, and servers that misbehave."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.breaker import CircuitBreaker
from anabranch.agents.decomposer import (
    Draft,
    JsonDecomposer,
    LineDecomposer,
    PlanRequest,
    decompose,
    resolve_decomposer,
)
from anabranch.agents.endpoint import EndpointChatModel
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.served import ServedDecomposer, is_small
from anabranch.config import Budget, Fallback, Price
from anabranch.errors import BudgetExceededError, ConfigurationError, EndpointError, MissingExtraError
from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.tools.catalogue import ToolCard
from tests.fakes import ScriptedChatModel
from tests.openai_server import Die, Hang, OpenAIServer, Reply

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

CARDS = (ToolCard(name="search", description="Finds facts."),)
REQUEST = PlanRequest("Q?", CARDS)
PLAN = "1 [search] Who?\n2 [solve] Is {1} old?"
ASKED = Plan(sub_questions=(SubQuestion(id=1, text="Who?", route="search"),))
Serve = Callable[..., OpenAIServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with replies in order; the last one is given again and again."""
    running: list[OpenAIServer] = []

    def start(*replies: Reply, **options: Any) -> OpenAIServer:
        left = list(replies)
        server = OpenAIServer(lambda _: left.pop(0) if len(left) > 1 else left[0], **options)
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__()


def model(url: str, *, name: str = "decomposer-135m", read: float = 5.0, retries: int = 0) -> RoleModel:
    options: dict[str, Any] = {"temperature": 0, "use_responses_api": False, "stream_usage": True}
    chat = EndpointChatModel(
        model=name, base_url=url, api_key=SecretStr("k"), timeout=read, max_retries=retries, **options
    )
    return RoleModel(chat, Price(input=1, output=10))


def served(url: str, *, retries: int = 0, read: float = 5.0, **options: Any) -> ServedDecomposer:
    return ServedDecomposer(model(url, retries=retries, read=read), **options)


def scripted(*replies: Any) -> LineDecomposer:
    return LineDecomposer(RoleModel(ScriptedChatModel(script=list(replies)), small=True))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def texts(draft: Draft) -> list[str]:
    return [question.text for question in draft.plan.sub_questions]


# What is sent


async def test_a_plan_is_asked_for_as_vllm_wants_it(serve: Serve) -> None:
    server = serve(PLAN)
    draft = await decompose(served(server.url), REQUEST)
    assert texts(draft) == ["Who?", "Is {1} old?"]
    assert draft.problems == ()
    (sent,) = server.requests
    assert "structured_outputs" not in sent
    assert {name: sent[name] for name in ("model", "temperature", "max_completion_tokens")} == {
        "model": "decomposer-135m",
        "temperature": 0,
        "max_completion_tokens": 320,
    }
    assert "response_format" not in sent
    # The same prompt as the in-process decomposer's, without worked examples.
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


async def test_what_fits_no_plan_is_written_anew_under_the_grammar(serve: Serve) -> None:
    server = serve("1 [search] Who?\n2 [solve] Is {2} old?", "1}", " old?")
    with booking(Ledger()) as ledger:
        draft = await decompose(served(server.url), REQUEST)
    assert texts(draft) == ["Who?", "Is {1} old?"]
    assert draft.problems == ()
    free, held, rest = server.requests
    assert free.pop("stop") == rest.pop("stop") == ["\n9 ["]
    assert held.pop("structured_outputs") == {"regex": r"(1)\}"}
    for sent, begun in ((held, "1 [search] Who?\n2 [solve] Is {"), (rest, "1 [search] Who?\n2 [solve] Is {1}")):
        said = {"role": "assistant", "content": begun}
        going_on = {"add_generation_prompt": False, "continue_final_message": True}
        assert sent == free | {"messages": [*free["messages"], said]} | going_on
    assert ledger.by_role["decomposer"].output_tokens == 8 + 1 + 1


async def test_the_grammar_can_hold_every_call(serve: Serve) -> None:
    server = serve(PLAN)
    await decompose(served(server.url, grammar="always"), REQUEST)
    (sent,) = server.requests
    assert sent["structured_outputs"] == {"regex": LineDecomposer.pattern(REQUEST)}


async def test_what_it_takes_is_counted(serve: Serve) -> None:
    server = serve(PLAN)
    with booking(Ledger()) as ledger:
        await decompose(served(server.url), REQUEST)
    used = ledger.by_role["decomposer"]
    assert used.output_tokens == len(PLAN.split())
    assert used.usd == pytest.approx((used.input_tokens + 10 * used.output_tokens) / 1e6)


@pytest.mark.parametrize(
    ("listed", "spec", "chosen"),
    [
        (("base", "decomposer-1.5b"), "", "decomposer-1.5b"),
        (("base", "decomposer-1.5b", "decomposer-135m"), "#decomposer-135m", "decomposer-135m"),
        (("decomposer",), "", "decomposer"),
    ],
)
def test_an_address_with_a_distilled_decomposer(serve: Serve, listed: tuple[str, ...], spec: str, chosen: str) -> None:
    server = serve(PLAN, models=listed)
    decomposer = resolve_decomposer(server.url + spec)
    assert isinstance(decomposer, ServedDecomposer)
    assert isinstance(decomposer.model.chat, ChatOpenAI)
    assert decomposer.model.chat.model_name == chosen
    # A solver at the same address is another model.
    assert resolve_model(f"{server.url}{spec and '#base'}", role="solver").chat.model_name == listed[0]  # type: ignore[attr-defined]


def test_general_models_behind_an_address_write_json(serve: Serve) -> None:
    server = serve(PLAN, models=("Qwen/Qwen3-32B",))
    assert isinstance(resolve_decomposer(server.url), JsonDecomposer)
    assert isinstance(resolve_decomposer(f"{server.url}#Qwen/Qwen3-32B"), JsonDecomposer)
    assert isinstance(resolve_decomposer(ScriptedChatModel(script=[])), JsonDecomposer)


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("decomposer-135m", True),
        ("decomposer-1.5b", False),
        ("decomposer-0.3B-v2", True),
        ("decomposer-500m", False),
        ("decomposer", False),
        ("decomposer-v2m3", False),
    ],
)
async def test_plans_of_small_models_are_weak(serve: Serve, name: str, small: bool) -> None:
    assert is_small(name) == small
    draft = await decompose(ServedDecomposer(model(serve(PLAN).url, name=name)), REQUEST)
    assert draft.weak == small


def test_the_fallback_comes_from_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{serve(PLAN).url}#decomposer-135m"
    found = []
    for value in ("", "direct", "local"):
        monkeypatch.setenv("ANABRANCH_DECOMPOSER_FALLBACK", value)
        decomposer = resolve_decomposer(url)
        assert isinstance(decomposer, ServedDecomposer)
        found.append(decomposer.fallback)
    assert found == [None, "direct", "local"]
    monkeypatch.setenv("ANABRANCH_DECOMPOSER_FALLBACK", "cloud")
    with pytest.raises(ConfigurationError, match="ANABRANCH_DECOMPOSER_FALLBACK='cloud'"):
        resolve_decomposer(url)


# Servers that misbehave


OUTAGES: dict[str, tuple[Reply, str]] = {
    "hangs": (Hang(), "too slow or away"),
    "closes": (Die(part=0), "check the address and that the server is up"),
    "dies in mid-reply": (Die(PLAN), "check the address and that the server is up"),
    "fails": ((500, {"error": {"message": "no"}}), "the server failed; see its log"),
    "is overloaded": ((429, {"error": {"message": "no"}}), "wait, or lower the concurrency"),
    "is starting": ((503, "starting"), "the server failed; see its log"),
    "invalid JSON": ((200, '{"choices": [{"mess'), "check that the address is that of an OpenAI-compatible server"),
    "no JSON": ((200, "<html>"), "check that the address is that of an OpenAI-compatible server"),
    "another JSON": ((200, {"status": "ok"}), "check the model's settings"),
    "null": ((200, None), "check the model's settings"),
}


@pytest.mark.parametrize("case", OUTAGES)
async def test_without_a_fallback_an_outage_is_one_line(serve: Serve, case: str) -> None:
    reply, advice = OUTAGES[case]
    decomposer = served(serve(reply).url, read=1.0)
    with pytest.raises(EndpointError) as caught:
        await decompose(decomposer, REQUEST)
    assert str(caught.value).startswith("the decomposer model failed: ")
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", OUTAGES)
async def test_with_a_fallback_an_outage_is_a_note(serve: Serve, case: str) -> None:
    reply, advice = OUTAGES[case]
    decomposer = served(serve(reply).url, read=1.0, fallback=scripted("1 [solve] Why?"))
    draft = await decompose(decomposer, REQUEST)
    assert texts(draft) == ["Why?"]
    assert draft.weak
    assert draft.problems == ()
    (note,) = draft.notes
    assert advice in note
    assert note.endswith("; the fallback planned instead")


async def test_a_server_that_is_away_altogether(serve: Serve) -> None:
    decomposer = served(f"http://127.0.0.1:{free_port()}/v1", fallback="direct")
    draft = await decompose(decomposer, REQUEST)
    assert draft.plan == Plan()
    assert "check the address and that the server is up" in draft.notes[0]
    assert draft.notes[0].endswith("; answered without a plan")
    again = PlanRequest("Q?", CARDS, asked=ASKED, answers={1: Answer(id=1, text="Ada")})
    assert (await decompose(decomposer, again)).plan == ASKED


@pytest.mark.parametrize(
    "replies",
    [
        [(500, "no"), (503, "no")],
        [Die(part=0), Die(PLAN)],
        [(408, "no"), (429, {"error": {"message": "no"}})],
    ],
)
async def test_a_server_that_recovers_is_asked_again(serve: Serve, replies: list[Reply]) -> None:
    server = serve(*replies, PLAN)
    draft = await decompose(served(server.url, retries=2), REQUEST)
    assert texts(draft) == ["Who?", "Is {1} old?"]
    assert draft.problems == ()
    assert len(server.requests) == 3


async def test_retry_after_is_obeyed(serve: Serve) -> None:
    server = serve((429, {"error": {"message": "no"}}, {"Retry-After": "1"}), PLAN)
    began = asyncio.get_running_loop().time()
    await decompose(served(server.url, retries=1), REQUEST)
    assert asyncio.get_running_loop().time() - began >= 1  # without it: 0.4 to 0.5 s
    assert len(server.requests) == 2


async def test_retries_end_with_the_time_for_a_plan(serve: Serve) -> None:
    server = serve((503, "no", {"Retry-After": "60"}))
    with pytest.raises(EndpointError, match=r"wrote no plan in 0\.3 s"):
        await decompose(served(server.url, retries=5, seconds=0.3), REQUEST)
    assert len(server.requests) == 1


@pytest.mark.parametrize("fallback", [None, "direct"])
@pytest.mark.parametrize(
    ("status", "advice"), [(404, "check the model's name"), (401, "check the API key"), (400, "check the model's")]
)
async def test_refusals_are_errors_and_not_repeated(
    serve: Serve, status: int, advice: str, fallback: Fallback | None
) -> None:
    server = serve((status, {"error": {"message": "The model `x` does not exist."}}))
    decomposer = served(server.url, retries=2, fallback=fallback)
    for _ in range(4):
        with pytest.raises(EndpointError, match=advice):
            await decompose(decomposer, REQUEST)
    assert len(server.requests) == 4
    assert decomposer.breaker.state == "closed"


async def test_half_a_plan_is_asked_for_again(serve: Serve) -> None:
    server = serve("1 [search] Who?\n2 [sol", PLAN)
    draft = await decompose(served(server.url, grammar="always"), REQUEST)
    assert texts(draft) == ["Who?", "Is {1} old?"]
    assert "not a sub-question" in draft.problems[0]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1 [search] Who?\n2 [sol", ["Who?"]),
        ("1 [search] Who?\n2 [solve] Is {1", ["Who?"]),
        ("1 [search] Who is it and who is it and who ", ["Who is it and who is it and who"]),
    ],
)
async def test_a_plan_cut_at_the_token_limit_loses_its_last_line(serve: Serve, text: str, kept: list[str]) -> None:
    draft = await decompose(served(serve({"content": text, "finish_reason": "length"}).url), REQUEST)
    assert texts(draft) == kept
    assert draft.problems == ()


@pytest.mark.parametrize("reply", ["", {"content": None}])
async def test_an_empty_reply_is_no_plan(serve: Serve, reply: Reply) -> None:
    draft = await decompose(served(serve(reply).url), REQUEST)
    assert draft.plan == Plan()
    assert len(draft.problems) == 2


@pytest.mark.parametrize("listed", [(), None])
def test_a_server_that_lists_no_models(serve: Serve, listed: tuple[str, ...] | None) -> None:
    server = serve(PLAN, models=() if listed is None else listed)
    with pytest.raises(EndpointError, match="does not list its models"):
        resolve_decomposer(server.url)


# The circuit breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_server_that_keeps_failing_is_left_alone_for_a_while(serve: Serve) -> None:
    clock = Clock()
    server = serve((500, "no"), (500, "no"), (500, "no"), PLAN)
    breaker = CircuitBreaker("x", failures=2, pause=10, clock=clock)
    decomposer = served(server.url, breaker=breaker, fallback=scripted(*["1 [solve] Why?"] * 9))

    async def planned() -> tuple[list[str], int]:
        return texts(await decompose(decomposer, REQUEST)), len(server.requests)

    instead = ["Why?"]
    assert [await planned() for _ in range(4)] == [(instead, 1), (instead, 2), (instead, 2), (instead, 2)]
    clock.now = 10  # one goes through, and fails
    assert [await planned() for _ in range(2)] == [(instead, 3), (instead, 3)]
    clock.now = 20  # one goes through, and the server is back
    assert await planned() == (["Who?", "Is {1} old?"], 4)
    assert await planned() == (["Who?", "Is {1} old?"], 5)


async def test_without_a_fallback_it_fails_at_once(serve: Serve) -> None:
    server = serve((500, "no"))
    decomposer = served(server.url, breaker=CircuitBreaker("x", failures=1, clock=Clock()))
    with pytest.raises(EndpointError, match="the server failed"):
        await decompose(decomposer, REQUEST)
    with pytest.raises(EndpointError, match="keeps failing; it is tried again in 10 s"):
        await decompose(decomposer, REQUEST)
    assert len(server.requests) == 1


async def test_while_one_probes_the_others_do_not_wait(serve: Serve) -> None:
    clock = Clock()
    server = serve(PLAN, delay=0.3)
    breaker = CircuitBreaker("x", failures=1, pause=10, clock=clock)
    away = served(f"http://127.0.0.1:{free_port()}/v1", breaker=breaker, fallback="direct")
    await decompose(away, REQUEST)
    clock.now = 10
    decomposer = served(server.url, breaker=breaker, fallback="direct")
    drafts = await asyncio.gather(*(decompose(decomposer, REQUEST) for _ in range(5)))
    assert [bool(draft.plan.sub_questions) for draft in drafts] == [True, False, False, False, False]
    assert len(server.requests) == 1
    assert breaker.state == "closed"


async def test_a_budget_that_is_used_up_is_no_outage(serve: Serve) -> None:
    server = serve(PLAN)
    decomposer = served(server.url, fallback="direct")
    with booking(Ledger(budget=Budget(max_seconds=1), started_at=0)), pytest.raises(BudgetExceededError):
        await decompose(decomposer, REQUEST)
    assert decomposer.breaker.state == "closed"


def test_the_fallback_to_the_in_process_model_needs_its_extra(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("anabranch.agents.served.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'anabranch\[local\]'"):
        served(serve(PLAN).url, fallback="local")


@pytest.mark.model
async def test_the_in_process_model_takes_over() -> None:
    question = PlanRequest("Where was the founder of the Hollin Quay ferry born?", CARDS)
    expected = await decompose(resolve_decomposer("local"), question)
    decomposer = served(f"http://127.0.0.1:{free_port()}/v1", fallback="local")
    draft = await decompose(decomposer, question)
    assert draft.plan == expected.plan
    assert draft.weak
    assert draft.notes[0].endswith("; the fallback planned instead")
