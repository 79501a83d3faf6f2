"""The bodies of requests and replies. Fields that are not named here are ignored, as OpenAI-compatible servers do.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_serializer,
    model_validator,
)

from anabranch.config import MAX_QUESTION_CHARS
from anabranch.options import PlanningMode
from anabranch.plan import SOLVE, Plan, Route, Usage
from anabranch.plan import Text as PlanText
from anabranch.serving.formats import ResponseFormat
from anabranch.serving.function_tool import FunctionTool
from anabranch.serving.image_parts import ImagePart
from anabranch.serving.tool_choice import ChatToolChoice

MODEL = "anabranch"
"""The model name behind which the planner answers."""
MAX_TOOLS = 128
MAX_MESSAGES = 2_048
MAX_PARTS = 1_000
MAX_SUB_QUESTIONS = 32
MAX_ASKED = 256
MAX_DEPTH = 64

MAX_ID = 999_999

MAX_STOPS = 4

StopSequence = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
QuestionId = Annotated[StrictInt, Field(ge=1, le=MAX_ID)]


class Body(BaseModel):
    """The body of a request: not nested more deeply than anybody needs, and of texts that can be written as UTF-8."""

    @model_validator(mode="before")
    @classmethod
    def _sane(cls, data: Any) -> Any:
        level = [data] if isinstance(data, dict) else []
        for _ in range(MAX_DEPTH):
            level = [item for value in level for item in _items(value)]
        if level:
            raise ValueError(f"the body is nested more than {MAX_DEPTH} levels deep; make it flatter")
        return data


def _items(value: Any) -> Iterable[Any]:
    """What is inside a JSON value; JSON may hold halves of characters, which nothing behind this could write."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError("a text has half a surrogate pair, which is no character; check its encoding") from error
    return value if isinstance(value, list) else ()


class TextPart(BaseModel):
    """A piece of text."""

    type: Literal["text"]
    text: str


class RefusalPart(BaseModel):
    """An assistant's refusal, kept as text."""

    type: Literal["refusal"]
    refusal: str


UserPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Text = str | Annotated[list[TextPart], Field(max_length=MAX_PARTS)]


class SystemTurn(BaseModel):
    """Instructions."""

    role: Literal["system", "developer"]
    content: Text


class UserTurn(BaseModel):
    """What the user says, in words and images. The last one is the question."""

    role: Literal["user"]
    content: str | Annotated[list[UserPart], Field(max_length=MAX_PARTS)]


class FunctionCall(BaseModel):
    """The function of a tool call; `arguments` is JSON as text."""

    name: str
    arguments: str = "{}"


class ToolCall(BaseModel):
    """A tool call that the client runs."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: FunctionCall


class AssistantTurn(BaseModel):
    """An earlier reply. The ids of `tool_calls` are those that were sent: under them, the server keeps the plan."""

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart | RefusalPart], Field(max_length=MAX_PARTS)] | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_PARTS)] | None = None


class ToolTurn(BaseModel):
    """The result of a tool call."""

    role: Literal["tool"]
    tool_call_id: str
    content: Text


Turn = Annotated[SystemTurn | UserTurn | AssistantTurn | ToolTurn, Field(discriminator="role")]


class Tool(BaseModel):
    """A tool of the client."""

    type: Literal["function"]
    function: FunctionTool


class StreamOptions(BaseModel):
    """Options of a streamed reply."""

    include_usage: StrictBool | None = None


class Extras(BaseModel):
    """What only this server has, under a field of its own.

    Attributes:
        include_plan: adds the status, the sources, the plan, the answers and the usage by role to the reply; in a
            stream, adds events of the types `plan`, `sub_question` and `replan` to chunks that are otherwise empty,
            and the solver's reasoning as `reasoning_content` of the delta.
    """

    include_plan: StrictBool = False


class ChatRequest(Body):
    """The body of `POST /v1/chat/completions`.

    `max_completion_tokens`, or `max_tokens` where it is not there, limits the calls that write the final answer; those
    before it have the server's own limit. The answer ends before a `stop` sequence. A `seed` is passed to a solver that
    takes one. Other sampling options (`temperature` and the like) are the business of the
    models behind the planner and ignored. What would be misleading to ignore is refused: several choices. A
    `tool_choice` that forces a call counts where a question is new; a plan that goes on with results may end. With a
    `response_format`, the answer is checked before it is shown, so a stream has it in one piece.
    """

    model: str = Field(json_schema_extra={"enum": [MODEL]})
    messages: Annotated[list[Turn], FailFast()] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    stop: StopSequence | Annotated[list[StopSequence], Field(max_length=MAX_STOPS)] | None = None
    seed: StrictInt | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    max_tokens: StrictInt | None = Field(default=None, ge=1)
    max_completion_tokens: StrictInt | None = Field(default=None, ge=1)
    tools: list[Tool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: ChatToolChoice | None = None
    parallel_tool_calls: StrictBool | None = None
    response_format: ResponseFormat | None = None
    anabranch: Extras | None = None

    @model_validator(mode="after")
    def _json_is_whole(self) -> "ChatRequest":
        if self.stop and self.response_format and self.response_format.type != "text":
            raise ValueError("stop would cut the JSON that response_format asks for; leave one of them out")
        return self


class PromptTokensDetails(BaseModel):
    """Of the tokens read, those that came out of a cache."""

    cached_tokens: int


class CompletionTokensDetails(BaseModel):
    """Of the tokens written, those that were reasoning."""

    reasoning_tokens: int


class TokenUsage(BaseModel):
    """Tokens, summed over decomposer, solver and joiner. What no model's server tells is left out."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    @model_serializer(mode="wrap")
    def _told(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def] # a type would be its schema
        return {name: value for name, value in handler(self).items() if value is not None}

    @classmethod
    def of(cls, usage: Usage) -> "TokenUsage":
        """The same in OpenAI's words."""
        cached = None if usage.cached_tokens is None else PromptTokensDetails(cached_tokens=usage.cached_tokens)
        told = usage.reasoning_tokens
        reasoning = None if told is None else CompletionTokensDetails(reasoning_tokens=told)
        return cls(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            prompt_tokens_details=cached,
            completion_tokens_details=reasoning,
        )


