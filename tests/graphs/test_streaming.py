"""What `stream_mode="messages"` gives is the answer, and no more."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool

from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, reader

CODE = "Use this:\n\n```python\nprint(1)\n```\n\n- one\n- two"
THOUGHT = "<think>He was\nborn when?</think>\n\n"
GUIDE = plan_json(("solve", "a?", []))


def joined(*replies: str) -> Any:
    left = list(replies)

    def script(prompt: str) -> Reply:
        return left.pop(0) if "Sub-questions and their answers:" in prompt else reader(prompt)

    return ScriptedChatModel(script=script, word_delay=0.0)


def answering(reply: str) -> ScriptedChatModel:
    return ScriptedChatModel(script=lambda _: reply, word_delay=0.0)


CASES: dict[str, tuple[list[str], Callable[[], ScriptedChatModel], str]] = {
    "direct": ([plan_json()], lambda: answering(CODE), CODE),
    "thoughts": ([plan_json()], lambda: answering(THOUGHT + CODE), CODE),
    "marked": ([plan_json()], lambda: answering("Answer: **Bo**"), "Bo"),
    "two marks": ([GUIDE], lambda: answering("So.\nAnswer: Bo\n\nNo.\nAnswer: Ida"), "Ida"),
    "guided": ([GUIDE], lambda: answering(f"So.\n\nFinal answer:\n\n{CODE}"), CODE),
    "no mark": ([GUIDE], lambda: answering(CODE), CODE),
    "joined": ([CRAIGSLIST], lambda: joined(THOUGHT + CODE), CODE),
    "a new plan": (
        [CRAIGSLIST, plan_json(("search", "When was Craig Newmark born?", []), first_id=3)],
        lambda: joined("Hm.\n**REPLAN:** the year", "In **1952**"),
        "In **1952**",
    ),
    "a new plan that may not be": ([CRAIGSLIST], lambda: joined("REPLAN: the year", "REPLAN: the year"), "1952"),
    "nothing": ([CRAIGSLIST], lambda: joined(THOUGHT), "1952"),
}


def text_of(messages: list[Any]) -> str:
    return "".join(message.text for message, _ in messages)


@pytest.mark.parametrize("case", CASES)
async def test_the_stream_is_the_answer(case: str) -> None:
    plans, solver, answer = CASES[case]
    options: dict[str, Any] = {"max_replans": 0} if case == "a new plan that may not be" else {}

    def made() -> Any:
        return planner(list(plans), solver(), **options)

    assert (await made().ainvoke(ask()))["answer"] == answer
    assert text_of([part async for part in made().astream(ask(), stream_mode="messages")]) == answer
    assert text_of(list(made().stream(ask(), stream_mode="messages"))) == answer
    parts = [part async for part in made().astream(ask(), stream_mode=["messages"], version="v2")]
    assert text_of([part["data"] for part in parts]) == answer


async def test_a_direct_answer_comes_word_by_word() -> None:
    parts: Any = planner([plan_json()], answering("It is a fine day"), []).astream(ask(), stream_mode="messages")
    assert [chunk.text async for chunk, _ in parts if chunk.text] == ["It", " is", " a", " fine", " day"]


class Named(ScriptedChatModel):
    """Says its name at the end of a stream, without which LangChain counts no usage."""

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
        yield ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata={"model_name": "m"}))


def test_usage_is_counted_once_where_it_is_streamed() -> None:
    graph = planner([plan_json()], Named(script=lambda _: "It is a fine day", word_delay=0.0), [])
    handler, states = UsageMetadataCallbackHandler(), list[Any]()
    with get_usage_metadata_callback() as counted:
        for mode, part in graph.stream(ask(), {"callbacks": [handler]}, stream_mode=["messages", "values"]):
            states += [part] if mode == "values" else []
    solver = states[-1]["usage"]["solver"]
    assert solver.calls == 1
    for usage in (counted.usage_metadata["m"], handler.usage_metadata["m"]):
        assert (usage["input_tokens"], usage["output_tokens"]) == (solver.input_tokens, solver.output_tokens)


async def test_words_before_a_tool_call_are_not_shown() -> None:
    @tool
    def calculator(expression: str) -> str:
        """Computes."""
        return "84"

    call: Any = {"name": "calculator", "args": {"expression": "12*7"}, "id": "c1", "type": "tool_call"}
    for stream in (True, False):
        script: list[Reply] = [AIMessage("I will calculate that.", tool_calls=[call]), "It is **84**, as asked."]
        chat = ScriptedChatModel(script=script, profile={"tool_calling": True})
        graph: Any = planner([plan_json()], chat, [calculator], gate="always")
        if stream:
            parts = [part async for part in graph.astream(ask(), stream_mode="messages")]
            assert text_of(parts) == "It is **84**, as asked."
        else:
            assert (await graph.ainvoke(ask()))["answer"] == "It is **84**, as asked."
        assert "I will calculate that." in chat.prompts[-1]


async def test_a_refusal_is_told_in_the_stream_too() -> None:
    refusal = AIMessage("", additional_kwargs={"refusal": "I cannot help with that."})
    made = [planner([plan_json()], ScriptedChatModel(script=[refusal]), []) for _ in range(2)]
    assert (await made[0].ainvoke(ask()))["answer"] == "I cannot help with that."
    assert text_of([p async for p in made[1].astream(ask(), stream_mode="messages")]) == "I cannot help with that."


async def test_sub_questions_are_events_as_they_are_written_in_runs_that_want_it() -> None:
    def made() -> Any:
        return planner(ScriptedChatModel(script=[CRAIGSLIST], word_delay=0.0))

    config: Any = {"configurable": {"stream_drafts": True}}
    events = [event async for event in made().astream(ask(), config, stream_mode="custom")]
    drafts = [[q["text"] for q in event["sub_questions"]] for event in events if event["type"] == "draft"]
    assert drafts == [["Who founded Craigslist?"], ["Who founded Craigslist?", "When was {1} born?"]]
    assert [event["type"] for event in events[:3]] == ["draft", "draft", "plan"]
    assert [event["type"] for event in made().stream(ask(), config, stream_mode="custom")][:3] == [
        "draft",
        "draft",
        "plan",
    ]
    assert "draft" not in {event["type"] async for event in made().astream(ask(), stream_mode="custom")}
