from typing import Any

import pytest
from langchain_core.messages import AIMessage

from anabranch.cli.outcome import MAX_LABELS, Outcome
from anabranch.plan import Answer, Plan, Source, Status, Usage

FAILED = {1: Answer(id=1, status="failed", error="out of order")}


def ended(status: Status, finish_reason: str = "stop", answers: dict[int, Answer] | None = None) -> Outcome:
    message = AIMessage("a", response_metadata={"finish_reason": finish_reason})
    state: dict[str, Any] = {
        "answer": "a",
        "status": status,
        "sources": [],
        "plan": Plan(),
        "answers": answers or {},
        "usage": {},
    }
    return Outcome.of("q", {**state, "messages": [message]}, 1.0)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (ended("answered", answers=FAILED), ""),
        (
            ended("partial", "length"),
            "partial: something is missing from this answer (it was cut off)",
        ),
        (ended("failed", answers=FAILED), "failed: there is no answer (sub-question 1 failed: out of order)"),
        (ended("refused", "content_filter"), "refused: the model would not answer"),
        (Outcome("q", "a", usage={"solver": Usage()}), ""),
    ],
)
def test_what_an_answer_lacks(outcome: Outcome, line: str) -> None:
    assert outcome.status_line() == line


def test_sources_are_named_once_and_not_endlessly() -> None:
    places = [Source(sub_question=1, tool="search", source=f"{n}.md", page=n) for n in range(MAX_LABELS + 2)]
    line = Outcome("q", "a", sources=[*places, places[0]]).sources_line()
    assert line.startswith("Sources: 0.md, page 0 · 1.md, page 1 · ")
    assert line.endswith(" · 2 more")
    assert Outcome("q", "a", sources=[Source(sub_question=1, tool="calculator")]).sources_line() == ""
