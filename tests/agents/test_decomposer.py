import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.decomposer import (
    Draft,
    JsonDecomposer,
    LineDecomposer,
    PlanRequest,
    decompose,
)
from anabranch.agents.models import LOCAL_TYPE, RoleModel
from anabranch.agents.resolve import resolve_decomposer
from anabranch.agents.structured import structured_arguments
from anabranch.codecs import decode_lines, json_schema
from anabranch.errors import BudgetExceededError, ConfigurationError, EndpointError
from anabranch.options import PlanningMode
from anabranch.plan import Answer, Plan, SubQuestion
from tests.agents.requests import AGAIN, ANSWERS, ASKED, CARDS, FRESH, cut, lines, scripted
from tests.fakes import ScriptedChatModel
from tests.strategies import matching


class LocalScripted(ScriptedChatModel):
    """Passes for the in-process model."""

    adapter: Path | None = None

    @property
    def _llm_type(self) -> str:
        return LOCAL_TYPE


def as_json(*items: str) -> str:
    return '{"sub_questions": [' + ", ".join(items) + "]}"


def new_texts(draft: Draft, request: PlanRequest) -> list[str]:
    assert draft.plan.sub_questions[: len(request.asked.ids)] == request.asked.sub_questions
    return [q.text for q in draft.plan.sub_questions[len(request.asked.ids) :]]


# Writing and reading


async def test_lines() -> None:
    chat = scripted("1 [search] Who?\n2 [solve] Is {1} old?")
    draft = await decompose(lines(chat), FRESH)
    assert draft.problems == ()
    assert [(q.route, q.text, q.depends_on) for q in draft.plan.sub_questions] == [
        ("search", "Who?", ()),
        ("solve", "Is {1} old?", (1,)),
    ]
    assert chat.bound[0]["max_tokens"] == 320


async def test_json() -> None:
    reply = '```json\n{"sub_questions": [{"id": 1, "text": "Who?", "route": "search", "depends_on": []}]}\n```'
    chat = scripted(reply)
    draft = await decompose(JsonDecomposer(RoleModel(chat)), FRESH)
    assert draft == Draft(Plan(sub_questions=(SubQuestion(id=1, text="Who?", route="search"),)))
    assert "search: Finds facts." in chat.prompts[0]


@pytest.mark.parametrize("reply", ["DIRECT", " DIRECT \n"])
async def test_direct_is_a_plan_and_needs_no_repair(reply: str) -> None:
    assert await decompose(lines(scripted(reply)), FRESH) == Draft(Plan())


async def test_done_adds_nothing() -> None:
    assert await decompose(lines(scripted("DONE")), AGAIN) == Draft(ASKED)


async def test_new_sub_questions_build_on_answers() -> None:
    draft = await decompose(lines(scripted("3 [search] Where did {1} live?")), AGAIN)
    assert new_texts(draft, AGAIN) == ["Where did {1} live?"]


# Repair

