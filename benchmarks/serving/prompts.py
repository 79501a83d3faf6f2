"""The prompts that `render` wrote, and requests made of them. Standard library only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Grammar = Literal["always", "on_demand", "never"]
"""Which replies are held to the pattern: all, those that are asked for again because they were no plan, or none."""

WARM_UP = 32
"""The last prompts are for warming up and are not measured."""


@dataclass(frozen=True)
class Prompts:
    """Prompts with what holds for all of them.

    Attributes:
        pattern: regular expression of all valid plans.
        max_tokens: most tokens of a plan.
        rows: id and messages of each prompt.
    """

    pattern: str
    max_tokens: int
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Prompts":
        """Reads what `render` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["pattern"], data["max_tokens"], data["prompts"])

    @property
    def measured(self) -> list[dict[str, Any]]:
        """The rows to measure."""
        return self.rows[:-WARM_UP]

    @property
    def warm_up(self) -> list[dict[str, Any]]:
        """The rows to warm up with."""
        return self.rows[-WARM_UP:]

    def valid(self, text: str, *, cut: bool) -> bool:
        """Whether a text is a plan; as the decomposer reads it, a last line that was cut off does not count."""
        if cut:
            text = text.rpartition("\n")[0] or text.rstrip()
        return re.fullmatch(self.pattern, text) is not None

    def body(self, row: dict[str, Any], model: str, *, held: bool, stream: bool) -> bytes:
        """One request, ready to send; `held` to the pattern or not."""
        request: dict[str, Any] = {
            "model": model,
            "messages": row["messages"],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        if held:
            request["structured_outputs"] = {"regex": self.pattern}
        if stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()
