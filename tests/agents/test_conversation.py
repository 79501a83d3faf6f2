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
from tests.fakes import Reply, ScriptedChatModel
from tests.strategies import any_text

TURNS: list[BaseMessage] = [HumanMessage("Who runs the Lindholm lighthouse?"), AIMessage("Petra Aalto runs it.")]
SAID = "Who runs the Lindholm lighthouse? Petra Aalto runs it."


def scripted(*replies: Reply) -> ScriptedChatModel:
    return ScriptedChatModel(script=list(replies))


async def understood(asked: str, *replies: Reply, turns: list[BaseMessage] = TURNS) -> Understood:
    return await understand(RoleModel(scripted(*replies)), [*turns, HumanMessage(asked)])


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


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "She is 41 years old.",
        "Answer: 41",
        "QUESTION: She was born in 1984.",
        "QUESTION: How old was Petra Aalto in 1984?",
        "I'm sorry, but I can't help with that.",
        "QUESTION: " + "How old is Petra Aalto, who runs the lighthouse? " * 10,
        "QUESTION: What is the capital of Portugal?",
        AIMessage("QUESTION: How old is Petra Aalto?", response_metadata={"finish_reason": "length"}),
    ],
)
async def test_with_a_reply_that_cannot_be_the_question_the_own_words_are_put_after_what_was_said(
    reply: Reply,
) -> None:
    asked = "And how old is she?"
    assert await understood(asked, reply) == Understood(asked, f"{SAID} {asked}", "follow_up")


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("And the Fårö lighthouse?", "QUESTION: Who is Petra Aalto?"),
        ("No, the one in Fårö.", "QUESTION: Who runs the lighthouse of Lindholm?"),
        ("Is this older?", "QUESTION: Is this lighthouse older than Petra Aalto?"),
        ("Does she like the weather?", "QUESTION: Does Petra Aalto run the Lindholm lighthouse?"),
    ],
)
async def test_a_rewrite_without_what_the_message_says_is_not_taken(asked: str, reply: str) -> None:
    assert await understood(asked, reply) == Understood(asked, f"{SAID} {asked}", "follow_up")


@pytest.mark.parametrize(
    ("asked", "reply", "taken"),
    [
        # It names something new, so nothing of before is added.
        ("What is the weather in Bergen like?", "QUESTION: What is the weather at Lindholm in Bergen like?", False),
        # It has its own subject, which is not replaced.
        ("How many ferries does the harbour have?", "QUESTION: How many lighthouses does the harbour have?", False),
        ("How tall is the building?", "QUESTION: How tall is the Lindholm lighthouse?", True),
        ("What does the visit cost?", "QUESTION: What does the visit to the Lindholm lighthouse cost?", True),
    ],
)
async def test_what_may_stand_by_itself_is_only_told_what_is_meant_by_the(asked: str, reply: str, taken: bool) -> None:
    found = await understood(asked, reply)
    assert found == Understood(asked, reply.removeprefix("QUESTION: ") if taken else asked)


async def test_a_rewrite_that_loses_a_name_of_the_message_is_not_taken() -> None:
    asked = "Did she go to school in Oslo?"
    found = await understood(asked, "QUESTION: Did Petra Aalto go to school in Lindholm?")
    assert found == Understood(asked, f"{SAID} {asked}", "follow_up")


@pytest.mark.parametrize("reply", ["CONVERSATION", "QUESTION: Why is the sky blue?"])
async def test_a_whole_question_behind_a_but_is_none_about_the_conversation(reply: str) -> None:
    asked = "But why is the sky blue?"
    assert (await understood(asked, reply)) == Understood(asked, asked)


@pytest.mark.parametrize("reply", [SAID.split("?")[0] + "?", "QUESTION: GDP of Petra Aalto in 2019"])
@pytest.mark.parametrize("asked", ["GDP of Chile in 2019", "weather Lisbon tomorrow"])
async def test_a_few_words_with_a_new_name_and_nothing_that_was_said_are_a_new_topic(asked: str, reply: str) -> None:
    assert (await understood(asked, reply)).question == asked


