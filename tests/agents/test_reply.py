from typing import Any

import pytest
from langchain_core.messages import AIMessage

from anabranch.agents.reply import Ending, ending, text_of, without_thoughts
from anabranch.errors import ReplyError

CALL: Any = {"name": "a", "args": {}, "id": "c"}


def reply(content: Any = "", reason: str | None = None, name: str = "finish_reason", **more: Any) -> AIMessage:
    return AIMessage(content, response_metadata={name: reason} if reason else {}, **more)


@pytest.mark.parametrize(
    ("message", "how"),
    [
        (reply("a", "stop"), "whole"),
        (reply("a"), "whole"),
        (reply("", "tool_calls", tool_calls=[CALL]), "whole"),
        (reply("a", "length"), "cut"),
        (reply("a", "max_tokens", "stop_reason"), "cut"),
        (reply("a", "MAX_TOKENS"), "cut"),
        (reply("", "length"), "cut"),
        (reply("a", "content_filter"), "refused"),
        (reply("a", "SAFETY"), "refused"),
        (reply("a", "refusal", "stop_reason"), "refused"),
        (reply("", additional_kwargs={"refusal": "no"}), "refused"),
        (reply([{"type": "refusal", "refusal": "no"}]), "refused"),
        (reply("a", "lengthlength"), "cut"),
        (reply("a", "stopstop"), "whole"),
        (reply("a", "eos_token"), "whole"),
        (reply(" "), "empty"),
        (reply([]), "empty"),
    ],
)
def test_how_a_reply_ended(message: AIMessage, how: Ending) -> None:
    assert ending(message) == how


def told(provider: str, **more: str) -> AIMessage:
    return AIMessage("a", response_metadata={"model_provider": provider, **more})


@pytest.mark.parametrize(
    ("message", "how"),
    [
        (told("openai"), "cut"),
        (told("anthropic"), "cut"),
        (told("openai", finish_reason="stop"), "whole"),
        (told("openai", status="completed"), "whole"),
        (told("openai", status="incomplete"), "cut"),
        (told("anthropic", stop_reason="end_turn"), "whole"),
        (AIMessage("a", response_metadata={"model_provider": "openai", "finish_reason": None}), "whole"),
        (told("mill"), "whole"),
    ],
)
def test_a_reply_without_the_reason_that_its_provider_gives_was_broken_off(message: AIMessage, how: Ending) -> None:
    assert ending(message) == how


def test_thoughts_are_moved_out_of_the_text() -> None:
    moved = without_thoughts(reply("<think>Hm.</think>Red", "stop"))
    assert (moved.text, moved.additional_kwargs["reasoning_content"]) == ("Red", "Hm.")
    plain = reply("1 < 2")
    assert without_thoughts(plain) is plain


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (reply(""), "reply was empty (ask again, or check the model)"),
        (reply("", "length"), "reply was empty (give it more tokens)"),
        (without_thoughts(reply("<think>Hm", "length")), "all of it was thoughts; give it more tokens"),
        (reply("", additional_kwargs={"refusal": "I cannot."}), "the solver refused: I cannot."),
        (reply("", "content_filter"), "the solver refused: a content filter stopped it"),
    ],
)
def test_a_reply_without_text_is_an_error_that_says_why(message: AIMessage, told: str) -> None:
    with pytest.raises(ReplyError) as caught:
        text_of(message, "solver")
    assert told in str(caught.value)


def test_a_reply_that_was_cut_has_its_text() -> None:
    assert text_of(reply(" a ", "length"), "solver") == "a"
