"""Which tools change something. Those are asked about before they act, and never act twice for one question."""

from collections.abc import Mapping
from typing import Any, Literal

from langchain_core.tools import BaseTool

Unmarked = Literal["look_up", "action"]
"""What a tool is taken for that does not say whether it changes something."""


def has_effects(tool: BaseTool, unmarked: Unmarked = "look_up") -> bool:
    """Whether a tool changes something outside the program, so that calling it is an action.

    A tool says so in its metadata: `effects=True` or `effects=False`; or by the annotations of the Model Context
    Protocol, which langchain-mcp-adapters puts there: a tool with `readOnlyHint=True` changes nothing, one with
    `readOnlyHint=False` or any `destructiveHint` or `idempotentHint` does.

    Source: https://modelcontextprotocol.io/specification (tool annotations).

    Args:
        tool: the tool.
        unmarked: what is true of a tool that says nothing.
    """
    told = _told(tool)
    if isinstance(effects := told.get("effects"), bool):
        return effects
    if isinstance(read_only := told.get("readOnlyHint"), bool):
        return not read_only
    if any(isinstance(told.get(hint), bool) for hint in ("destructiveHint", "idempotentHint")):
        return True
    return unmarked == "action"


def may_repeat(tool: BaseTool) -> bool:
    """Whether a tool says that calling it again with the same arguments changes nothing more (`idempotentHint`)."""
    return _told(tool).get("idempotentHint") is True


def max_chars(tool: BaseTool, otherwise: int) -> int:
    """Most characters of a tool's result that go into a prompt: `max_chars` in its metadata.

    Args:
        tool: the tool.
        otherwise: the limit of a tool that names none.
    """
    limit = _told(tool).get("max_chars")
    return limit if isinstance(limit, int) and limit > 0 else otherwise


def _told(tool: BaseTool) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = tool.metadata or {}
    annotations = metadata.get("annotations")
    return {**annotations, **metadata} if isinstance(annotations, Mapping) else metadata
