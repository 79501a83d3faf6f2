import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.agents.final_answer import HELD_CHARS, AnswerStream, Delta, Reading, read, rest_of

CODE = "Use a loop:\n\n```python\nfor n in range(3):\n    print(n)  # Answer: n\n```\n\n- one\n- two"
LONG = "It is a long story. " * 15


def told(reply: str, reading: Reading, *, tools: bool = False, calls_tools: bool = False) -> tuple[list[str], str]:
    """What is streamed of a reply that comes in small pieces: the answer in pieces, and the reasoning."""
    stream, pieces, reasoning = AnswerStream(reading, tools=tools), list[str](), ""
    for start in range(0, len(reply), 3):
        delta = stream.take(reply[start : start + 3])
        pieces += [delta.content] if delta.content else []
        reasoning += delta.reasoning
    rest, _ = stream.end(calls_tools=calls_tools)
    return [*pieces, rest.content] if rest.content else pieces, reasoning


@pytest.mark.parametrize(
    ("reading", "reply", "answer", "working"),
    [
        ("whole", CODE, CODE, ""),
        ("whole", "Answer: 42", "42", ""),
        ("whole", "**Final answer:** It is 42.\n\nBecause.", "It is 42.\n\nBecause.", ""),
        ("whole", "First guess.\nAnswer: Bo", "First guess.\nAnswer: Bo", ""),
        ("whole", "**Ida Brask**", "Ida Brask", ""),
        ("whole", "**Answer: Ida Brask**", "Ida Brask", ""),
        ("whole", "**Answer: Ida** did it.", "**Ida** did it.", ""),
        ("whole", "**Ida** did it.", "**Ida** did it.", ""),
        ("whole", "Answer:", "Answer:", ""),
        ("marked", "So.\nFinal answer:\n" + CODE, CODE, "So."),
        ("marked", "So.\nAnswer: Bo\n\nNo.\nAnswer: Ida", "Ida", "So.\nAnswer: Bo\n\nNo."),
        ("marked", "So.\nFinal answer: Bo\nAnswer: Ida", "Bo\nAnswer: Ida", "So."),
        ("marked", "So.\n\n### Final answer\n\n42", "42", "So."),
        ("marked", "The final answer is 42", "The final answer is 42", ""),
        ("marked", CODE, CODE, ""),
        ("marked", "```\nFinal answer: 3\n```\nFinal answer: 4", "4", "```\nFinal answer: 3\n```"),
        ("joined", LONG, LONG.strip(), ""),
        ("joined", "REPLAN: the date is missing", "", "REPLAN: the date is missing"),
        ("joined", "Not enough.\n**REPLAN:** the date", "", "Not enough.\n**REPLAN:** the date"),
        ("joined", f"{LONG}\n\nREPLAN: more", LONG.strip(), f"{LONG}\n\nREPLAN: more"),
        ("joined", "Both say so.\n**Answer:** 4", "4", "Both say so."),
        ("joined", "Why?\nAnswer: so.\nWho?\nAnswer: he.", "Why?\nAnswer: so.\nWho?\nAnswer: he.", ""),
        ("joined", "Replanting takes a day.", "Replanting takes a day.", ""),
        ("short", "So.\nAnswer: **42**", "42", "So.\nAnswer: **42**"),
        ("short", "42", "42", ""),
    ],
)
def test_a_reply_is_taken_apart(reading: Reading, reply: str, answer: str, working: str) -> None:
    found = read(reply, reading)
    assert (found.answer, found.working) == (answer, working)
    assert "".join(told(reply, reading)[0]) == answer


THOUGHT = "<think>\nAnswer: no. <b>\n</think>\n\n"


@pytest.mark.parametrize("reading", ["whole", "marked", "joined", "short"])
@pytest.mark.parametrize(
    "reply", [f"{THOUGHT}Answer: it is 42", f"Answer: {THOUGHT}it is 42", f"Answer: it is\n{THOUGHT}\n42"]
)
def test_thoughts_are_no_part_of_the_answer(reply: str, reading: Reading) -> None:
    pieces, _ = told(reply, reading)
    assert "".join(pieces).split() == ["it", "is", "42"]
    assert "".join(pieces) == read(reply, reading).answer


