import pytest
from langchain_core.messages import AIMessage, HumanMessage

from anabranch.agents.joiner import Joined, failures, join, join_last
from anabranch.agents.models import RoleModel
from anabranch.agents.reply import Final
from anabranch.errors import EndpointError
from anabranch.plan import Answer, Plan, SubQuestion
from tests.fakes import Reply, ScriptedChatModel

PLAN = Plan(
    sub_questions=(
        SubQuestion(id=1, text="Who?"),
        SubQuestion(id=2, text="Where?"),
        SubQuestion(id=3, text="When was {1} born?", route="search"),
    )
)


def done(id_: int, text: str) -> Answer:
    return Answer(id=id_, text=text)


def failed(id_: int, error: str = "away") -> Answer:
    return Answer(id=id_, status="failed", error=error)


def by_id(*answers: Answer) -> dict[int, Answer]:
    return {answer.id: answer for answer in answers}


ALL_DONE = by_id(done(1, "Ada"), done(2, "London"), done(3, "1815"))
ALL_FAILED = by_id(failed(1, "no such page"), failed(2), failed(3, "1 failed"))


def scripted(*replies: Reply) -> ScriptedChatModel:
    return ScriptedChatModel(script=list(replies))


async def test_the_reply_is_the_answer() -> None:
    chat = scripted(AIMessage(" In 1815. \n", id="m1"))
    assert await join(RoleModel(chat), "Q?", PLAN, ALL_DONE, may_replan=True) == Joined(
        Final("In 1815.", message_id="m1")
    )
    assert "3 [search] When was Ada born? = 1815" in chat.prompts[0]
    assert "Question: Q?" in chat.prompts[0]


async def test_the_mark_before_the_answer_is_no_part_of_it() -> None:
    joined = await join(
        RoleModel(scripted("They were 4.\n**Answer:** 4 of them")), "Q?", PLAN, ALL_DONE, may_replan=True
    )
    assert joined.text == "4 of them"


async def test_failed_sub_questions_are_shown_with_their_reason() -> None:
    chat = scripted("a")
    await join(RoleModel(chat), "Q?", PLAN, by_id(done(1, "Ada"), failed(3, "timed out")), may_replan=False)
    assert "= FAILED (timed out)" in chat.prompts[0]
    assert "2 [solve] Where? = not asked" in chat.prompts[0]


@pytest.mark.parametrize(
    "reply", ["REPLAN: the year", "replan: the year", "  REPLAN:the year\n", "Answer: REPLAN: the year"]
)
async def test_a_replan_says_what_is_missing(reply: str) -> None:
    joined = await join(RoleModel(scripted(reply)), "Q?", PLAN, ALL_DONE, may_replan=True)
    assert joined == Joined(missing="the year")


async def test_a_replan_without_a_reason_gets_one() -> None:
    joined = await join(RoleModel(scripted("REPLAN:")), "Q?", PLAN, ALL_DONE, may_replan=True)
    assert joined.missing


async def test_a_replan_is_offered_only_when_allowed() -> None:
    chat = scripted("REPLAN: more", "fine")
    joined = await join(RoleModel(chat), "Q?", PLAN, ALL_DONE, may_replan=False)
    assert joined.missing is None
    assert "REPLAN" not in chat.prompts[0]
    await join(RoleModel(chat), "Q?", PLAN, ALL_DONE, may_replan=True)
    assert "REPLAN" in chat.prompts[1]


async def test_an_answer_about_replanning_is_an_answer() -> None:
    joined = await join(RoleModel(scripted("They had to REPLAN: twice")), "Q?", PLAN, ALL_DONE, may_replan=True)
    assert joined.text == "They had to REPLAN: twice"


@pytest.mark.parametrize("small", [True, False])
async def test_where_all_failed_no_model_is_asked_for_a_replan(small: bool) -> None:
    chat = scripted()
    joined = await join(RoleModel(chat, small=small), "Q?", PLAN, ALL_FAILED, may_replan=True)
    assert chat.prompts == []
    assert joined.missing == (
        "sub-question 1 failed: no such page; sub-question 2 failed: away; sub-question 3 failed: 1 failed"
    )


