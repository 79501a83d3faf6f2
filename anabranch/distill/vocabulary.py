"""Words for written demonstrations: made-up names, relations between things, attributes, and tasks without a plan.

They stand in `words/vocabulary.json` and `words/sums.json`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Asks = Sequence[str]
FOLDER = Path(__file__).parent / "words"
_WORDS: Mapping[str, Any] = json.loads((FOLDER / "vocabulary.json").read_text(encoding="utf-8"))

FIRST: list[str] = _WORDS["first"]
LAST: list[str] = _WORDS["last"]
WORDS: list[str] = _WORDS["words"]
FILMS: list[str] = _WORDS["films"]
ITEMS: list[str] = _WORDS["items"]
BOXES: list[str] = _WORDS["boxes"]
KINDS_OF_PLACE: Mapping[str, Sequence[str]] = _WORDS["kinds_of_place"]
BARE: Mapping[str, Sequence[str]] = _WORDS["bare"]
RELATIONS: Mapping[str, Sequence[tuple[str, str, str, Asks]]] = _WORDS["relations"]
"""By domain: range, noun phrase, verb phrase (or none) and ways to ask."""
ATTRIBUTES: Mapping[str, Sequence[tuple[str, Asks]]] = _WORDS["attributes"]
"""By domain: type of value and ways to ask."""
COMPARE: Sequence[tuple[str, str, str, str, str]] = _WORDS["compare"]
"""Domain, question, ask for each side, how a side reads in the last step, and which side wins."""
SAME: Sequence[tuple[str, str, str, str]] = _WORDS["same"]
"""Domain, question, ask for each side, and the last step."""
EVENTS: Mapping[str, Sequence[tuple[str, str, str]]] = _WORDS["events"]
"""An event as a clause, as a question's tail, and the ask for its year."""
CHAT: Sequence[str] = _WORDS["chat"]
TASKS: Sequence[str] = _WORDS["tasks"]
TASK_WORDS: Mapping[str, Sequence[str]] = _WORDS["task_words"]
TOOL_TASKS: Mapping[str, Sequence[tuple[str, str, str]]] = _WORDS["tool_tasks"]
"""By kind of tool: question, its step, and a second step: a question, arithmetic after `=`, or none."""
SUMS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = json.loads((FOLDER / "sums.json").read_text(encoding="utf-8"))
"""Everyday word problems: question, then text and expression of each step. `<a>` to `<d>` are small, `<g>` is large,
`<s>` less than a * b."""
EMPTY: frozenset[str] = frozenset(_WORDS["empty"])
"""Words that say nothing of what a tool does."""
