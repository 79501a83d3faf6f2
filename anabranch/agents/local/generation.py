"""What is asked of the in-process model, and what it wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

StopReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Generation:
    """What the model wrote.

    Attributes:
        text: the output, without special tokens and without the stop string that ended it.
        input_tokens: tokens of the prompt, cached ones included.
        output_tokens: tokens written, the one that ends the turn included.
        stop_reason: `stop`, `length` (`max_tokens` or the model's context is used up) or `cancelled`.
        cached_tokens: tokens of the prompt that did not have to be read again.
        steps: forward passes it took to write the output.
    """

    text: str
    input_tokens: int
    output_tokens: int
    stop_reason: StopReason
    cached_tokens: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Options:
    """How to generate.

    Attributes:
        adapter: name of a LoRA adapter that was added to the engine; None for the base weights.
        pattern: regular expression that the whole output matches.
        json_schema: JSON schema that the output matches; not together with `pattern`.
        max_tokens: most tokens to write.
        temperature: 0 takes the most probable token each time.
        seed: makes sampling repeatable.
        stop: strings that end the output.
        lookup: guess tokens from the prompt; changes the speed, not the output.
        reuse: begin from the cached beginning of an earlier prompt; changes the speed, not the output.
    """

    adapter: str | None = None
    pattern: str | None = None
    json_schema: Mapping[str, Any] | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int | None = None
    stop: Sequence[str] = ()
    lookup: bool = True
    reuse: bool = True
