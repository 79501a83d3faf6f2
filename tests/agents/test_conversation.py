"""What the last message of a conversation asks."""

from typing import Any

import pytest
from hypothesis import given
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from anabranch.agents import conversation, examples, prompts
from anabranch.agents.conversation import Understood, understand
from anabranch.agents.leaning import asks_what_was_meant, form_of
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import RoleModel
from anabranch.config import Budget
from anabranch.errors import ConfigurationError, EndpointError, QuestionError
from anabranch.plan import Usage
from tests.agents.turns import SAID, TURNS, scripted, understood
from tests.strategies import any_text

# When nobody is asked


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [SystemMessage("You work for the coast guard.")],
        [SystemMessage("Be brief."), AIMessage("Hello! What can I do for you?")],
    ],
    ids=["nothing", "a system message", "the assistant's greeting"],
)
async def test_without_earlier_turns_no_model_is_called(turns: list[BaseMessage]) -> None:
    asked = "Who runs the Lindholm lighthouse?"
    assert await understood(asked, turns=turns) == Understood(asked, asked)


@pytest.mark.parametrize(
    "asked",
    [
        "Thanks!",
        "Thank you very much :-)",
        "Vielen Dank!",
        "merci beaucoup",
        "¡Muchas gracias!",
        "谢谢!",
        "👍",
        "Super!",
    ],
)
async def test_thanks_and_greetings_are_about_the_conversation(asked: str) -> None:
    assert await understood(asked) == Understood(asked, asked, "conversation")


async def test_for_a_question_that_stands_by_itself_no_model_is_called() -> None:
    asked = "How many people live in Trondheim?"
    assert await understood(asked) == Understood(asked, asked)


async def test_ok_after_a_question_of_the_assistant_may_be_its_answer() -> None:
    turns: list[BaseMessage] = [HumanMessage("Who runs it?"), AIMessage("Shall I look up who runs the lighthouse?")]
    found = await understood("ok", "QUESTION: Who runs the lighthouse?", turns=turns)
    assert found.question == "Who runs the lighthouse?"


async def test_a_small_model_is_not_asked() -> None:
    asked = "And how old is she?"
    model = RoleModel(scripted(), small=True)
    assert await understand(model, [*TURNS, HumanMessage(asked)]) == Understood(asked, asked, "follow_up")


async def test_with_a_used_up_budget_the_own_words_are_put_after_what_was_said() -> None:
    ledger = Ledger({"solver": Usage(calls=1)}, budget=Budget(max_calls=1))
    asked = "And how old is she?"
    with booking(ledger):
        assert await understood(asked) == Understood(asked, f"{SAID} {asked}", "follow_up")


# What the model is shown


EXAMPLES = [(form, *example) for form, shown in examples.STANDALONE_EXAMPLES.items() for example in shown]


@pytest.mark.parametrize(("form", "earlier", "message", "meaning"), EXAMPLES)
async def test_the_examples_are_of_their_form_and_would_be_taken(
    form: str, earlier: str, message: str, meaning: str
) -> None:
    turns: list[BaseMessage] = []
    for line in earlier.split("\n"):
        speaker, _, text = line.partition(": ")
        turns.append(HumanMessage(text) if speaker == "User" else AIMessage(text))
    chat = scripted(meaning)
    found = await understand(RoleModel(chat), [*turns, HumanMessage(message)])
    # A model must copy what stands by itself, though it is not asked for those that are told by their words.
    alone = form == "question" and form_of(message, asked_back=False) == "alone"
    alone = alone or asks_what_was_meant(message)
    assert alone or prompts.STANDALONE_INSTRUCTIONS[form] in chat.prompts[0]
    if meaning == "CONVERSATION":
        assert found.turn == "conversation"
    else:
        assert found.question == meaning.removeprefix("QUESTION: ")


# What the model says


async def test_a_follow_up_becomes_a_question_that_stands_by_itself() -> None:
    chat = scripted("QUESTION: How old is Petra Aalto?")
    with booking(Ledger()) as ledger:
        found = await understand(RoleModel(chat), [*TURNS, HumanMessage("And how old is she?")])
    assert found == Understood("And how old is she?", "How old is Petra Aalto?")
    assert "Assistant: Petra Aalto runs it." in chat.prompts[0]
    assert ledger.by_role["solver"].calls == 1


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("**QUESTION:** How old is Petra Aalto?", "How old is Petra Aalto?"),
        ("Question: How old is Petra Aalto?\nShe is 40.", "How old is Petra Aalto?"),
        ('"How old is Petra Aalto?"', "How old is Petra Aalto?"),
    ],
)
async def test_replies_are_read_with_tolerance(reply: str, question: str) -> None:
    assert (await understood("And how old is she?", reply)).question == question


@pytest.mark.parametrize(
    "reply", ["QUESTION: What does a ticket for the ferry cost?", "what does a ticket for the ferry cost"]
)
async def test_a_change_of_topic_stays_as_it_is(reply: str) -> None:
    asked = "What does a ticket for the ferry cost?"
    assert await understood(asked, reply) == Understood(asked, asked)


@pytest.mark.parametrize("asked", ["How old is she?", "Does she run other lighthouses of the coast?", "Since when?"])
async def test_what_leans_on_earlier_turns_and_was_not_rewritten_is_put_after_them(asked: str) -> None:
    assert await understood(asked, f"QUESTION: {asked}") == Understood(asked, f"{SAID} {asked}", "follow_up")


