"""The distilled decomposer behind an address, on real sockets: what it sends, and servers that misbehave."""

import asyncio

import pytest
from langchain_openai import ChatOpenAI

from anabranch.agents.decomposer import (
    JsonDecomposer,
    LineDecomposer,
    PlanRequest,
    decompose,
)
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import resolve_model
from anabranch.agents.resolve import resolve_decomposer
from anabranch.agents.served import ServedDecomposer, is_small
from anabranch.config import Fallback
from anabranch.errors import ConfigurationError, EndpointError
from anabranch.plan import Answer, Plan
from tests.agents.served import ASKED, CARDS, PLAN, REQUEST, Serve, model, scripted, served, texts
from tests.fakes import ScriptedChatModel
from tests.openai_server import Die, Hang, Reply
from tests.ports import nobody

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


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
    with nobody() as address:
        decomposer = served(address, fallback="direct")
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


@pytest.mark.parametrize(
    "reply", ["Sure! Here is a plan:\n- search who it is", "1 [search] Who?\n2 [find] Where is {1}?"]
)
async def test_a_server_that_holds_nothing_is_asked_four_times_and_told_of(serve: Serve, reply: Reply) -> None:
    server = serve(reply)
    with pytest.raises(EndpointError, match="ignores structured_outputs"):
        await decompose(served(server.url), REQUEST)
    assert len(server.requests) <= 4
    draft = await decompose(served(server.url, fallback="direct"), REQUEST)
    assert draft.plan == Plan()
    assert "ignores structured_outputs" in draft.notes[0]


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