@pytest.mark.parametrize("small", [True, False])
async def test_where_all_failed_and_no_replan_is_left_no_model_makes_an_answer_up(small: bool) -> None:
    chat = scripted("Her phone number is 123-456-7890.")
    joined = await join(RoleModel(chat, small=small), "Q?", PLAN, ALL_FAILED, may_replan=False)
    assert chat.prompts == []
    assert joined.text == (
        "No answer was found: sub-question 1 failed: no such page; sub-question 2 failed: away; "
        "sub-question 3 failed: 1 failed."
    )


async def test_earlier_turns_come_between_instruction_and_question() -> None:
    chat = scripted("a")
    history = [HumanMessage("earlier question"), AIMessage("earlier answer")]
    await join(RoleModel(chat), "Q?", PLAN, ALL_DONE, may_replan=False, history=history)
    prompt = chat.prompts[0]
    assert prompt.startswith("system:")
    assert prompt.index("earlier question") < prompt.index("earlier answer") < prompt.index("Question: Q?")


async def test_small_models_do_not_join() -> None:
    chat = scripted()
    joined = await join(RoleModel(chat, small=True), "Q?", PLAN, ALL_DONE, may_replan=True)
    assert joined.text == "London\n1815"
    assert chat.prompts == []


async def test_a_model_that_is_away_is_an_error() -> None:
    with pytest.raises(EndpointError):
        await join(RoleModel(scripted(ConnectionError("x"))), "Q?", PLAN, ALL_DONE, may_replan=False)


# Without a model


def test_the_last_answers_are_the_result() -> None:
    assert join_last(PLAN, ALL_DONE) == Joined(Final("London\n1815"))


def test_one_last_answer_is_enough() -> None:
    answers = by_id(done(1, "Ada"), failed(2), done(3, "1815"))
    assert join_last(PLAN, answers, may_replan=True) == Joined(Final("1815"))


def test_lost_last_answers_ask_for_a_replan_where_allowed() -> None:
    answers = by_id(done(1, "Ada"), failed(2), failed(3))
    assert join_last(PLAN, answers, may_replan=True).missing == (
        "sub-question 2 failed: away; sub-question 3 failed: away"
    )
    text = join_last(PLAN, answers).text
    assert text.startswith("No answer was found: sub-question 2 failed: away; sub-question 3 failed: away.")
    assert text.endswith("What was found: Ada.")


def test_where_all_failed_the_reasons_are_the_answer() -> None:
    assert join_last(PLAN, ALL_FAILED).text == (
        "No answer was found: sub-question 1 failed: no such page; sub-question 2 failed: away; "
        "sub-question 3 failed: 1 failed."
    )


def test_a_run_that_stopped_early_gives_what_it_has() -> None:
    """The budget ran out after the first sub-question: the last ones have no answer at all."""
    assert join_last(PLAN, by_id(done(1, "Ada"))).text == "Ada"


def test_nothing_asked() -> None:
    assert join_last(Plan(), {}).text == "No answer was found: nothing asked."


def test_failures_in_one_line() -> None:
    assert failures(by_id(done(1, "Ada"), failed(2))) == "sub-question 2 failed: away"


@pytest.mark.parametrize("reply", ["", " \n", "<think>It is all thought"])
async def test_an_empty_reply_does_not_lose_the_answers(reply: str) -> None:
    joined = await join(RoleModel(scripted(reply)), "When?", PLAN, ALL_DONE, may_replan=True)
    assert joined == Joined(Final("London\n1815", ending="empty"))


async def test_a_wish_for_a_plan_that_may_not_be_is_never_shown() -> None:
    joined = await join(RoleModel(scripted("**REPLAN:** more")), "When?", PLAN, ALL_DONE, may_replan=False)
    assert joined == Joined(Final("London\n1815"))


async def test_a_refusal_is_told() -> None:
    refused = AIMessage("", additional_kwargs={"refusal": "I cannot."})
    joined = await join(RoleModel(scripted(refused)), "When?", PLAN, ALL_DONE, may_replan=True)
    assert joined.final == Final("I cannot.", ending="refused")


def test_that_nothing_was_found_is_said_in_plain_words() -> None:
    nothing = by_id(*(Answer(id=n, status="failed", error="no passage found", not_found=True) for n in (1, 2, 3)))
    assert join_last(PLAN, nothing).text == "No answer was found."
    some = nothing | by_id(done(1, "Ada"))
    plan = Plan(sub_questions=(PLAN.sub_questions[0], PLAN.sub_questions[2]))
    assert join_last(plan, {1: some[1], 3: some[3]}).text == "No answer was found. What was found: Ada."
