"""Requests and catalogues out of files, good and bad."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from anabranch.errors import DocumentError
from anabranch.evals.toolplans.data import read_requests, read_tools
from anabranch.plan import ROUTE_PATTERN
from anabranch.tools.catalogue import Catalogue


def tools_file(tmp_path: Path, tools: Any) -> Path:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(tools))
    return path


def requests_file(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_requests_of_a_split(tmp_path: Path) -> None:
    row = {"question": " Ring Ada. ", "tools": ["call"], "links": []}
    path = requests_file(
        tmp_path, {**row, "id": 0, "split": "test"}, "", {**row, "id": "a", "split": "train"}, {**row, "source": "mine"}
    )
    taken = read_requests(path)
    assert [(each.id, each.question, each.source) for each in taken.rows] == [
        ("0", "Ring Ada.", ""),
        ("line-4", "Ring Ada.", "mine"),
    ]
    assert [each.id for each in read_requests(path, "train").rows] == ["a", "line-4"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "not a JSON object"),
        ({"question": " ", "tools": []}, "there is no question in it"),
        ({"question": "q", "tools": "call"}, "its tools are not a list of names"),
        ({"question": "q", "tools": ["a", ""]}, "its tools are not a list of names"),
        ({"question": "q", "tools": ["a"], "links": [["a"]]}, "its links are not pairs of names"),
        ({"id": "good", "question": "q", "tools": ["a"]}, "its id was used before"),
    ],
)
def test_lines_that_are_no_requests_are_named(tmp_path: Path, row: Any, problem: str) -> None:
    good = {"id": "good", "question": "q", "tools": ["a"], "links": [["a", "b"]]}
    read = read_requests(requests_file(tmp_path, good, row))
    assert [each.id for each in read.rows] == ["good"]
    assert read.problems == [f"line 2: {problem}"]


def test_a_file_without_requests_says_why(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="1 rows are of another split"):
        read_requests(requests_file(tmp_path, {"question": "q", "tools": [], "split": "train"}))
    with pytest.raises(DocumentError, match="cannot be read"):
        read_requests(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentError, match="not UTF-8"):
        read_requests(tmp_path / "binary")


def test_tools_of_all_forms(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}, "text": {}}}
    read = read_tools(
        tools_file(
            tmp_path,
            [
                {"name": "send", "description": "Sends a text. Costs money.", "parameters": schema},
                {"type": "function", "function": {"name": "getTime", "parameters": {"zone": "The time zone"}}},
                {"name": "odd", "description": 5, "parameters": "none"},
            ],
        )
    )
    assert [text.arguments for text in read.texts] == [("to", "text"), ("zone",), ()]
    assert [card.description for card in read.cards] == ["Sends a text.", "get time", "odd"]
    assert not read.problems


def test_unspeakable_and_repeated_names_become_routes_of_their_own(tmp_path: Path) -> None:
    names = ["first aid!", "first_aid", "solve", "send", "send", "\u2603", "x" * 99, "x" * 99]
    rows = [*({"name": name} for name in names), {"description": "nameless"}, None]
    read = read_tools(tools_file(tmp_path, rows))
    routes = list(read.names)
    assert [read.names[route] for route in routes] == names
    assert all(re.fullmatch(ROUTE_PATTERN, route) for route in routes)
    assert routes[:5] == ["first_aid", "first_aid_2", "solve_2", "send", "send_2"]
    assert [card.name for card in read.cards] == routes
    assert len(read.problems) == 9
    assert not set(routes) & set(Catalogue())
    assert "solve" not in routes


@pytest.mark.parametrize("content", [{}, [], [{"name": " "}], "text"])
def test_files_without_tools_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(DocumentError, match="tool"):
        read_tools(tools_file(tmp_path, content))
