"""The state of the planner graph, what goes in and what comes out."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Self

from langchain_core.messages import AnyMessage, convert_to_messages
from langgraph.graph.message import add_messages
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema, core_schema

# Of the package and not of `typing`: on Python 3.11, pydantic makes JSON schemas of no other.
from typing_extensions import TypedDict, get_type_hints

from anabranch.agents.conversation import Turn
from anabranch.config import MAX_QUESTION_CHARS
from anabranch.errors import PlanError
from anabranch.graphs.actions import DECISION_WORDS, Action, spoken_decision
from anabranch.graphs.channels import Stored
from anabranch.plan import Answer, Plan, Source, Status, Usage


class Messages(list[AnyMessage]):
    """Messages in every form that LangChain takes: objects, dictionaries with `role` or `type`, pairs.

    A class and not an annotated list: `as_tool` drops annotations, and pydantic then fails on the union of messages.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a list of messages, into which all these forms are brought first."""
        return core_schema.no_info_before_validator_function(_as_messages, handler.generate_schema(list[AnyMessage]))


def _as_messages(value: Any) -> Any:
    return convert_to_messages(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


class PlannerInput(TypedDict):
    """What `invoke` takes: the conversation. Its last human message is the question."""

    messages: Annotated[Messages, add_messages]


class PlannerOutput(TypedDict):
    """What `invoke` returns.

    Attributes:
        messages: the conversation, with the answer as its last message.
        question: the question of this turn, as one that stands by itself.
        answer: the final answer.
        status: how the question ended; None while it has not.
        sources: the passages and tool results that the answer rests on.
        plan: all sub-questions that were asked; empty if the question was answered directly.
        answers: answers by sub-question id; empty if the plan only guided one solver call.
        usage: tokens and cost by role: `decomposer`, `solver`, `joiner`.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    question: str
    answer: str
    status: Status | None
    sources: Annotated[list[Source], Stored]
    plan: Annotated[Plan, Stored]
    answers: Annotated[dict[int, Answer], Stored]
    usage: Annotated[dict[str, Usage], Stored]


VERSION = 1
"""Of the state that checkpoints keep. It goes up when a run that another version has begun could not be finished."""


class PlannerState(PlannerOutput):
    """The whole state.

    Attributes:
        version: `VERSION` of the program that began the turn.
        asked: the user's own words of this turn.
        turn: what kind of message it is (see `anabranch/agents/conversation.py`).
        direct: whether the gate has it answered without a plan.
        rounds: plans that were drawn up to replace or extend an earlier one.
        begun: sub-questions that were asked before the last plan.
        feedback: why the next plan is asked for.
        started_at: when the question came in (seconds since the epoch), moved on by the time that a person took to
            decide on actions.
        actions: what waits for a person's decision, or has one, by sub-question id.
    """

    version: int
    asked: str
    turn: Turn
    direct: bool
    rounds: int
    begun: int
    feedback: str | None
    started_at: float
    actions: Annotated[dict[int, Action], Stored]


def with_keys_of(state: type[Any], schema: type[Any]) -> type[Any]:
    """A schema with the keys that somebody's own state has besides the planner's; they may be left out.

    Args:
        state: `PlannerState`, or a type with more keys.
        schema: what goes into the planner, or what comes out.
    """
    hints, own = get_type_hints(state, include_extras=True), get_type_hints(PlannerState)
    more = {key: hint for key, hint in hints.items() if key not in own}
    if not more:
        return schema
    keys = get_type_hints(schema, include_extras=True) | {key: NotRequired[hint] for key, hint in more.items()}
    make: Any = TypedDict  # mypy knows it only with names that are written out
    extended = make(schema.__name__, keys)
    extended.__doc__ = schema.__doc__
    made: type[Any] = extended
    return made


class PlanDecision(BaseModel):
    """A person's decision on a plan: the resume value of the review.

    It is read in other forms too: a bare `"approve"` or `"reject"` (also yes, no, ok, True, False); any other text,
    which asks for a new plan that takes it into account; and the form of LangChain's human-in-the-loop middleware,
    `{"decisions": [{"type": "approve"}]}`, where `edited_action` has the plan as its arguments.

    Attributes:
        type: `approve` runs the plan, `edit` runs `plan` instead, `reject` ends without an answer, `respond`
            asks for a new plan that takes `message` into account.
        plan: the edited plan.
        message: what should be different, or why the plan was rejected.
    """

    model_config = ConfigDict(extra="forbid")

    type: Literal["approve", "edit", "reject", "respond"]
    plan: Plan | None = None
    message: str | None = Field(default=None, max_length=MAX_QUESTION_CHARS)

    @model_validator(mode="before")
    @classmethod
    def _in_other_forms(cls, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and value.strip(" .!\n").lower() not in DECISION_WORDS:
            return {"type": "respond", "message": value.strip()}
        if isinstance(value, Mapping) and set(value) == {"decisions"}:
            value = value["decisions"]
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        decision = spoken_decision(value)
        if not isinstance(decision, dict):
            return decision
        if isinstance(action := decision.pop("edited_action", None), Mapping):
            arguments = action.get("args")
            decision["plan"] = arguments.get("plan", arguments) if isinstance(arguments, Mapping) else arguments
        return decision

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
