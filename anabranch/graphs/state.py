"""The state of the planner graph, what goes in and what comes out."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from anabranch.errors import PlanError
from anabranch.graphs.channels import Stored
from anabranch.plan import Answer, Plan, Usage


class PlannerInput(TypedDict):
    """What `invoke` takes: the conversation. Its last human message is the question."""

    messages: Annotated[list[AnyMessage], add_messages]


class PlannerOutput(TypedDict):
    """What `invoke` returns.

    Attributes:
        messages: the conversation, with the answer as its last message.
        answer: the final answer.
        plan: all sub-questions that were asked; empty if the question was answered directly.
        answers: answers by sub-question id; empty if the plan only guided one solver call.
        usage: tokens and cost by role: `decomposer`, `solver`, `joiner`.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    answer: str
    plan: Annotated[Plan, Stored]
    answers: Annotated[dict[int, Answer], Stored]
    usage: Annotated[dict[str, Usage], Stored]


class PlannerState(PlannerOutput):
    """The whole state.

    Attributes:
        question: the question of this turn.
        rounds: plans that were drawn up to replace or extend an earlier one.
        feedback: why the next plan is asked for.
        started_at: when the question came in (seconds since the epoch).
    """

    question: str
    rounds: int
    feedback: str | None
    started_at: float


class PlanDecision(BaseModel):
    """A person's decision on a plan: the resume value of the review.

    Attributes:
        type: `approve` runs the plan, `edit` runs `plan` instead, `reject` ends without an answer, `respond`
            asks for a new plan that takes `message` into account.
        plan: the edited plan.
        message: what should be different, or why the plan was rejected.
    """

    model_config = ConfigDict(extra="forbid")

    type: Literal["approve", "edit", "reject", "respond"]
    plan: Plan | None = None
    message: str | None = None

    @field_validator("plan", mode="before")
    @classmethod
    def _plan_errors_are_bad_values(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        try:
            return Plan.model_validate(value)
        except PlanError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "edit" and self.plan is None:
            raise ValueError("edit needs the edited plan")
        if self.type == "respond" and not self.message:
            raise ValueError("respond needs a message that says what should be different")
        return self
