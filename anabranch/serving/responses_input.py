"""What a request for a response says, as turns of a conversation."""

from collections.abc import Sequence

from anabranch.errors import ConfigurationError
from anabranch.serving.image_parts import ImagePart, InputImage
from anabranch.serving.protocol import (
    MAX_MESSAGES,
    AssistantTurn,
    FunctionCall,
    RefusalPart,
    SystemTurn,
    TextPart,
    ToolCall,
    ToolTurn,
    Turn,
    UserTurn,
)
from anabranch.serving.responses_kept import KeptResponses
from anabranch.serving.responses_protocol import (
    InputCall,
    InputItem,
    InputMessage,
    InputPart,
    InputReference,
    InputRefusal,
    InputResult,
    InputText,
    ResponsesRequest,
)
from anabranch.serving.tool_turns import read_call_id


async def turns_of(body: ResponsesRequest, kept: KeptResponses) -> tuple[list[Turn], list[Turn]]:
    """What was said before, and what this request says; the instructions, which hold for it alone, are in neither.

    Raises:
        UnknownResponseError: it goes on from what is not kept.
        ConfigurationError: the conversation has too many turns.
        BackendError: what keeps responses is away.
    """
    before = await kept.conversation(body.previous_response_id) if body.previous_response_id else []
    given: list[Turn] = []
    if isinstance(body.input, str):
        given.append(UserTurn(role="user", content=body.input))
    else:
        for item in body.input:
            await _add(given, item, kept)
    if len(before) + len(given) > MAX_MESSAGES:
        raise ConfigurationError(f"the conversation has more than {MAX_MESSAGES:,} turns; begin another one")
    return before, given


async def _add(turns: list[Turn], item: InputItem, kept: KeptResponses) -> None:
    if isinstance(item, InputMessage):
        turns.append(_message(item))
    elif isinstance(item, InputCall):
        call = ToolCall(id=item.call_id, function=FunctionCall(name=item.name, arguments=item.arguments))
        _add_call(turns, call)
    elif isinstance(item, InputResult):
        turns.append(ToolTurn(role="tool", tool_call_id=item.call_id, content=_text_of(item.output)))
    elif isinstance(item, InputReference):
        output = await kept.output_of(item.id)
        for call in output.tool_calls or []:
            _add_call(turns, call)
        if not output.tool_calls:
            turns.append(output)


def _add_call(turns: list[Turn], call: ToolCall) -> None:
    """Adds a call to the reply that it belongs to: clients write one item a call, also with results between them."""
    place = len(turns) - 1
    while place >= 0 and isinstance(turns[place], ToolTurn):
        place -= 1
    last = turns[place] if place >= 0 else None
    if isinstance(last, AssistantTurn) and last.tool_calls:
        ours, theirs = read_call_id(call.id), read_call_id(last.tool_calls[-1].id)
        if place == len(turns) - 1 or (ours and theirs and ours[1] == theirs[1]):
            turns[place] = last.model_copy(update={"tool_calls": [*last.tool_calls, call]})
            return
    turns.append(AssistantTurn(role="assistant", tool_calls=[call]))


def _message(item: InputMessage) -> Turn:
    if item.role == "user":
        content = item.content
        parts = content if isinstance(content, str) else [_user_part(part) for part in content]
        return UserTurn(role="user", content=parts)
    if not isinstance(item.content, str) and any(isinstance(part, InputImage) for part in item.content):
        raise ConfigurationError("only messages of the user may have images; put the image into one")
    if item.role == "assistant":
        return AssistantTurn(role="assistant", content=_said(item.content))
    return SystemTurn(role=item.role, content=_text_of(item.content))


def _user_part(part: InputPart) -> TextPart | ImagePart:
    return part.part() if isinstance(part, InputImage) else TextPart(type="text", text=_words(part))


def _said(content: str | Sequence[InputPart]) -> str | list[TextPart | RefusalPart]:
    if isinstance(content, str):
        return content
    return [
        RefusalPart(type="refusal", refusal=part.refusal)
        if isinstance(part, InputRefusal)
        else TextPart(type="text", text=_words(part))
        for part in content
    ]


def _text_of(content: str | Sequence[InputPart]) -> str | list[TextPart]:
    return content if isinstance(content, str) else [TextPart(type="text", text=_words(part)) for part in content]


def _words(part: InputPart) -> str:
    if isinstance(part, InputText):
        return part.text
    return part.refusal if isinstance(part, InputRefusal) else ""
