"""What families of tools are made of: their words (families.json), values, and the ways in which people ask."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from anabranch.tools.retrieval import ToolText
from benchmarks.toolplans.clauses import Tool
from benchmarks.toolplans.values import FIRST, LAST, value_for

WORDS: dict[str, Any] = json.loads(Path(__file__).with_name("families.json").read_text(encoding="utf-8"))
"""Worlds of works and their makers, services, things of an office, places, subjects, words of titles."""
Steps = list[tuple[str, str]]
"""Keys of tools with what each call is to do."""
LEADS = ("Tell me", "I want to know", "Find out", "Can you tell me", "I'd like to know", "Let me know", "I wonder:")
_LEADS_TO_DO = (
    *("", "", "Please", "Please help me", "I need to", "I want to", "I would like to", "Can you", "Could you please"),
    *("Help me", "I'd like you to", "Would you", "You should"),
)
OPENINGS = (
    *("Hi there.", "Hello!", "Hey,", "Good morning.", "Quick one:", "My boss wants this before noon."),
    *("Sorry to ask again.", "I am planning a weekend with friends.", "My daughter keeps asking me about it."),
    *("I am writing an article.", "We had a change of plans.", "I am on the road and cannot do this myself."),
    *("There was a mix-up at our end.", "I have a busy week ahead.", "Something urgent came up at work."),
    "It is our anniversary soon.",
)


@dataclass(frozen=True)
class Made:
    """A request with its calls, and the whole family of tools."""

    request: str
    steps: Steps
    tools: dict[str, Tool]


def tool(name: str, description: str, arguments: Sequence[str] = ()) -> Tool:
    """A tool of a family."""
    return Tool(ToolText(name, description, tuple(arguments)), "family", dict.fromkeys(arguments, ""))


def a(noun: str) -> str:
    """A noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def filled(text: str, values: dict[str, str]) -> str:
    """A text with the values that are known; slots such as `{1}` stay."""
    return re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), text)


def capital(text: str) -> str:
    """A text that begins with a capital."""
    return text[0].upper() + text[1:]


def title(random: Random) -> str:
    """The name of a work that does not exist."""
    one, other = random.choice(WORDS["adjectives"]), random.choice(WORDS["nouns"])
    second = random.choice(WORDS["nouns"])
    pairs = (f"{other} of {second}", f"{other} and {second}")
    return random.choice(
        (f"The {one} {other}", f"{one} {other}", *pairs, other, f"A {one} {other}", f"{other} {random.randint(2, 9)}")
    )


def person(random: Random) -> str:
    """A person's name."""
    return f"{random.choice(FIRST)} {random.choice(LAST)}"


def when(random: Random) -> str:
    """A day, mostly with a time."""
    day = value_for("date", "", random)
    day = day if day.split()[0] in ("tomorrow", "next", "this", "today") else f"on {day}"
    part = random.choice((f"at {value_for('time', '', random)}", "in the morning", "in the afternoon", "", ""))
    return f"{day} {part}".strip()


def first_person(parts: Sequence[str], random: Random) -> str:
    """Commands as one message: one sentence or several, with or without a lead."""
    between = random.choice((", then ", ", and ", ". Then ", ", and after that ", ". Once that is done, ", "; "))
    lead = random.choice(_LEADS_TO_DO)
    if len(parts) > 2 and random.random() < 0.5:
        text = ", ".join(parts[:-1]) + f" and finally {parts[-1]}"
    else:
        text = ". ".join(capital(sentence) for sentence in between.join(parts).split(". ") if sentence)
        text = text[0].lower() + text[1:] if lead else text
    end = "?" if lead.startswith(("Can", "Could", "Would")) and ". " not in text else "."
    return capital(f"{lead} {text}".strip()) + end