def test_thoughts_come_as_reasoning_while_they_are_thought() -> None:
    stream = AnswerStream("whole")
    deltas = [stream.take(word) for word in ("<th", "ink>", "One", " two", "\n</th", "ink>", "\n\nIt", " is <", "5.")]
    assert [delta.reasoning for delta in deltas] == ["", "", "One", " two", "", "", "", "", ""]
    assert [delta.content for delta in deltas] == ["", "", "", "", "", "", "It", " is", " <5."]


def test_a_direct_answer_is_streamed_from_its_first_word() -> None:
    stream = AnswerStream("whole")
    assert [stream.take(word).content for word in ("Paris", " is", " the", " capital")] == [
        "Paris",
        " is",
        " the",
        " capital",
    ]


def test_words_that_may_become_a_mark_wait_for_the_next() -> None:
    stream = AnswerStream("whole")
    assert [stream.take(word).content for word in ("The", " ans", "wer", " lies", " here")] == [
        "",
        "",
        "",
        "The answer lies",
        " here",
    ]


def test_after_final_answer_words_come_as_they_are_written() -> None:
    stream = AnswerStream("marked")
    words = ["So", ".\n", "Final answer:", "\nIt", " is", " 42"]
    assert [stream.take(word).content for word in words] == ["", "", "", "It", " is", " 42"]


def test_a_thought_without_a_beginning_is_followed_by_the_answer() -> None:
    """The first time: streamed before it could be told. Known of a model, it is waited for."""
    reply = "Let me see.\n</think>\nIt is 42"
    assert read(reply, "whole").unopened
    assert "".join(told(reply, "whole")[0]).endswith("\n\nIt is 42")
    stream = AnswerStream("whole", thinks=True)
    shown = [stream.take(word).content for word in ("Let me", " see.", "\n</think>", "\nIt", " is 42")]
    assert shown == ["", "", "", "It", " is 42"]


def test_a_few_words_before_a_tool_call_are_no_answer() -> None:
    few = "I will calculate that."
    assert told(few, "whole", tools=True, calls_tools=True)[0] == []
    assert told(few, "whole", tools=True)[0] == [few]
    assert "".join(told(LONG, "whole", tools=True, calls_tools=True)[0]) == f"{LONG.strip()}\n\n"
    assert told("So.\nFinal answer: 4", "marked", tools=True, calls_tools=True)[0] == []


PIECES = st.sampled_from(
    """
    Answer:|answer|**Answer:**|Final answer:|### Final answer|The final| |x|42|**|*|\\boxed{3}|:|：|שלום
    |<think>|</think>|<|</|th|REPLAN:|RE|PLAN|replan|```|~~~|-|---|<b>|_|The|So
    """.replace("\n    ", "").split("|")
) | st.sampled_from(["\n", "\n\n", "  "])
READINGS: list[Reading] = ["short", "whole", "marked", "joined"]


@given(
    st.lists(PIECES | st.just("y" * HELD_CHARS), min_size=1, max_size=16),
    st.sampled_from(READINGS),
    st.booleans(),
    st.booleans(),
)
def test_what_is_streamed_is_the_answer(pieces: list[str], reading: Reading, tools: bool, calls: bool) -> None:
    calls_tools = tools and calls
    stream, sent = AnswerStream(reading, tools=tools), ""
    for piece in pieces:
        delta = stream.take(piece)
        assert isinstance(delta, Delta)
        sent += delta.content
    rest, reply = stream.end(calls_tools=calls_tools)
    if not reply.unopened:
        assert sent + rest.content == reply.answer == read("".join(pieces), reading, calls_tools=calls_tools).answer


@pytest.mark.parametrize("reply", [":<think>So.</think>\nParis", "\n: <think>So.</think>Paris"])
def test_thoughts_after_a_colon_alone_are_not_streamed(reply: str) -> None:
    for size in range(1, 8):
        stream = AnswerStream("whole")
        shown = "".join(stream.take(reply[place : place + size]).content for place in range(0, len(reply), size))
        delta, whole = stream.end()
        assert shown + delta.content == whole.answer
        assert "So." not in shown


@pytest.mark.parametrize(
    ("answer", "sent", "rest"),
    [("42", "", "42"), ("42 km", "42", " km"), ("42", "42", ""), ("42", "Hm. 42", ""), ("42", "Hm.", "\n\n42")],
)
def test_what_is_missing(answer: str, sent: str, rest: str) -> None:
    assert rest_of(answer, sent) == rest
