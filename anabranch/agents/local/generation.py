"""What is asked of the in-process model, and what it wrote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, Literal, Protocol

from anabranch.errors import QuestionError

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
    """

    text: str
    input_tokens: int
    output_tokens: int
    stop_reason: StopReason
    cached_tokens: int = 0


@dataclass(frozen=True)
class Options:
    """How to generate.

    Attributes:
        pattern: regular expression that the whole output matches.
        json_schema: JSON schema that the output matches; not together with `pattern`.
        max_tokens: most tokens to write.
        temperature: 0 takes the most probable token each time.
        seed: makes sampling repeatable.
        stop: strings that end the output.
        reuse: begin from the cached beginning of an earlier prompt; changes the speed, not the output.
    """

    pattern: str | None = None
    json_schema: Mapping[str, Any] | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int | None = None
    stop: Sequence[str] = ()
    reuse: bool = True


class Engine(Protocol):
    """What runs a model in this process."""

    def load(self) -> None:
        """Loads the weights now rather than on first use."""

    def generate(
        self,
        messages: Sequence[Mapping[str, str]],
        options: Options | None = None,
        *,
        on_text: Callable[[str], None] | None = None,
        cancel: Event | None = None,
    ) -> Generation:
        """Writes the reply to chat messages.

        Args:
            messages: dicts with `role` and `content`.
            options: how to generate.
            on_text: called with each piece of text; the pieces together are the whole text.
            cancel: checked before every step; once set, what was written so far is returned.

        Raises:
            QuestionError: the messages are longer than the model's context.
            ConfigurationError: a grammar that cannot be compiled.
            ModelError: the engine gave up.
        """


def too_long(tokens: int, context: int, more: str = "") -> QuestionError:
    """The error for a prompt of too many tokens; `more` is what else can be done about it."""
    return QuestionError(
        f"the prompt has {tokens:,} tokens and the model reads {context - 1:,} at most; shorten the question, or put "
        f"long material into documents{more}"
    )
