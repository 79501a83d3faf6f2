"""A run over tools: from files to the table, in one go, in batches, and after a kill."""

import json
from pathlib import Path
from typing import Any

import pytest

from anabranch.agents.decomposer import LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.errors import ConfigurationError, EndpointError
from anabranch.evals.models import Models, ModelSpec
from anabranch.evals.options import EvalOptions
from anabranch.evals.records import RunFolder
from anabranch.evals.run import go
from anabranch.evals.toolplans import run as running
from anabranch.evals.toolplans.report import summarize, write_report
from anabranch.evals.toolplans.run import prepare
from tests.evals.test_waves import answer, take
from tests.fakes import ScriptedChatModel

TOOLS = [
    {"name": "find room", "description": "Finds a free meeting room."},
    {"name": "book_room", "description": "Books a meeting room."},
    {"name": "send_mail", "description": "Sends a mail to a person."},
    {"name": "weather", "description": "Tells the weather."},
]
ROWS = [
    {
        "id": 1,
        "source": "ultratool",
        "question": "Find a free meeting room, book it and mail Ada.",
        "tools": ["find room", "book_room", "send_mail"],
        "links": [["find room", "book_room"], ["book_room", "send_mail"]],
    },
    {"id": 2, "question": "Is there rain in the weather?", "tools": ["weather"], "links": []},
]
PLANS = {
    "room": "1 [find_room] Find a room\n2 [book_room] Book {1}\n3 [send_mail] Mail Ada",
    "rain": "DIRECT",
}


def setup(tmp_path: Path, **more: Any) -> EvalOptions:
    data, tools = tmp_path / "requests.jsonl", tmp_path / "tools.json"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    tools.write_text(json.dumps(TOOLS))
    given: dict[str, Any] = {"out": tmp_path / "run", "data": data, "tools": tools, "decomposer": ("scripted",)}
    return EvalOptions(**(given | more))


def plan(prompt: str) -> str:
    question = prompt.rpartition("Question: ")[2]
    return next(text for word, text in PLANS.items() if word in question)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedChatModel:
    chat = ScriptedChatModel(script=plan)

    def opened(self: Models, spec: ModelSpec, *_: Any) -> Any:
        found = RoleModel(chat)
        return found if self is None else LineDecomposer(found)

    monkeypatch.setattr(Models, "open_decomposer", opened)
    monkeypatch.setattr(Models, "open", lambda *_: RoleModel(chat))
    return chat


async def run(options: EvalOptions) -> None:
    await go(prepare(options, progress=lambda _line: None), lambda _progress: None)


async def test_from_files_to_the_table(tmp_path: Path, model: ScriptedChatModel) -> None:
    await run(setup(tmp_path))
    (row,), sources = summarize(RunFolder(tmp_path / "run"))
    values = {name: (found.value, found.n) for name, found in row.measures.items()}
    assert values["nodes"] == (50.0, 2)
    assert values["links"][1] == 1
    assert values["links"][0] == pytest.approx(200 / 3)
    assert values["order"] == (100.0, 1)
    assert values["exact"] == (50.0, 2)
    assert values["retrieved"] == (100.0, 2)
    assert values["valid"] == (100.0, 2)
    assert values["direct"] == (50.0, 2)
    assert (row.n, row.errors, sources) == (2, 0, ["ultratool"])
    table = write_report(RunFolder(tmp_path / "run"))
    assert "| scripted | 2 | 50.0 ± 98.0 |" in table
    assert "| published, zero-shot: GPT-4-turbo, without examples | 500 | 68.6 |" in table
    assert "published, trained on it" in table
    assert all(line.count("|") == table.splitlines()[0].count("|") for line in table.splitlines())
    assert json.loads((tmp_path / "run" / "report.json").read_text())[0]["nodes"]["n"] == 2


