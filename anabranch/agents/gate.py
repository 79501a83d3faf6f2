"""The gate: whether a question is worth a plan at all. Its say comes before any model is called."""

from collections.abc import Callable
from typing import Literal

from anabranch.agents.small_talk import begins_a_question, is_small_talk
from anabranch.errors import ConfigurationError

Gate = Callable[[str], bool]
"""Takes the question; True means plan, False means answer directly."""


def auto(question: str) -> bool:
    """Plans, except for greetings, thanks and single words, where there is nothing to split.

    A decomposer still may answer `DIRECT`; this only saves the call where it is certain.
    """
    if any(character.isdigit() or character in "?？؟՞" for character in question):
        return True
    return not is_small_talk(question) and (len(question) >= 12 or begins_a_question(question))


def resolve_gate(gate: Gate | Literal["auto", "always"]) -> Gate:
    """The gate of this name: `auto`, or `always` to plan for every question; a callable is taken as it is.

    Raises:
        ConfigurationError: there is no such gate.
    """
    if gate == "always":
        return lambda _question: True
    if gate == "auto":
        return auto
    if not callable(gate):
        raise ConfigurationError(f"unknown gate {gate!r}; use auto, always, or a function of the question")
    return gate