@pytest.mark.parametrize("reply", ["CONVERSATION", "QUESTION: Who runs it?", "I do not know"])
async def test_what_nobody_spoke_of_is_asked_also_where_the_assistant_is_addressed(reply: str) -> None:
    asked = "Could you tell me how salmon find the river that they were born in?"
    found = await understood(asked, reply)
    assert found.question == asked
    assert found.turn != "conversation"


@pytest.mark.parametrize(
    "asked",
    [
        "visa rules for norway for canadian citizens",
        "Did Marie Curie ever meet Einstein, and if she did, what did they talk about?",
        "Explain to me like I'm ten how interest on a loan works",
        "why do onions make you cry",
        "écris un petit mot de félicitations pour une collègue qui vient d'avoir son premier bébé",
    ],
)
async def test_a_new_topic_is_no_remark_whatever_the_model_says(asked: str) -> None:
    assert (await understood(asked, "CONVERSATION")).turn != "conversation"


@pytest.mark.parametrize("asked", ["haha ok thanks, youre a lifesaver", "I will try that when my colleague is back"])
async def test_remarks_are_about_the_conversation(asked: str) -> None:
    assert (await understood(asked, "CONVERSATION")).turn == "conversation"


@pytest.mark.parametrize("reply", ["CONVERSATION", "QUESTION: Who was 2 metres tall?"])
@pytest.mark.parametrize(
    "asked", ["Can you turn that into a short notice for the harbour office?", "Could you summarise this for my boss?"]
)
async def test_a_wish_about_the_last_answer_is_about_the_conversation(asked: str, reply: str) -> None:
    assert await understood(asked, reply) == Understood(asked, asked, "conversation")


@pytest.mark.parametrize("asked", ["What do you mean by that?", "say it in Polish please", "sorry i dont get it"])
async def test_what_can_only_be_about_the_last_answer_needs_no_call(asked: str) -> None:
    assert await understood(asked) == Understood(asked, asked, "conversation")


async def test_a_wish_about_a_person_is_a_question() -> None:
    found = await understood("could you give me her email adress?", "QUESTION: Could you give me her email address?")
    assert found.question == f"{SAID} could you give me her email adress?"


async def test_thanks_are_not_what_a_message_leans_on() -> None:
    turns = [*TURNS, HumanMessage("Thanks!"), AIMessage("You are welcome.")]
    assert (await understood("Does she like it?", "no idea", turns=turns)).question == f"{SAID} Does she like it?"


async def test_a_whole_question_behind_an_and_stays() -> None:
    asked = "And what is the capital of Mongolia?"
    assert await understood(asked, "QUESTION: What is the capital of Mongolia?") == Understood(asked, asked)


async def test_the_answer_to_a_question_of_the_assistants_keeps_what_was_asked() -> None:
    turns: list[BaseMessage] = [HumanMessage("How old is the keeper?"), AIMessage("Of which lighthouse?")]
    assert (await understood("Fårö", "QUESTION: How old is the keeper of Fårö?", turns=turns)).question == (
        "How old is the keeper of Fårö?"
    )
    found = await understood("Fårö", "QUESTION: Which lighthouse is Fårö?", turns=turns)
    assert found.question == "How old is the keeper? Of which lighthouse? Fårö"


ASKED_BACK: list[BaseMessage] = [HumanMessage("Where is the lighthouse?"), AIMessage("Lindholm or Fårö?")]


@pytest.mark.parametrize("reply", ["", "QUESTION: The second", "QUESTION: Lindholm or Fårö?", "Nothing"])
async def test_the_answer_to_a_question_of_the_assistants_is_put_after_what_it_is_about(reply: str) -> None:
    for asked, put in (("The northern", "The northern"), ("The second", "Fårö")):
        found = await understood(asked, reply, turns=ASKED_BACK)
        assert found == Understood(asked, f"Where is the lighthouse? Lindholm or Fårö? {put}", "follow_up")


