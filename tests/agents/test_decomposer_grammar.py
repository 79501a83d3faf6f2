"""Lines under the pattern of all plans: on every call, or only those that do not fit."""

import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from anabranch.agents.decomposer import LineDecomposer, PlanRequest, decompose
from anabranch.codecs import LineGrammar
from tests.agents.requests import AGAIN, ANSWERS, ASKED, CARDS, FRESH, cut, lines, scripted
from tests.fakes import Reply

FREE = {"max_tokens": 320, "stop": ["\n9 ["]}


ROUTES = r"(solve|search)\]"


def held(pattern: str | None, begun: str) -> dict[str, Any]:
    return {**({"pattern": pattern} if pattern else {}), **({"begun": begun} if begun else {})}


async def test_the_pattern_of_a_request_is_passed_on() -> None:
    chat = scripted("DIRECT")
    await decompose(lines(chat, constrain=held, max_tokens=9), FRESH)
    assert chat.bound[0] == {"max_tokens": 9, "pattern": LineDecomposer.pattern(FRESH)}


@pytest.mark.parametrize(
    ("free", "plan"),
    [
        ("DIRECT", "DIRECT"),
        ("1 [search] Who?\n2 [solve] Is {1} old?", "1 [search] Who?\n2 [solve] Is {1} old?"),
        (cut("1 [search] Who?\n2 [solve] Is {1} ol"), "1 [search] Who?"),
    ],
)
async def test_a_plan_that_was_written_freely_is_not_asked_for_again(free: Reply, plan: str) -> None:
    chat = scripted(free)
    decomposer = lines(chat, constrain=held, grammar="on_demand")
    assert await decomposer.write(FRESH) == plan
    assert chat.bound == [FREE]


@pytest.mark.parametrize("free", ["Here is the plan:\n1 [search] Who?", "DONE", "", "DIRECT\n1 [search] Who?"])
async def test_what_does_not_begin_as_a_plan_begins_again_with_the_pattern(free: Reply) -> None:
    chat = scripted(free, "1 [search]", " Who?")
    decomposer = lines(chat, constrain=held, grammar="on_demand")
    assert await decomposer.write(FRESH) == "1 [search] Who?"
    beginning, begun = rf"(DIRECT|1 \[{ROUTES})", "1 [search]"
    assert chat.bound == [FREE, {"max_tokens": 320, "pattern": beginning}, {**FREE, "begun": begun}]
    assert chat.prompts[0] == chat.prompts[1]
    assert chat.prompts[2] == f"{chat.prompts[0]}\nai: {begun}"


async def test_the_word_for_no_plan_ends_it() -> None:
    chat = scripted("I can answer that.", "DIRECT")
    assert await lines(chat, constrain=held, grammar="on_demand").write(FRESH) == "DIRECT"


@pytest.mark.parametrize(
    ("free", "begun", "pattern", "reply"),
    [
        ("1 [search] Who?\n3 [solve] Is {1} old?", "", rf"2 \[{ROUTES}", "2 [solve]"),
        ("1 [search] Who?\n", "", rf"2 \[{ROUTES}", "2 [solve]"),
        ("1 [search] Who?\n\n2 [solve] Is {1} old?", "", rf"2 \[{ROUTES}", "2 [solve]"),
        ("1 [search] Who?\n2 [look] Is {1} old?", "2 [", ROUTES, "solve]"),
        ("1 [search] Who?\n2 [solve] {2}?\n3 [solve] Is {1} old?", "2 [solve] {", r"(1)\}", "1}"),
        (cut("1 [search] Who?\n2 [solve] {2} ol"), "2 [solve] {", r"(1)\}", "1}"),
    ],
)
async def test_what_does_not_fit_is_written_anew_and_the_rest_is_free(
    free: Reply, begun: str, pattern: str, reply: str
) -> None:
    rest = " {1} tall?\n3 [search] Where is {1}?"
    chat = scripted(free, reply, rest)
    decomposer = lines(chat, constrain=held, grammar="on_demand")
    texts = [f"1 [search] Who?\n{begun}", f"1 [search] Who?\n{begun}{reply}"]
    assert await decomposer.write(FRESH) == texts[1] + rest
    held_, free_ = {"max_tokens": 320, "pattern": pattern, "begun": texts[0]}, {**FREE, "begun": texts[1]}
    assert chat.bound == [FREE, held_, free_]
    assert chat.prompts[1:] == [f"{chat.prompts[0]}\nai: {text}" for text in texts]


@pytest.mark.parametrize("before", ["", "1 [solve] a\n"])
async def test_a_line_that_does_not_end_is_the_last(before: str) -> None:
    line = f"{before}{2 if before else 1} [search] and who"
    chat = scripted(cut(line + " and who" * 60))
    plan = await lines(chat, constrain=held, grammar="on_demand").write(FRESH)
    assert plan == line + " and who" * 47


