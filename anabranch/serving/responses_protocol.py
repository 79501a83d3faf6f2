"""The bodies of `/v1/responses`. Fields that are not named here are ignored, as OpenAI-compatible servers do.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, FailFast, Field, StrictBool, StrictInt, Tag
from typing_extensions import TypeAliasType

from anabranch.serving.formats import NamedSchema, ObjectFormat, TextFormat
from anabranch.serving.function_tool import FunctionTool
from anabranch.serving.image_parts import InputImage
from anabranch.serving.protocol import MAX_MESSAGES, MAX_PARTS, MAX_TOOLS, MODEL, Body, Extras
from anabranch.serving.tool_choice import ResponsesToolChoice

MAX_METADATA = 16


class InputText(BaseModel):
    """A piece of text of somebody's message."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class InputRefusal(BaseModel):
    """An assistant's refusal, kept as text."""

    type: Literal["refusal"]
    refusal: str


InputPart = Annotated[InputText | InputRefusal | InputImage, Field(discriminator="type")]
InputParts = Annotated[list[InputPart], Field(max_length=MAX_PARTS)]


class InputMessage(BaseModel):
    """What somebody said."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | InputParts


class InputCall(BaseModel):
    """A call that the client was asked to make. `call_id` is the one that was sent: under it, the plan is kept."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1)
    name: str
    arguments: str = "{}"


class InputResult(BaseModel):
    """The result of a call."""

    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1)
    output: str | Annotated[list[InputText], Field(max_length=MAX_PARTS)]


class InputReference(BaseModel):
    """An item of an earlier response, by its id."""

    type: Literal["item_reference"]
    id: str = Field(min_length=1)


class InputReasoning(BaseModel):
    """A model's reasoning from an earlier response; it is not read."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str:
    given = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return "message" if given is None else str(given)


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[InputCall, Tag("function_call")]
    | Annotated[InputResult, Tag("function_call_output")]
    | Annotated[InputReference, Tag("item_reference")]
    | Annotated[InputReasoning, Tag("reasoning")],
    Discriminator(_kind),
]


# A type of its own: an annotation that fails fast cannot be a part of a union.
InputItems = TypeAliasType(
    "InputItems", Annotated[list[InputItem], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES)]
)


class ResponsesTool(FunctionTool):
    """A function that the client can run. Other tools of OpenAI's, such as web search, are not to be had here."""

    type: Literal["function"]
    strict: StrictBool | None = None


class NamedFormat(NamedSchema):
    """The answer as JSON that satisfies a schema, as responses name it."""

    type: Literal["json_schema"]


class TextOptions(BaseModel):
    """The form of the answer."""

    format: Annotated[TextFormat | ObjectFormat | NamedFormat, Field(discriminator="type")] | None = None


class ResponsesRequest(Body):
    """The body of `POST /v1/responses`.

    Attributes:
        instructions: what goes before the conversation, for this response alone.
        previous_response_id: the response that this one goes on from.
        store: whether the response is kept, so that others can go on from it. A plan that waits for the results of
            tool calls is kept in any case.
        max_output_tokens: limits the calls that write the final answer.
    """

    model: str = Field(json_schema_extra={"enum": [MODEL]})
    input: str | InputItems
    instructions: str | None = None
    previous_response_id: str | None = None
    store: StrictBool | None = None
    stream: StrictBool | None = None
    tools: list[ResponsesTool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: ResponsesToolChoice | None = None
    parallel_tool_calls: StrictBool | None = None
    max_output_tokens: StrictInt | None = Field(default=None, ge=1)
    text: TextOptions | None = None
    metadata: Annotated[dict[str, str], Field(max_length=MAX_METADATA)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    background: Literal[False] | None = None
    conversation: None = None
    prompt: None = None
    anabranch: Extras | None = None


class ResponsesUsage(BaseModel):
    """Tokens, summed over decomposer, solver and joiner."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseReply(BaseModel):
    """A response, as `POST` and `GET` give it; `anabranch` is there if it was asked for."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "in_progress", "failed"]
    error: dict[str, Any] | None
    incomplete_details: dict[str, str] | None
    model: str
    output: list[dict[str, Any]]
    usage: ResponsesUsage | None
    anabranch: dict[str, Any] | None = None


class DeletedResponse(BaseModel):
    """The reply of `DELETE /v1/responses/{id}`."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True
