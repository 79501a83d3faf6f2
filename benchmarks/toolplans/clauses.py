"""Calls of tools in the words of their schemas."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from anabranch.tools.catalogue import first_sentence
from anabranch.tools.retrieval import ToolText, words_of_name

_TAIL = re.compile(
    r",? (?:for|of|in|from|on|about|based on|using|with|by|to|at|between) "
    r"(?:(?:a|an|the|its|their|your|one or more)\s)?(?:specific|given|particular|certain|specified)\b.*$|"
    r",? (?:based on|using|by) (?:its|their|the|your) .*$"
)
_LEADS = {
    **dict.fromkeys(("location", "city", "country", "region"), "in"),
    **dict.fromkeys(("date", "day"), "on"),
    **dict.fromkeys(("period", "timeframe", "topic", "product"), "for"),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass(frozen=True)
class Tool:
    """A tool with its field and what is said of its arguments."""

    text: ToolText
    field: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class Call:
    """A call of a request: the tool, and its arguments; `{1}` stands for what call 1 finds."""

    tool: Tool
    arguments: dict[str, str]


def clause(call: Call, *, spoken: bool = False) -> str:
    """What a call is to do, with all its values; spoken, slots are named in words."""
    base = first_sentence(call.tool.text.description).rstrip(".") or words_of_name(call.tool.text.name)
    base = (_TAIL.sub("", base) if call.arguments else base) or base
    leading: list[str] = []
    named: list[str] = []
    for name, value in call.arguments.items():
        words = words_of_name(name).lower()
        slot = re.fullmatch(r"\{(\d+)\}", value) if spoken else None
        if slot:
            value = f"that the {_ORDINALS[int(slot[1]) - 1]} task finds"
        last = words.split()[-1] if words else ""
        if not slot and (lead := _LEADS.get(last)) and not any(part.startswith(lead) for part in leading):
            leading.append(f"{lead} {value}")
        else:
            named.append(f"{words} {value}")
    tail = f"with {', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else "".join(f"with {n}" for n in named)
    return " ".join(part for part in (base, *leading, tail) if part)


def terse(call: Call) -> str:
    """The same as a name and its values."""
    clauses = clause(Call(call.tool, call.arguments), spoken=True)
    words = words_of_name(call.tool.text.name).lower()
    values = []
    for name, value in call.arguments.items():
        slot = re.fullmatch(r"\{(\d+)\}", value)
        shown = f"what the {_ORDINALS[int(slot[1]) - 1]} task finds" if slot else value
        values.append(f"{words_of_name(name).lower()} = {shown}")
    return f"{words} ({'; '.join(values)})" if values else clauses


def joined(clauses: Sequence[str], random: Random) -> str:
    """A request in the words of the schemas."""
    low = [text[0].lower() + text[1:] for text in clauses]
    lead = random.choice(("", "Please ", "I need you to ", "Can you ", "I want to "))
    between = random.choice((", then ", ", and ", "; ", ". Then ", ". After that, ", ". Also, "))
    text = lead + between.join(low)
    return text[0].upper() + text[1:] + ("?" if lead == "Can you " else ".")
