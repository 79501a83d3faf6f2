"""What an MCP server asks a person, asked in the terminal: a prompt for each value, by the server's schema."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from anabranch.cli.terminal import is_terminal, show
from anabranch.tools.elicitation import ELICITATION

_CHOICES = "[a]nswer, [d]ecline, or [c]ancel"
_YES = {"y": True, "yes": True, "n": False, "no": False}


def ask_person(value: Mapping[str, Any]) -> dict[str, Any]:
    """Asks what a server wants to know; declines, and says so, where there is no terminal.

    Args:
        value: what the run shows: `elicitation`, and the `error` of the last reply, if any.

    Returns:
        The reply, in MCP's form.
    """
    asked = value[ELICITATION]
    show(f"the MCP server {asked['server']} asks: {asked['message']}")
    if not is_terminal():
        show("declined: there is nobody to ask; run it in a terminal to answer", style="dim")
        return {"action": "decline"}
    if value.get("error"):
        show(f"that does not fit: {value['error']}", style="red")
    while True:
        choice = str(typer.prompt(_CHOICES, err=True)).strip().lower()[:1]
        if choice == "d":
            return {"action": "decline"}
        if choice == "c":
            return {"action": "cancel"}
        if choice == "a":
            return {"action": "accept", "content": _values(asked["requestedSchema"])}


def _values(schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    given = {name: _value(name, rules, name in required) for name, rules in schema.get("properties", {}).items()}
    return {name: value for name, value in given.items() if value is not None}


def _value(name: str, rules: Mapping[str, Any], required: bool) -> Any:
    """One value; None if it is left out, which only an optional one may be."""
    several = rules.get("type") == "array"
    choices = _choices(rules.get("items", {}) if several else rules)
    label = str(rules.get("title") or name)
    if about := rules.get("description"):
        show(str(about), style="dim")
    for number, (_, title) in enumerate(choices, 1):
        show(f"  {number} {title}")
    hint = _hint(rules, choices, several=several)
    while True:
        text = _prompted(f"{label} ({hint}{'' if required else ', may be left empty'})", _default(rules, choices))
        if not text and not required:
            return None
        try:
            return _read(text, rules, choices, several=several)
        except (ValueError, KeyError, IndexError):
            show(f"that is none: {label} takes {hint}", style="red")


def _prompted(label: str, default: str) -> str:
    return str(typer.prompt(label, default=default, show_default=bool(default), err=True)).strip()


def _default(rules: Mapping[str, Any], choices: Sequence[tuple[Any, str]]) -> str:
    """What stands for the schema's default in a prompt; empty if it has none."""
    if "default" not in rules:
        return ""
    given = rules["default"]
    if isinstance(given, bool):
        return "yes" if given else "no"
    values = given if isinstance(given, list) else [given]
    if choices:
        values = [number for number, (value, _) in enumerate(choices, 1) if value in values]
    return ", ".join(map(str, values))


def _hint(rules: Mapping[str, Any], choices: Sequence[tuple[Any, str]], *, several: bool) -> str:
    if choices:
        return f"numbers from 1 to {len(choices)}, with commas" if several else f"a number from 1 to {len(choices)}"
    kinds = {"boolean": "yes or no", "integer": "a whole number", "number": "a number", "array": "values, with commas"}
    return kinds.get(str(rules.get("type")), str(rules.get("format", "text")))


def _choices(rules: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """The values of a schema that has choices, each with what it is called."""
    if titled := rules.get("oneOf") or rules.get("anyOf"):
        return [(each.get("const"), str(each.get("title", each.get("const")))) for each in titled]
    values = rules.get("enum", [])
    names = rules.get("enumNames", values)
    return [(value, str(name)) for value, name in zip(values, names, strict=False)]


def _read(text: str, rules: Mapping[str, Any], choices: Sequence[tuple[Any, str]], *, several: bool) -> Any:
    """A value as it was typed.

    Raises:
        ValueError, KeyError, IndexError: it is none.
    """
    if several:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return [_read(part, rules.get("items", {}), choices, several=False) for part in parts]
    if choices:
        if int(text) < 1:
            raise IndexError
        return choices[int(text) - 1][0]
    kind = rules.get("type")
    if kind == "boolean":
        return _YES[text.lower()]
    if not text:
        raise ValueError
    return int(text) if kind == "integer" else float(text) if kind == "number" else text
