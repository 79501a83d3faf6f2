"""What is made out of a tool once, and kept for as long as the tool is there."""

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from langchain_core.tools import BaseTool

T = TypeVar("T")


class PerTool(Generic[T]):
    """A function of a tool that works once for each, and again where the schema of its arguments was replaced.

    Tools are pydantic models and have no hash, so they are known by their identity.

    Args:
        make: the function.
    """

    def __init__(self, make: Callable[[BaseTool], T]) -> None:
        self._make = make
        self._made: dict[int, tuple[weakref.ref[BaseTool], Any, T]] = {}

    def __call__(self, tool: BaseTool) -> T:
        """What is made out of this tool."""
        key, schema = id(tool), tool.args_schema
        if (known := self._made.get(key)) and known[0]() is tool and known[1] is schema:
            return known[2]
        made = self._make(tool)
        self._made[key] = (weakref.ref(tool, lambda _: self._made.pop(key, None)), schema, made)
        return made
