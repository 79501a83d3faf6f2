"""Whether the client takes calls of its tools, of which, and whether it insists on one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from anabranch.errors import ConfigurationError
from anabranch.serving.function_tool import FunctionTool

Mode = Literal["none", "auto", "required"]
MAX_NAMES = 128


class Named(BaseModel):
    """The name of a tool."""

    name: str


class NamedTool(BaseModel):
    """A function by its name, as chat completions write it."""

    type: Literal["function"]
    function: Named


class AllowedTools(BaseModel):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1, max_length=MAX_NAMES)


class AllowedChoice(BaseModel):
    """Some of the tools, as chat completions write it."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class FlatTool(Named):
    """A function by its name, as responses write it."""

    type: Literal["function"]


class FlatAllowed(BaseModel):
    """Some of the tools, as responses write it."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[FlatTool] = Field(min_length=1, max_length=MAX_NAMES)


ChatToolChoice = Mode | Annotated[NamedTool | AllowedChoice, Field(discriminator="type")]
ResponsesToolChoice = Mode | Annotated[FlatTool | FlatAllowed, Field(discriminator="type")]


@dataclass(frozen=True)
class Choice:
    """What a tool choice says, in whichever form it came.

    Attributes:
        mode: whether tools may or must be called.
        names: of which; all if there are none.
    """

    mode: Mode = "auto"
    names: Sequence[str] = ()

    @classmethod
    def of(cls, given: ChatToolChoice | ResponsesToolChoice | None) -> "Choice":
        """Reads a tool choice."""
        match given:
            case None:
                return cls()
            case "none" | "auto" | "required":
                return cls(given)
            case NamedTool(function=Named(name=name)) | FlatTool(name=name):
                return cls("required", (name,))
            case AllowedChoice(allowed_tools=AllowedTools(mode=mode, tools=tools)):
                return cls(mode, tuple(tool.function.name for tool in tools))
            case FlatAllowed(mode=mode, tools=flat):
                return cls(mode, tuple(tool.name for tool in flat))

    def offered(self, tools: Sequence[FunctionTool]) -> list[FunctionTool]:
        """Those of a request's tools that may be called.

        Raises:
            ConfigurationError: a tool is named that is not there, or one must be called and there is none.
        """
        known = {tool.name for tool in tools}
        if missing := [name for name in self.names if name not in known]:
            raise ConfigurationError(f"tool_choice names {missing[0][:80]!r}, which is not among the tools; add it")
        if self.mode == "required" and not tools:
            raise ConfigurationError("tool_choice wants a tool to be called, and there are no tools; add some")
        return [tool for tool in tools if not self.names or tool.name in self.names]