async def test_decomposers_are_compared_on_the_same_requests(
    tmp_path: Path, model: ScriptedChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = ScriptedChatModel(script=lambda prompt: plan(prompt).replace("DIRECT", "1 [weather] Is there rain?"))

    def opened(self: Models, spec: ModelSpec, *_: Any) -> Any:
        return LineDecomposer(RoleModel(better if spec.label == "better" else model))

    monkeypatch.setattr(Models, "open_decomposer", opened)
    await run(setup(tmp_path, decomposer=("scripted", "better=lines:scripted")))
    first, second = summarize(RunFolder(tmp_path / "run"))[0]
    assert first.versus is None
    assert second.versus is not None
    found = second.versus["nodes"]
    assert (found.value, found.low, found.high, found.n) == (50.0, 0.0, 100.0, 2)
    assert (second.versus["links"].value, second.versus["links"].n) == (0.0, 1)
    table = write_report(RunFolder(tmp_path / "run"))
    assert "Difference to scripted, in points" in table
    assert table.splitlines()[-1].startswith("| better | +50.0 [+0.0, +100.0] | +0.0 [+0.0, +0.0] |")
    assert "Difference to better" in write_report(RunFolder(tmp_path / "run"), "better")
    with pytest.raises(ConfigurationError, match="no system 'other'; use one of: scripted, better"):
        summarize(RunFolder(tmp_path / "run"), "other")


async def test_what_has_a_record_is_not_asked_again(tmp_path: Path, model: ScriptedChatModel) -> None:
    await run(setup(tmp_path, limit=1))
    await run(setup(tmp_path))
    await run(setup(tmp_path))
    assert len(model.prompts) == 2


async def test_tools_that_fit_are_shown(tmp_path: Path, model: ScriptedChatModel) -> None:
    await run(setup(tmp_path, retrieve=2, out=tmp_path / "two"))
    rooms = next(prompt for prompt in model.prompts if "Find a free" in prompt)
    assert "find_room: " in rooms
    assert "weather: " not in rooms
    (row,), _ = summarize(RunFolder(tmp_path / "two"))
    assert row.measures["retrieved"].value == 50.0
    await run(setup(tmp_path, retrieve=3, right_tools=True, out=tmp_path / "right"))
    (row,), _ = summarize(RunFolder(tmp_path / "right"))
    assert row.measures["retrieved"].value == 100.0


async def test_errors_count_as_wrong(tmp_path: Path, model: ScriptedChatModel) -> None:
    model.script = lambda _prompt: EndpointError("away")
    await run(setup(tmp_path))
    (row,), _ = summarize(RunFolder(tmp_path / "run"))
    assert (row.errors, row.measures["nodes"].value, row.measures["valid"].value) == (2, 0.0, 0.0)


async def test_a_plan_that_fits_no_tool_is_not_valid(tmp_path: Path, model: ScriptedChatModel) -> None:
    model.script = lambda _prompt: "1 [unknown] Do it"
    await run(setup(tmp_path))
    (row,), _ = summarize(RunFolder(tmp_path / "run"))
    assert (row.measures["valid"].value, row.measures["direct"].value) == (0.0, 100.0)


async def test_in_batches(tmp_path: Path) -> None:
    options = setup(tmp_path, decomposer=("small=lines:batch:planner",))
    await run(options)
    folder = RunFolder(tmp_path / "run")
    assert summarize(folder)[0][0].n == 0
    take(folder.path, answer(folder.path, 1, plan))
    await run(options)
    assert summarize(folder)[0][0].measures["nodes"].value == 50.0


def test_options_that_will_not_do(tmp_path: Path) -> None:
    for more, told in (
        ({"data": None}, "needs requests and tools"),
        ({"decomposer": ("batch:a", "lines:batch:a")}, "two decomposers are named 'a'"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            prepare(setup(tmp_path, **more), progress=lambda _line: None)
    with pytest.raises(ConfigurationError, match="holds no run"):
        summarize(RunFolder(tmp_path))
    assert running.NAME == "toolplans"
