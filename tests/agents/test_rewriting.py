"""What is made of a model's reply: checks of a rewritten question, and what a message says by itself."""

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from anabranch.agents.conversation import Understood, understand
from anabranch.agents.models import RoleModel
from tests.agents.turns import SAID, TURNS, scripted, understood
from tests.fakes import Reply


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
