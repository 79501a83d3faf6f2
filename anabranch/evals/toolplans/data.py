"""Requests with the tools that they need, and catalogues of tools, out of files. What cannot be used is named."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from anabranch.batch.files import json_lines
from anabranch.characters import whole_data
from anabranch.errors import DocumentError
from anabranch.plan import ROUTE_PATTERN, SOLVE
from anabranch.tools.catalogue import ToolCard, first_sentence
from anabranch.tools.retrieval import ToolText, words_of_name

Link = tuple[str, str]
_LONGEST_NAME = 64


class ToolRequest(BaseModel):
    """A request and the calls that fulfil it.

    Attributes:
        id: unique in its set.
        source: the set's name.
        question: the request.
        tools: the tools to call, in order.
        links: pairs of tools, the second of which needs the first one's result, or follows it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    source: str = ""
    question: str
    tools: tuple[str, ...]
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class ToolSet:
    """A catalogue of tools that plans can route to.

    Attributes:
        texts: what is known of each tool.
        cards: what a decomposer is told of each, in the same order; their names are routes.
        names: the tools' own names by route.
        problems: what was wrong with the file.
    """

    texts: Sequence[ToolText]
    cards: Sequence[ToolCard]
    names: Mapping[str, str]
    problems: Sequence[str] = ()


@dataclass
class Requests:
    """What a file held: requests, and why the other lines are none."""

    rows: list[ToolRequest] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_requests(path: Path, split: str = "test") -> Requests:
    """Reads requests, one JSON object a line: `question`, `tools`, `links`, and optionally `id`, `source`, `split`.

    Args:
        path: the file.
        split: which rows to take; rows that name no split are always taken.

    Raises:
        DocumentError: the file cannot be read or holds no request.
    """
    found, seen, others = Requests(), set[str](), 0
    for line in json_lines(path):
        row, number = line.value, line.number
        if isinstance(row, dict) and row.get("split", split) != split:
            others += 1
            continue
        request = _request(row, number)
        if isinstance(request, str) or request.id in seen:
            found.problems.append(f"line {number}: {request if isinstance(request, str) else 'its id was used before'}")
            continue
        seen.add(request.id)
        found.rows.append(request)
    if not found.rows:
        why = found.problems[0] if found.problems else f"{others} rows are of another split" if others else "empty"
        form = '{"question": "...", "tools": ["..."], "links": [["...", "..."]]}'
        raise DocumentError(
            f"{path} has no requests of the split {split!r} ({why}); write one JSON object a line: {form}"
        )
    return found


def read_tools(path: Path) -> ToolSet:
    """Reads a catalogue: a JSON list of objects with `name`, `description` and `parameters` (names, or a JSON schema).

    Names that are no routes, or that are used twice, become routes of their own; a tool without a description is
    described by the words of its name; parameters that are no schema are left out.

    Raises:
        DocumentError: the file cannot be read or holds no tool.
    """
    rows = _json_of(path)
    if not isinstance(rows, list):
        raise DocumentError(f'{path} is not a list of tools; write JSON: [{{"name": "...", "description": "..."}}]')
    texts: list[ToolText] = []
    names: dict[str, str] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        text = _tool(row)
        if text is None:
            problems.append(f"tool {number}: it has no name")
            continue
        route = _route(text.name, names)
        if route != text.name:
            problems.append(
                f"tool {number}: its name {text.name[:80]!r} is no route of its own; plans call it {route!r}"
            )
        names[route] = text.name
        texts.append(text)
    if not texts:
        raise DocumentError(f"{path} holds no tool with a name; check the file")
    cards = [_card(route, text) for route, text in zip(names, texts, strict=True)]
    return ToolSet(texts, cards, names, problems)


def _json_of(path: Path) -> Any:
    """The JSON in a file; None where it is none."""
    try:
        return whole_data(json.loads(path.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise DocumentError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text; check the file") from error
    except (ValueError, RecursionError):
        return None


def _request(row: Any, number: int) -> ToolRequest | str:
    if not isinstance(row, dict):
        return "not a JSON object"
    question, tools = row.get("question"), row.get("tools")
    if not isinstance(question, str) or not question.strip():
        return "there is no question in it"
    if not isinstance(tools, list) or not all(isinstance(tool, str) and tool for tool in tools):
        return "its tools are not a list of names"
    links = row.get("links") or []
    if not isinstance(links, list) or not all(_is_link(link) for link in links):
        return "its links are not pairs of names"
    name = row.get("id")
    return ToolRequest(
        id=f"line-{number}" if name is None or name == "" else str(name),
        source=str(row.get("source") or ""),
        question=question.strip(),
        tools=tuple(tools),
        links=tuple((first, second) for first, second in links),
    )


def _is_link(link: Any) -> bool:
    return isinstance(link, list) and len(link) == 2 and all(isinstance(name, str) for name in link)


def _tool(row: Any) -> ToolText | None:
    """What a row says of a tool, also in the form of OpenAI's API; None where it has no name."""
    inner = row.get("function") if isinstance(row, dict) else None
    row = inner if isinstance(inner, dict) else row
    name = row.get("name") if isinstance(row, dict) else None
    if not isinstance(name, str) or not name.strip():
        return None
    description = row.get("description")
    return ToolText(
        name=name.strip(),
        description=description.strip() if isinstance(description, str) else "",
        arguments=_arguments(row.get("parameters")),
    )


def _arguments(parameters: Any) -> tuple[str, ...]:
    if isinstance(parameters, dict) and isinstance(parameters.get("properties"), dict):
        parameters = parameters["properties"]
    return tuple(map(str, parameters)) if isinstance(parameters, dict) else ()


def _route(name: str, taken: Mapping[str, str]) -> str:
    """A route of its own for a tool: its name, where that is one."""
    plain = name if re.fullmatch(ROUTE_PATTERN, name) else re.sub(r"[^A-Za-z0-9_./:-]+", "_", name).strip("_")
    plain = plain[:_LONGEST_NAME] or "tool"
    route, count = plain, 1
    while route in taken or route == SOLVE:
        count += 1
        route = f"{plain[: _LONGEST_NAME - len(str(count)) - 1]}_{count}"
    return route


def _card(route: str, text: ToolText) -> ToolCard:
    return ToolCard(name=route, description=first_sentence(text.description) or words_of_name(text.name).lower())