async def test_a_reply_that_picks_by_place_is_told_with_what_stands_there() -> None:
    turns = [HumanMessage("When does the ferry leave?"), AIMessage("Which one: to Hollin, to Vardø or to Kestrel?")]
    model = scripted("QUESTION: When does the ferry to Vardø leave?")
    found = await understand(RoleModel(model), [*turns, HumanMessage("The second.")])
    assert found == Understood("The second.", "When does the ferry to Vardø leave?")
    assert model.prompts[0].endswith("Last message: to Vardø")


@pytest.mark.parametrize("reply", ["CONVERSATION", "QUESTION: Can you fix this?", "no idea"])
@pytest.mark.parametrize("words", ["Can you fix this?", "What does it print?", "explain this please"])
async def test_a_message_with_code_is_never_about_the_conversation(words: str, reply: str) -> None:
    asked = f"{words}\n```python\nprint(sum(range(5)))\n```"
    found = await understood(asked, reply)
    assert found.question == asked
    assert found.turn != "conversation"


async def test_a_question_after_a_question_of_the_assistants_may_change_the_topic() -> None:
    asked = "What does the ferry cost?"
    assert (await understood(asked, f"QUESTION: {asked}", turns=ASKED_BACK)).question == asked


async def test_a_reply_that_adds_nothing_to_what_was_said_is_about_the_answer() -> None:
    reply = "QUESTION: Who runs the Lindholm lighthouse?"
    assert await understood("Shorter please", reply) == Understood("Shorter please", "Shorter please", "conversation")
    found = await understood("And her age?", reply)
    assert found.question == "Who runs the Lindholm lighthouse? Petra Aalto runs it. And her age?"
    longer = "And which other lighthouses of the coast does she run?"
    assert await understood(longer, reply) == Understood(longer, f"{SAID} {longer}", "follow_up")


@pytest.mark.parametrize(
    "reply", ["QUESTION: What is the phone number of the harbour?", "QUESTION: Phone number, harbour?"]
)
async def test_a_rewrite_that_adds_nothing_of_earlier_turns_leaves_the_own_words(reply: str) -> None:
    asked = "what's the phone number of the harbour"
    assert await understood(asked, reply) == Understood(asked, asked)


@pytest.mark.parametrize(
    ("asked", "question", "kept"),
    [
        ("Not in 2024, in 2023!", "When did it open in 2023?", True),
        ("and in 2023", "When did it open?", False),
        ("and in 2023", "When did it open in 1999?", False),
    ],
)
async def test_numbers_are_those_of_the_conversation(asked: str, question: str, kept: bool) -> None:
    turns: list[BaseMessage] = [HumanMessage("When did it open in 2024?"), AIMessage("In May.")]
    found = await understood(asked, f"QUESTION: {question}", turns=turns)
    assert (found.question == question) is kept


@pytest.mark.parametrize(
    ("said", "asked", "question"),
    [
        (("서울은 언제 수도가 되었나요?", "1394년."), "거기 인구는?", "서울의 인구는?"),
        (("泳池几点关门？", "晚上十点。"), "周日呢？", "泳池周日几点关门？"),
        (("Who is Bo?", "A chef."), "How old is he?", "How old is Bo?"),
        (("Kuka on Aino Virta?", "Kokki."), "Missä hän asuu?", "Missä Aino Virta asuu?"),
    ],
)
async def test_questions_of_many_scripts_are_taken(said: tuple[str, str], asked: str, question: str) -> None:
    turns: list[BaseMessage] = [HumanMessage(said[0]), AIMessage(said[1])]
    assert (await understood(asked, f"QUESTION: {question}", turns=turns)).question == question


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
