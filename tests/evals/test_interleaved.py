"""IRCoT and self-ask: what they look up, what they read in the end, and where they stop."""

from anabranch.agents.models import RoleModel
from anabranch.evals import interleaved, prompts
from anabranch.evals.systems import Case
from tests.evals.test_systems import HOPS
from tests.fakes import ScriptedChatModel


async def test_ircot_looks_up_each_sentence_and_reads_all_in_the_end() -> None:
    thoughts = ["Marta Ostrander founded it. She", "So the final answer is: Brackwater."]
    chat = ScriptedChatModel(script=[*thoughts, "Brackwater"])
    case = Case(HOPS.model_copy(update={"question": "Who founded the Hollin Quay ferry, and where was she born?"}))
    outcome = await interleaved.ircot(RoleModel(chat))(case)
    assert outcome.answer == "Brackwater"
    assert outcome.extra["thoughts"] == "Marta Ostrander founded it.\nSo the final answer is: Brackwater."
    first, second, reader = chat.prompts
    assert "Reasoning so far" not in first
    assert "Reasoning so far:\nMarta Ostrander founded it." in second
    assert "without any reasoning" in reader
    assert reader.count("born in Brackwater") == 1
    assert {"Ferry", "Marta Ostrander"} <= set(case.retrieved)


async def test_ircot_stops_where_the_model_repeats_itself_or_says_nothing() -> None:
    chat = ScriptedChatModel(script=["It is a ferry.", "It is a ferry.", "none"])
    assert (await interleaved.ircot(RoleModel(chat))(Case(HOPS))).answer == "none"
    chat = ScriptedChatModel(script=["", "none"])
    assert (await interleaved.ircot(RoleModel(chat))(Case(HOPS))).extra["thoughts"] == ""


async def test_ircot_makes_only_so_many_look_ups() -> None:
    numbers = iter(range(100))
    chat = ScriptedChatModel(
        script=lambda prompt: "1" if "without any reasoning" in prompt else f"Fact {next(numbers)}."
    )
    await interleaved.ircot(RoleModel(chat))(Case(HOPS))
    assert len(chat.prompts) == interleaved.MOST_ROUNDS + 1


async def test_self_ask_is_given_what_was_read_for_each_follow_up() -> None:
    replies = [
        "Follow up: Who founded the Hollin Quay ferry?\nIntermediate answer: somebody",
        "Marta Ostrander",
        "Follow up: Where was Marta Ostrander born?",
        "Brackwater",
        "So the final answer is: Brackwater",
    ]
    chat = ScriptedChatModel(script=list(replies))
    outcome = await interleaved.self_ask(RoleModel(chat))(Case(HOPS))
    assert outcome.answer == "Brackwater"
    assert "founded by Marta Ostrander" in chat.prompts[1]
    assert "born in Brackwater" in chat.prompts[3]
    assert chat.prompts[4].endswith(
        f"Question: {HOPS.question}\n"
        "Follow up: Who founded the Hollin Quay ferry?\nIntermediate answer: Marta Ostrander\n"
        "Follow up: Where was Marta Ostrander born?\nIntermediate answer: Brackwater"
    )


async def test_self_ask_has_to_answer_in_the_end() -> None:
    chat = ScriptedChatModel(
        script=lambda prompt: (
            "so it is Brackwater"
            if prompt.endswith(prompts.FINAL)
            else ("a town" if "without any reasoning" in prompt else "Follow up: Where is that?")
        )
    )
    outcome = await interleaved.self_ask(RoleModel(chat))(Case(HOPS))
    assert outcome.answer == "so it is Brackwater"
    assert outcome.extra["follow-ups"].count("Where is that? a town") == interleaved.MOST_ROUNDS


async def test_self_ask_takes_an_answer_without_a_look_up() -> None:
    chat = ScriptedChatModel(script=["So the final answer is: Brackwater\nFollow up: Really?"])
    outcome = await interleaved.self_ask(RoleModel(chat))(Case(HOPS))
    assert (outcome.answer, len(chat.prompts)) == ("Brackwater", 1)
