"""The prompts that `render` wrote, and requests made of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anabranch.codecs import LineGrammar
from anabranch.on_demand import Ask, asks

Grammar = Literal["always", "on_demand", "never"]
"""Which replies are held to the pattern: all, lines that fit no plan, or none. Without it, a reply ends where it begins
one line too many."""

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

    def body(self, row: dict[str, Any], model: str, ask: Ask, *, stream: bool = False) -> bytes:
        """One request, ready to send, as the decomposer makes it."""
        request: dict[str, Any] = {
            "model": model,
            "messages": row["messages"],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        if ask.pattern is None:
            request["stop"] = [self.grammar.one_too_many]
        else:
            request["structured_outputs"] = {"regex": ask.pattern}
        if ask.begun:
            request["messages"] = [*row["messages"], {"role": "assistant", "content": ask.begun}]
            request |= {"add_generation_prompt": False, "continue_final_message": True}
        if stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()

    def first(self, grammar: Grammar) -> Ask:
        """What is asked for first."""
        return Ask(pattern=self.grammar.pattern) if grammar == "always" else Ask()

    def valid(self, text: str, *, cut: bool) -> bool:
        """Whether the decomposer takes a text as it is: a plan, or if it was cut off, the beginning of one."""
        writing = asks(self.grammar)
        next(writing)
        try:
            writing.send((text, cut))
        except StopIteration:
            return True
        return False