async def test_all_the_rest_is_held_where_amends_do_not_do() -> None:
    chat = scripted("1 [search] a\n3 [solve] a", "2 [search]", " b\n", "3 [solve]", "", " c", "\n\n", "4 [solve] d")
    decomposer = lines(chat, constrain=held, grammar="on_demand")
    assert await decomposer.write(FRESH) == "1 [search] a\n2 [search] b\n3 [solve] c\n4 [solve] d"
    rest = LineGrammar(["search"], 5, known=[1, 2, 3], first_id=4, empty=None).pattern
    begun = "1 [search] a\n2 [search] b\n3 [solve] c\n"
    assert chat.bound[7] == {"max_tokens": 320, "pattern": rest, "begun": begun}


async def test_all_the_rest_can_be_held_at_once() -> None:
    chat = scripted("1 [search] Who?\n3 [solve] a", "2 [search] Where?\n3 [solve] Is {2} far?")
    plan = await lines(chat, constrain=held, grammar="rest").write(FRESH)
    assert plan == "1 [search] Who?\n2 [search] Where?\n3 [solve] Is {2} far?"
    rest = LineGrammar(["search"], 7, known=[1], first_id=2, empty=None).pattern
    assert chat.bound == [FREE, {"max_tokens": 320, "pattern": rest, "begun": "1 [search] Who?\n"}]


@pytest.mark.parametrize(
    "replies",
    [
        (cut("2 [search]"),),
        ("2 [search]", cut(" Where?\n3 [solve] Is {2} fa")),
        ("2 [search]", " Where?\n2", "3 [solve]", cut(" Is {2} far?\n4 [search] And whe")),
    ],
)
async def test_a_plan_that_goes_on_may_be_cut_off(replies: tuple[Reply, ...]) -> None:
    chat = scripted("1 [search] Who?\n3 [solve] a", *replies)
    plan = await lines(chat, constrain=held, grammar="on_demand").write(FRESH)
    asked = ["1 [search] Who?", "2 [search] Where?", "3 [solve] Is {2} far?"]
    assert plan == "\n".join(asked[: len(replies) // 2 + 1])


async def test_a_layer_that_goes_on_does_not_refer_to_itself() -> None:
    chat = scripted("3 [search] Who?\n4 [solve] Is {3} old?", "1}", " tall?")
    decomposer = lines(chat, constrain=held, grammar="on_demand")
    layer = PlanRequest("Q?", CARDS, "dynamic", asked=ASKED, answers=ANSWERS)
    assert await decomposer.write(layer) == "3 [search] Who?\n4 [solve] Is {1} tall?"
    known = [str(id_) for id_ in ASKED.ids if ANSWERS[id_].ok]
    assert chat.bound[0]["stop"] == ["\n11 ["]
    assert chat.bound[1]["pattern"] == rf"({'|'.join(known)})\}}"


async def test_the_last_line_allowed_ends_it() -> None:
    chat = scripted("1 [search] a\n3 [solve] b", "2 [solve]", " b")
    plan = await lines(chat, constrain=held, grammar="on_demand").write(PlanRequest("Q?", CARDS, max_sub_questions=2))
    assert plan == "1 [search] a\n2 [solve] b"


@pytest.mark.parametrize("more", ["\n3 [solve] c", "\n", "\nThat is all."])
@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_what_comes_after_the_last_line_allowed_is_left_out(more: str, finish: str) -> None:
    whole = "1 [search] a\n2 [solve] b"
    chat = scripted(AIMessage(whole + more, response_metadata={"finish_reason": finish}))
    decomposer = lines(chat, constrain=held, grammar="on_demand")
    assert await decomposer.write(PlanRequest("Q?", CARDS, max_sub_questions=2)) == whole
    assert chat.bound == [{"max_tokens": 320, "stop": ["\n3 ["]}]


@pytest.mark.parametrize(
    ("request_", "fits", "does_not"),
    [
        (FRESH, ["DIRECT", "1 [search] a\n2 [solve] {1}"], ["DONE", "1 [calculator] a", "2 [solve] a"]),
        (AGAIN, ["DONE", "3 [solve] {1}\n4 [search] {3}"], ["DIRECT", "3 [solve] {2}", "1 [solve] a"]),
        (
            PlanRequest("Q?", CARDS, "dynamic", asked=ASKED, answers=ANSWERS),
            ["DONE", "3 [solve] {1}\n4 [search] a"],
            ["3 [solve] a\n4 [search] {3}"],
        ),
        (PlanRequest("Q?", (), max_sub_questions=1), ["1 [solve] a"], ["1 [search] a", "1 [solve] a\n2 [solve] b"]),
    ],
)
def test_the_pattern_allows_what_the_request_does(request_: PlanRequest, fits: list[str], does_not: list[str]) -> None:
    pattern = LineDecomposer.pattern(request_)
    assert [text for text in [*fits, *does_not] if re.fullmatch(pattern, text)] == fits