async def test_a_question_that_may_lean_on_earlier_turns_and_was_not_rewritten_stays() -> None:
    asked = "Which ferries does the harbour of Lindholm have?"
    assert await understood(asked, f"QUESTION: {asked}") == Understood(asked, asked)
    few = "Where is the harbour?"
    assert await understood(few, f"QUESTION: {few}") == Understood(few, few, "follow_up")


async def test_what_has_many_words_of_its_own_may_be_a_new_topic_and_stays() -> None:
    asked = "Do people of Lindholm pay them the same taxes in winter and spring?"
    assert await understood(asked, f"QUESTION: {asked}") == Understood(asked, asked, "follow_up")


async def test_what_asks_the_assistant_for_nothing_new_is_about_the_conversation() -> None:
    asked = "Can you put that into other words?"
    assert await understood(asked, f"QUESTION: {asked}") == Understood(asked, asked, "conversation")


@pytest.mark.parametrize("reply", ["CONVERSATION", "**Conversation.**"])
async def test_what_is_about_the_last_reply_is_left_to_the_conversation(reply: str) -> None:
    assert await understood("Make it shorter.", reply) == Understood(
        "Make it shorter.", "Make it shorter.", "conversation"
    )


async def test_a_model_that_is_away_is_an_error() -> None:
    with pytest.raises(EndpointError):
        await understood("And how old is she?", ConnectionError("no route"))


# Pasted text


async def test_pasted_code_is_not_shown_and_stays() -> None:
    code = "```python\nprint(1)\nprint(2)\n```"
    chat = scripted("QUESTION: Does the lighthouse run this?")
    found = await understand(RoleModel(chat), [*TURNS, HumanMessage(f"Does it run this?\n{code}")])
    assert found.question == f"Does the lighthouse run this?\n\n{code}"
    assert "print" not in chat.prompts[0]


async def test_a_long_text_without_words_of_its_own_is_taken_as_it_is() -> None:
    asked = "a long report " * 100
    assert (await understood(asked)).question == asked.strip()


@given(any_text)
def test_a_message_and_its_pasted_text_are_told_apart_without_loss(text: str) -> None:
    words, pasted = conversation.split_pasted(text)
    joined = "".join(f"{words}{pasted}".split())
    assert sorted(joined) == sorted("".join(text.split()))


# Earlier turns


def test_tool_messages_become_text() -> None:
    called: Any = [{"name": "search", "args": {"query": "x"}, "id": "1"}]
    messages = [
        SystemMessage("s"),
        HumanMessage("Who?"),
        AIMessage("", tool_calls=called),
        ToolMessage("found it", tool_call_id="1", name="search"),
        AIMessage("Petra"),
        HumanMessage("And?"),
    ]
    turns = conversation.earlier_turns(messages)
    assert [(turn.type, turn.text) for turn in turns] == [
        ("human", "Who?"),
        ("ai", "search: found it"),
        ("ai", "Petra"),
    ]


def test_the_prompt_stays_bounded() -> None:
    turns: list[BaseMessage] = []
    for number in range(100):
        turns += [HumanMessage(f"question {number} " + "x" * 5_000), AIMessage(f"answer {number} " + "y" * 5_000)]
    text = conversation.transcript(turns)
    assert len(text) < 5_000
    assert "answer 99" in text
    assert "question 90 " not in text


def test_the_history_of_an_answer_has_the_callers_system_message_and_the_latest_turns() -> None:
    turns: list[BaseMessage] = [SystemMessage("You are a pirate.")]
    for number in range(100):
        turns += [HumanMessage(f"question {number} " + "x" * 1_000), AIMessage(f"answer {number}")]
    history = conversation.history_of([*turns, HumanMessage("And?")], RoleModel(scripted()))
    assert history[0].text == "You are a pirate."
    assert history[-1].text == "answer 99"
    assert sum(len(str(message.text)) for message in history) < 42_000


def test_a_prompt_has_one_system_message_and_it_comes_first() -> None:
    history = [SystemMessage("You are a pirate."), *TURNS, SystemMessage("Be brief.")]
    prompt = prompts.with_history(prompts.direct_messages("Who?"), history)
    assert [message.type for message in prompt] == ["system", "human", "ai", "human"]
    assert str(prompt[0].text).startswith("You are a pirate.\n\nBe brief.\n\nAnswer the question.")


# Options


async def test_follow_ups_can_be_taken_as_asked_or_by_a_function() -> None:
    asked = [*TURNS, HumanMessage("And how old is she?")]
    plain = conversation.resolve_follow_ups("as_asked", RoleModel(scripted()))
    assert (await plain(asked)).question == "And how old is she?"

    async def own(messages: Any) -> Understood:
        return Understood("a", "b")

    assert conversation.resolve_follow_ups(own, RoleModel(scripted())) is own
    wrong: Any = "sometimes"
    with pytest.raises(ConfigurationError, match="unknown follow_ups 'sometimes'; use auto"):
        conversation.resolve_follow_ups(wrong, RoleModel(scripted()))


async def test_without_a_human_message_there_is_no_question() -> None:
    with pytest.raises(QuestionError, match="no human message"):
        await understand(RoleModel(scripted()), [AIMessage("hello")])
