"""What plans over tools are worth in reinforcement, and which rows are requests."""

from pathlib import Path

import pytest

from anabranch.agents import prompts
from anabranch.batch.files import write_jsonl
from anabranch.distill.render import as_messages
from anabranch.distill.requests import ToolRow, read_tool_rows
from anabranch.distill.rewards import NO_PLAN
from anabranch.errors import ConfigurationError
from anabranch.tools.catalogue import ToolCard

CARDS = [ToolCard(name=name, description=f"The tool {name}.") for name in ("find", "book", "mail.send", "pay")]
RIGHT = "1 [find] rooms\n2 [book] {1}\n3 [mail.send] to Ana"


def row(completion: str = RIGHT) -> dict[str, object]:
    return {"messages": as_messages(prompts.lines_messages("Book a room.", CARDS)), "completion": completion}


@pytest.fixture
def request_(tmp_path: Path) -> ToolRow:
    write_jsonl(tmp_path / "rows.jsonl", iter([row()]))
    (found,) = read_tool_rows([tmp_path / "rows.jsonl"], {})
    return found


def test_the_routes_are_those_of_the_prompt(request_: ToolRow) -> None:
    assert request_.routes == {"solve", *(card.name for card in CARDS)}


@pytest.mark.parametrize(
    ("reply", "worth"),
    [
        (RIGHT, 1.5),
        ("1 [find] rooms\n2 [book] a room\n3 [mail.send] to Ana", 1.0),
        ("1 [find] rooms\n2 [solve] pick of {1}\n3 [book] {2}\n4 [mail.send] to Ana", 1.5),
        ("1 [find] rooms\n2 [book] {1}", 0.8 + 0.5),
        ("1 [find] rooms\n2 [book] {1}\n3 [mail.send] {2}", 1.0 + 0.5 * 2 / 3),
        ("DIRECT", 0.0),
        ("1 [fly] away", NO_PLAN),
        ("1 [find] rooms\n2 [book] {3}", NO_PLAN),
        ("\n".join(f"{n} [find] rooms" for n in range(1, 10)), NO_PLAN),
        ("of course", NO_PLAN),
    ],
)
def test_calls_count_and_half_their_dependencies(request_: ToolRow, reply: str, worth: float) -> None:
    assert request_.worth(reply, finished=True) == pytest.approx(worth)
    assert request_.worth(reply, finished=False) == NO_PLAN


def test_rows_that_are_no_requests_are_left_out_and_told(tmp_path: Path) -> None:
    bad: dict[str, list[str]] = {}
    rows = [row(), row("1 [fly] away"), {"messages": [{}], "completion": RIGHT}, {"question": "?"}]
    write_jsonl(tmp_path / "rows.jsonl", iter(rows))
    assert len(read_tool_rows([tmp_path / "rows.jsonl"], bad)) == 1
    assert sorted(place for places in bad.values() for place in places) == [
        "rows.jsonl, row 2",
        "rows.jsonl, row 3",
        "rows.jsonl:4",
    ]


def test_a_file_without_requests_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", iter([row("1 [fly] away")]))
    with pytest.raises(ConfigurationError, match="no requests over tools"):
        read_tool_rows([tmp_path / "rows.jsonl"], {})
