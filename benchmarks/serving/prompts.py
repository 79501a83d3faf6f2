"""The prompts of a distilled decomposer, and requests made of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import convert_to_openai_messages

from anabranch.agents import prompts
from anabranch.agents.decomposer import PlanRequest
from anabranch.codecs import LineGrammar
from anabranch.on_demand import Ask, asks
from anabranch.tools import Catalogue, builtin_tool

Grammar = Literal["always", "on_demand", "never"]
"""Which replies are held to the pattern: all, lines that fit no plan, or none. Without it, a reply ends where it begins
one line too many."""

MAX_TOKENS = 320
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
    def of(cls, files: Sequence[Path], count: int, tools: Sequence[str] = ("calculator",)) -> "Prompts":
        """For the first questions of files of JSON lines (`id`, `question`), with a catalogue of built-in tools."""
        cards = Catalogue(builtin_tool(name) for name in tools).cards
        # Not splitlines(): JSON may hold U+2028, which is no end of a line.
        lines = [line for file in files for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
        questions = {row["id"]: row["question"] for row in map(json.loads, lines)}
        rows = [
            {"id": id_, "messages": convert_to_openai_messages(prompts.lines_messages(question, cards))}
            for id_, question in list(questions.items())[: count + WARM_UP]
        ]
        grammar = LineGrammar([card.name for card in cards], PlanRequest("", cards).max_sub_questions)
        return cls(grammar, MAX_TOKENS, rows)

    @property
    def measured(self) -> list[dict[str, Any]]:
        """The rows to measure."""
        return self.rows[:-WARM_UP]

    @property
    def warm_up(self) -> list[dict[str, Any]]:
        """The rows to warm up with."""
        return self.rows[-WARM_UP:]

    def encode(self, tokenizer: Any, count: int) -> list[list[int]]:
        """The tokens of the measured prompts, over and over until there are `count`, as a model's template has them."""
        texts = [
            tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=False)
            for row in self.measured
        ]
        ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [ids[n % len(ids)] for n in range(count)]

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
