"""What an AG-UI client sends: the conversation, its tools, answers to what a run waits for.

Source: https://docs.ag-ui.com/spec/1.0
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ag_ui.core import (
    AssistantMessage,
    DataSource,
    DeveloperMessage,
    ImagePart,
    RunAgentInput,
    SystemMessage,
    TextPart,
    ToolMessage,
    UrlSource,
    UserMessage,
)
from ag_ui.core.types import ContentPart
from langchain_core import messages as lc
from langchain_core.tools import BaseTool
from langgraph.types import interrupt
from pydantic import Field, ValidationError, field_validator, model_validator

from anabranch.errors import ConfigurationError
from anabranch.serving.client_tools import as_tool
from anabranch.serving.function_tool import FunctionTool
from anabranch.serving.image_parts import Image
from anabranch.serving.page.protocol import THREAD_ID
from anabranch.serving.page.threads import CLIENT_CALL
from anabranch.serving.protocol import MAX_MESSAGES, MAX_PARTS, MAX_TOOLS, Body

MAX_ID_CHARS = 200
MAX_RESUMED = 256


class RunInput(RunAgentInput, Body):
    """A request to run the planner in a thread.

    Attributes:
        thread_id: the thread; whoever knows it may read it and go on with it.
        run_id: the client's name for this run.
    """

    thread_id: str
    run_id: str = Field(min_length=1, max_length=MAX_ID_CHARS)

    @field_validator("thread_id")
    @classmethod
    def _cannot_be_guessed(cls, value: str) -> str:
        if not re.fullmatch(THREAD_ID, value):
            raise ValueError("a thread's id has 22 to 64 letters, digits, - and _, made up at random, as a UUID is")
        return value

    @model_validator(mode="after")
    def _not_too_much(self) -> "RunInput":
        for name, items, most in (
            ("messages", self.messages, MAX_MESSAGES),
            ("tools", self.tools, MAX_TOOLS),
            ("context", self.context, MAX_MESSAGES),
            ("resume", self.resume, MAX_RESUMED),
        ):
            if items and len(items) > most:
                raise ValueError(f"there are more than {most:,} {name}; send fewer")
        id_, times = Counter(message.id for message in self.messages).most_common(1)[0] if self.messages else ("", 1)
        if times > 1:
            raise ValueError(f"two messages have the id {id_[:MAX_ID_CHARS]!r}; give each its own")
        return self

    @property
    def wants_review(self) -> bool:
        """Whether the plan is to be reviewed before it runs: `review` in `forwardedProps`."""
        return isinstance(self.forwarded_props, dict) and self.forwarded_props.get("review") is True

    def said(self) -> list[lc.BaseMessage]:
        """The conversation as the planner takes it: what was said, without what was called.

        Raises:
            ConfigurationError: a message has something that is neither text nor an image.
        """
        system = [lc.SystemMessage(f"{each.description}: {each.value}") for each in self.context or []]
        return [*system, *filter(None, map(_read, self.messages))]

    def own_tools(self) -> list[BaseTool]:
        """The client's tools. A call of one stops the run until the client tells the result.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        return [_as_tool(tool.name, tool.description, tool.parameters) for tool in self.tools or []]


def _read(message: Any) -> lc.BaseMessage | None:
    if isinstance(message, UserMessage):
        return lc.HumanMessage(_content(message.content), id=message.id)
    if isinstance(message, SystemMessage | DeveloperMessage):
        return lc.SystemMessage(message.content, id=message.id)
    if isinstance(message, AssistantMessage) and message.content:
        return lc.AIMessage(message.content, id=message.id)
    return None


def _content(content: str | Sequence[ContentPart]) -> Any:
    if isinstance(content, str):
        return content.strip()
    if len(content) > MAX_PARTS:
        raise ConfigurationError(f"a message has more than {MAX_PARTS:,} parts; send fewer")
    if all(isinstance(part, TextPart) for part in content):
        return text_of(content).strip()
    return [_block(part) for part in content]


def _block(part: ContentPart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if not isinstance(part, ImagePart) or not isinstance(part.source, DataSource | UrlSource):
        raise ConfigurationError(f"the planner reads texts and images, and no {part.type}; leave it out")
    data = isinstance(part.source, DataSource)
    url = f"data:{part.source.mime_type};base64,{part.source.value}" if data else part.source.value
    try:
        return {"type": "image_url", "image_url": Image(url=url).model_dump(exclude_none=True)}
    except ValidationError as error:
        raise ConfigurationError(_why(error)) from error


def text_of(content: str | Sequence[ContentPart]) -> str:
    """The text of a message."""
    return content if isinstance(content, str) else "\n".join(p.text for p in content if isinstance(p, TextPart))


def result_of(message: ToolMessage) -> str:
    """What a tool of the client returned, or why it failed."""
    text = text_of(message.content)
    return "\n".join(filter(None, [text, message.error and f"It failed: {message.error}"])) or "(nothing)"


def _as_tool(name: str, description: str, parameters: Any) -> BaseTool:
    try:
        card = FunctionTool(name=name, description=description, parameters=parameters)
    except ValidationError as error:
        raise ConfigurationError(f"the tool {name[:80]!r} cannot be used: {_why(error)}") from error

    def call(**arguments: Any) -> str:
        return str(interrupt({CLIENT_CALL: {"name": name, "arguments": arguments}}))

    return as_tool(card, call)


def _why(error: ValidationError) -> str:
    return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
