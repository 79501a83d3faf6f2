"""The prompts that `render` wrote, and requests made of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anabranch.codecs import LineGrammar

Grammar = Literal["always", "on_demand", "never"]
"""Which replies are held to the pattern: all, the rest of those that are no plan, or none. Without it, a reply ends
where it begins one line too many."""

WARM_UP = 32
"""The last prompts are for warming up and are not measured."""


@dataclass(frozen=True)
class Prompts:
    """Prompts with what holds for all of them.

    Attributes:
        grammar: all valid plans.
        max_tokens: most tokens of a reply.
        rows: id and messages of each prompt.
    """

    grammar: LineGrammar
    max_tokens: int
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Prompts":
        """Reads what `render` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(LineGrammar(data["routes"], data["max_sub_questions"]), data["max_tokens"], data["prompts"])

    @property
    def measured(self) -> list[dict[str, Any]]:
        """The rows to measure."""
        return self.rows[:-WARM_UP]

    @property
    def warm_up(self) -> list[dict[str, Any]]:
        """The rows to warm up with."""
        return self.rows[-WARM_UP:]

    def body(
        self, row: dict[str, Any], model: str, *, stream: bool = False, begun: Sequence[str] | None = None
    ) -> bytes:
        """One request, ready to send: free, or held to what may follow the lines `begun` (a whole plan after none)."""
        request: dict[str, Any] = {
            "model": model,
            "messages": row["messages"],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        if begun is None:
            request["stop"] = [self.grammar.one_too_many]
        else:
            request["structured_outputs"] = {"regex": self.pattern_after(begun)}
            if begun:
                said = {"role": "assistant", "content": as_begun(begun)}
                request["messages"] = [*row["messages"], said]
                request |= {"add_generation_prompt": False, "continue_final_message": True}
        if stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()

    def pattern_after(self, begun: Sequence[str]) -> str:
        """The pattern of what may follow lines.

        Raises:
            ValueError: nothing may.
        """
        if following := self.grammar.following(len(begun)):
            return following.pattern
        raise ValueError(f"{len(begun)} lines are as many as a plan may have")

    def to_continue(self, text: str, *, cut: bool) -> list[str] | None:
        """The lines after which a reply has to go on under the pattern; None if the decomposer takes it as it is."""
        fitting = self.grammar.fitting(text)
        if self.grammar.matches(text, cut=cut) or self.grammar.following(len(fitting)) is None:
            return None
        return fitting

    def valid(self, text: str, *, cut: bool) -> bool:
        """Whether a text is a plan, or if it was cut off at the limit of tokens, the beginning of one."""
        return self.to_continue(text, cut=cut) is None


def as_begun(lines: Sequence[str]) -> str:
    """Lines as the beginning of a reply that goes on."""
    return "".join(f"{line}\n" for line in lines)
