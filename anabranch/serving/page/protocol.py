"""What the page sends, and what the server tells of itself."""

from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, Field, StrictBool, model_validator

from anabranch.config import MAX_QUESTION_CHARS
from anabranch.serving.protocol import Body

THREAD_ID = r"^[A-Za-z0-9_-]{22,64}$"
ThreadId = Annotated[
    str,
    Header(alias="Anabranch-Thread", pattern=THREAD_ID, description="Made up by the client, at random."),
]
"""Whoever knows the id of a thread may read it and go on with it; in a header, so that it is in no log of addresses."""


class RunRequest(Body):
    """What is asked of a thread. Neither a question nor decisions: to go on with what was stopped.

    Attributes:
        question: a question.
        review: whether the person wants to see the plan for the question before it runs.
        decisions: on all that waits for one, by its id; see `PlanDecision` and `ActionDecision`.
    """

    question: str | None = Field(default=None, max_length=MAX_QUESTION_CHARS)
    review: StrictBool = False
    decisions: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "RunRequest":
        if self.question is not None and self.decisions is not None:
            raise ValueError("send a question or decisions, not both")
        return self


class ToolNote(BaseModel):
    """A tool as the page shows it."""

    name: str
    description: str
    acts: bool


class PageSettings(BaseModel):
    """What the page has to know of the server.

    Attributes:
        tools: the server's tools.
        uploads: name of the tool that searches documents which are dropped onto the page.
        suffixes: kinds of documents that can be read.
        max_document_bytes: largest document.
        max_documents: most documents of a thread.
        max_question_chars: longest question.
        max_sub_questions: most sub-questions of a plan.
        examples: questions to begin with.
        keeps_threads: whether threads outlive the server's process.
    """

    tools: list[ToolNote]
    uploads: str
    suffixes: list[str]
    max_document_bytes: int
    max_documents: int
    max_question_chars: int
    max_sub_questions: int
    examples: list[str]
    keeps_threads: bool