BAD = [
    ("1 [serch] Who?", "unknown route 'serch'; use one of: solve, search"),
    ("1 [search] {2}", "which is not in the plan"),
    ("1 [search] {2}\n2 [search] {1}", "wait for each other"),
    ("I think it is easy.", "not a sub-question"),
    ("", "the plan is empty"),
    ("\n".join(f"{n} [solve] a" for n in range(1, 10)), "more than 8"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
async def test_a_bad_plan_is_sent_back_with_the_reason(bad: str, reason: str) -> None:
    chat = scripted(bad, "1 [search] Who?")
    draft = await decompose(lines(chat), FRESH)
    assert new_texts(draft, FRESH) == ["Who?"]
    assert len(draft.problems) == 1
    assert reason in draft.problems[0]
    assert reason not in chat.prompts[0]
    assert draft.problems[0] in chat.prompts[1]
    assert "Question: Q?" in chat.prompts[1]


@pytest.mark.parametrize(("bad", "reason"), BAD)
async def test_a_second_bad_plan_is_given_up(bad: str, reason: str) -> None:
    chat = scripted(bad, bad)
    draft = await decompose(lines(chat), FRESH)
    assert draft.plan == Plan()
    assert len(draft.problems) == len(chat.prompts) == 2
    assert all(reason in problem for problem in draft.problems)


async def test_the_number_of_repairs_can_be_chosen() -> None:
    chat = scripted("no", "no", "no", "1 [solve] a")
    assert len((await decompose(lines(chat), FRESH, repairs=0)).problems) == 1
    assert len((await decompose(lines(chat), FRESH, repairs=2)).problems) == 2


async def test_each_problem_replaces_the_one_before_in_the_prompt() -> None:
    chat = scripted("1 [serch] a", "1 [solve] {4}", "1 [solve] a")
    await decompose(lines(chat), FRESH, repairs=2)
    assert "'serch'" in chat.prompts[1]
    assert "'serch'" not in chat.prompts[2]
    assert "{4}" in chat.prompts[2]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("no json", "not JSON"),
        (as_json('{"id": 1, "text": "a", "route": "serch"}'), "unknown route 'serch'"),
        (as_json('{"id": 1, "text": "a", "depends_on": [5]}'), "not in the plan"),
        (as_json('{"id": 1}'), "sub-question 1: text"),
    ],
)
async def test_json_is_repaired_too(bad: str, reason: str) -> None:
    chat = scripted(bad, as_json('{"id": 1, "text": "Who?"}'))
    draft = await decompose(JsonDecomposer(RoleModel(chat)), FRESH)
    assert new_texts(draft, FRESH) == ["Who?"]
    assert reason in draft.problems[0]
    assert reason in chat.prompts[1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("3 [solve] When?", "sub-question 3 failed before; ask differently"),
        ("3 [search] After {2}?", "refers to one that failed"),
        ("3 [search after 2] After that?", "refers to one that failed"),
        ("2 [search] Where?", "appears twice"),
    ],
)
@pytest.mark.parametrize("mode", ["static", "dynamic"])
async def test_what_failed_is_neither_asked_again_nor_built_on(bad: str, reason: str, mode: PlanningMode) -> None:
    request = PlanRequest("Q?", CARDS, mode, asked=ASKED, answers=ANSWERS)
    draft = await decompose(lines(scripted(bad, "3 [search] When?")), request)
    assert reason in draft.problems[0]
    # Another route is another try.
    assert new_texts(draft, request) == ["When?"]


async def test_the_limit_is_on_new_sub_questions() -> None:
    request = PlanRequest("Q?", CARDS, max_sub_questions=1, asked=ASKED, answers=ANSWERS)
    draft = await decompose(lines(scripted("3 [solve] a\n4 [solve] b", "3 [solve] a")), request)
    assert "1 sub-questions, more than 1" not in "".join(draft.problems)
    assert "more than 1" in draft.problems[0]
    assert new_texts(draft, request) == ["a"]


@pytest.mark.parametrize("error", [BudgetExceededError("used up"), ConnectionError("away")])
async def test_only_plan_errors_are_repaired(error: Exception) -> None:
    chat = scripted(error)
    with pytest.raises(BudgetExceededError if isinstance(error, BudgetExceededError) else EndpointError):
        await decompose(lines(chat), FRESH)
    assert len(chat.prompts) == 1


# Cut off at the token limit


async def test_a_last_line_that_was_cut_off_is_dropped() -> None:
    draft = await decompose(lines(scripted(cut("1 [search] Who?\n2 [solve] Was {1} bo"))), FRESH)
    assert new_texts(draft, FRESH) == ["Who?"]
    assert draft.notes == ("the plan was cut off; what is whole of it is used",)


async def test_a_refusal_is_no_plan_and_is_asked_for_again() -> None:
    refused = AIMessage("", response_metadata={"finish_reason": "content_filter"})
    draft = await decompose(lines(scripted(refused, "1 [search] Who?")), FRESH)
    assert new_texts(draft, FRESH) == ["Who?"]
    assert draft.problems == ("the decomposer refused: a content filter stopped it",)


