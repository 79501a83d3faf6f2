"""Texts that come into prompts: of a length that is bounded, and unable to pass for another part of the prompt."""

from anabranch import bounds
from anabranch.headings import inset

_SPEAKERS = ("Last message:", "User:", "Assistant:")
"""What the lines of a conversation begin with."""
_REQUEST = (
    "Question:",
    "Asked so far:",
    "Number new sub-questions from",
    "An earlier plan would not do:",
    "Earlier in the conversation:",
    "Write only the next sub-questions",
    "Give only the next sub-questions",
)
"""What the parts of a request for a plan begin with."""


def asked_text(question: str, *heads: str) -> str:
    """A question, or what a person or model says of one; `heads` are those of the other parts of the prompt."""
    return inset(bounds.shorten(question, bounds.MAX_UNDERSTOOD_CHARS), *heads)


def told_text(text: str, *heads: str) -> str:
    """A sub-question with its slots filled."""
    return inset(bounds.shorten(text, bounds.MAX_TOLD_CHARS), *heads)


def answered_text(answer: str, *heads: str) -> str:
    """An answer that is checked."""
    return inset(bounds.shorten(answer, bounds.MAX_ANSWER_CHARS), *heads)


def found_text(evidence: str, *heads: str) -> str:
    """What a tool returned, which begins in a line of its own."""
    return inset(bounds.shorten(evidence, bounds.MAX_EVIDENCE_CHARS), *heads, begun=False)


def last_words(message: str) -> str:
    """The last message of a conversation that is shown before it."""
    return asked_text(message, *_SPEAKERS)


def request_text(text: str) -> str:
    """A question to plan for, or why an earlier plan would not do."""
    return asked_text(text, *_REQUEST)