class AssistantMessage(BaseModel):
    """A reply."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


class Choice(BaseModel):
    """The one choice of a reply."""

    index: int = 0
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: None = None


class ChatCompletion(BaseModel):
    """The reply to a chat request; `anabranch` is there if it was asked for."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = MODEL
    choices: list[Choice]
    usage: TokenUsage
    anabranch: dict[str, Any] | None = None


class ModelCard(BaseModel):
    """A model that is served."""

    id: str = MODEL
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "anabranch"


class ModelList(BaseModel):
    """The reply of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class AskedQuestion(BaseModel):
    """A sub-question that was asked before."""

    model_config = ConfigDict(extra="forbid")

    id: QuestionId
    text: PlanText
    route: Route = SOLVE
    depends_on: Annotated[list[QuestionId], FailFast()] = Field(default=[], max_length=MAX_ASKED)


class KnownAnswer(BaseModel):
    """The answer to a sub-question that was asked before, or why there is none."""

    id: QuestionId
    text: str = ""
    status: Literal["done", "failed"] = "done"
    error: str | None = None


class PlansRequest(Body):
    """The body of `POST /v1/plans`.

    Attributes:
        question: the question to split.
        tools: the tools that sub-questions may be routed to; the server's own where nothing is said.
        mode: `static` for the whole plan, `dynamic` for the next sub-questions; the server's where nothing is said.
        max_sub_questions: most sub-questions to add.
        asked: sub-questions asked before; new ones are added to them.
        answers: the answers to those.
        feedback: why an earlier plan would not do.
        stream: send each sub-question as a server-sent event as soon as it is written.
    """

    question: str = Field(json_schema_extra={"minLength": 1, "maxLength": MAX_QUESTION_CHARS})
    tools: list[FunctionTool] | None = Field(default=None, max_length=MAX_TOOLS)
    mode: PlanningMode | None = None
    max_sub_questions: StrictInt | None = Field(default=None, ge=1, le=MAX_SUB_QUESTIONS)
    asked: Annotated[list[AskedQuestion], FailFast()] = Field(default=[], max_length=MAX_ASKED)
    answers: Annotated[list[KnownAnswer], FailFast()] = Field(default=[], max_length=MAX_ASKED)
    feedback: str | None = Field(default=None, max_length=2_000)
    stream: StrictBool = False


class PlanReply(BaseModel):
    """A plan: all sub-questions, and which of them are `new`. None at all: answer directly.

    Attributes:
        lines: the plan as text, one sub-question a line.
        problems: who planned instead of a decomposer that is away; what was wrong with drafts that were thrown away.
    """

    id: str
    object: Literal["plan"] = "plan"
    created: int
    plan: Plan
    new: list[int]
    lines: str
    problems: list[str]
    usage: TokenUsage


class ErrorDetail(BaseModel):
    """What went wrong, in OpenAI's form."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorReply(BaseModel):
    """The body of every reply with a status of 400 and above."""

    error: ErrorDetail


class Health(BaseModel):
    """Whether the server can answer, and how its models are, by role: `ready`, `away` or `unknown`."""

    status: Literal["ok", "unready"]
    models: dict[str, str]