async def test_a_whole_plan_keeps_its_last_line() -> None:
    draft = await decompose(lines(scripted("1 [search] Who?\n2 [solve] Was {1} bo")), FRESH)
    assert len(draft.plan.ids) == 2


@given(matching(LineDecomposer.pattern(FRESH)), st.integers(min_value=0))
def test_a_plan_that_fits_the_pattern_may_be_cut_anywhere(text: str, place: int) -> None:
    """Whatever a server held to the pattern writes until its last token is a plan, once the first line has a text."""
    header = re.match(r"1 \[\w+\] ", text)
    begun = len(header[0]) + 1 if header else len(text)
    whole = text[: begun + place % max(1, len(text) - begun + 1)]
    draft = asyncio.run(decompose(lines(scripted(cut(whole))), FRESH, repairs=0))
    assert draft.problems == ()


# Schemas


def chat_openai(**options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="m", api_key=SecretStr("dummy"), **options)


@pytest.mark.parametrize("options", [{}, {"base_url": "http://127.0.0.1:1/v1", "use_responses_api": False}])
def test_openai_models_are_held_to_the_schema(options: dict[str, Any]) -> None:
    schema = json_schema(["search"], 8)
    chat = chat_openai(**options)
    arguments = structured_arguments(chat, schema)
    assert arguments == {
        "response_format": {"type": "json_schema", "json_schema": {"name": "Plan", "schema": schema, "strict": True}}
    }
    payload = chat._get_request_payload("hello", **arguments)
    assert payload["response_format"] == arguments["response_format"]


async def test_the_json_decomposer_binds_the_schema_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    async def answer(_self: Any, _messages: Any, *_: Any, **arguments: Any) -> Any:
        sent.append(arguments)
        raise ConnectionError

    monkeypatch.setattr(ChatOpenAI, "_agenerate", answer)
    with pytest.raises(EndpointError):
        await JsonDecomposer(RoleModel(chat_openai())).write(FRESH)
    assert sent[0]["response_format"]["json_schema"]["schema"] == json_schema(["search"], 8)


async def test_other_models_are_only_told_the_schema() -> None:
    chat = scripted(as_json())
    await JsonDecomposer(RoleModel(chat)).write(FRESH)
    assert "response_format" not in chat.bound[0]
    assert "json_schema" not in chat.bound[0]


# Which decomposer


def test_small_models_write_lines() -> None:
    decomposer = resolve_decomposer(LocalScripted(script=[]))
    assert isinstance(decomposer, LineDecomposer)
    assert decomposer.constrain is not None
    assert decomposer.constrain("x", "") == {"pattern": "x"}
    assert decomposer.examples


def test_an_adapter_needs_no_examples() -> None:
    decomposer = resolve_decomposer(LocalScripted(script=[], adapter=Path("/adapter")))
    assert isinstance(decomposer, LineDecomposer)
    assert not decomposer.examples


def test_general_models_write_json() -> None:
    assert isinstance(resolve_decomposer(scripted()), JsonDecomposer)
    assert isinstance(resolve_decomposer(RoleModel(scripted())), JsonDecomposer)


def test_a_decomposer_is_taken_as_it_is() -> None:
    decomposer = lines(scripted())
    assert resolve_decomposer(decomposer) is decomposer


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown model 'gpt'"):
        resolve_decomposer("gpt")


async def test_a_decomposer_that_drops_what_was_asked_before_is_told_so() -> None:
    class Forgetful:
        async def write(self, request: PlanRequest) -> str:
            return "1 [solve] a"

        def read(self, text: str, request: PlanRequest) -> Plan:
            return decode_lines(text)

    asked = Plan(sub_questions=(SubQuestion(id=1, text="first"),))
    draft = await decompose(Forgetful(), PlanRequest("q", [], asked=asked, answers={1: Answer(id=1, text="x")}))
    assert draft.plan == asked
    assert "begin with the sub-questions asked before" in draft.problems[0]
