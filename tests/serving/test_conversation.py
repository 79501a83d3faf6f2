"""What stands behind tool calls is read from the server's store, and nothing else."""

from typing import Any

import pytest

from anabranch.errors import ConfigurationError, UnknownToolCallError
from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.serving.conversation import Conversation
from anabranch.serving.protocol import ChatRequest
from anabranch.serving.tool_turns import Carried, ToolTurns, call_id

PLAN = Plan(
    sub_questions=(SubQuestion(id=1, text="Warm?", route="weather"), SubQuestion(id=2, text="Far?", route="map"))
)
CARRIED = Carried(plan=PLAN, answers={3: Answer(id=3, text="x")})


def request(calls: list[tuple[str, str]], results: list[str], *, content: Any = None) -> ChatRequest:
    """A question, tool calls (id and name), and results of calls."""
    asked = [{"id": id_, "type": "function", "function": {"name": name, "arguments": "{}"}} for id_, name in calls]
    messages: list[Any] = [{"role": "user", "content": "Why?"}]
    messages.append({"role": "assistant", "content": content, "tool_calls": asked})
    messages += [{"role": "tool", "tool_call_id": id_, "content": f"result of {id_}"} for id_ in results]
    return ChatRequest.model_validate({"model": "anabranch", "messages": messages})


async def test_results_in_any_order_find_their_sub_questions() -> None:
    turns = ToolTurns()
    key = await turns.keep(CARRIED)
    one, two = call_id(1, key), call_id(2, key)
    for content in (None, "", "I look it up.", 'Plan:\n1 [solve] x\nState: {"answers": {}}'):
        asked = request([(one, "weather"), (two, "map")], [two, one], content=content)
        found = await Conversation.of(asked.messages, turns)
        assert found.carried == CARRIED
        assert found.results == {1: f"result of {one}", 2: f"result of {two}"}


async def test_calls_that_a_client_left_out_of_its_message_stay_open() -> None:
    turns = ToolTurns()
    one = call_id(1, await turns.keep(CARRIED))
    found = await Conversation.of(request([(one, "weather")], [one]).messages, turns)
    assert (found.carried, dict(found.results)) == (CARRIED, {1: f"result of {one}"})


@pytest.mark.parametrize(
    "wrong", ["missing", "twice", "extra", "name", "another plan", "no such sub-question", "foreign"]
)
async def test_what_does_not_fit_together_is_refused(wrong: str) -> None:
    turns = ToolTurns()
    key, other = await turns.keep(CARRIED), await turns.keep(CARRIED)
    one, two = call_id(1, key), call_id(2, key)
    calls, results = [(one, "weather"), (two, "map")], [one, two]
    if wrong == "missing":
        results = [one]
    elif wrong in ("twice", "extra"):
        results.append(one if wrong == "twice" else "call_9")
    elif wrong == "name":
        calls[1] = (two, "weather")
    else:
        strange = {"another plan": call_id(2, other), "no such sub-question": call_id(7, key), "foreign": "call_abc"}
        calls[1], results[1] = (strange[wrong], "map"), strange[wrong]
    with pytest.raises(ConfigurationError):
        await Conversation.of(request(calls, results).messages, turns)


async def test_an_unknown_plan_is_told_with_what_to_do() -> None:
    one = call_id(1, await ToolTurns().keep(CARRIED))
    with pytest.raises(UnknownToolCallError, match=r"60 minutes.*send the messages up to the user's last one again"):
        await Conversation.of(request([(one, "weather")], [one]).messages, ToolTurns())
