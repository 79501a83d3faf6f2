"""Who plans where nobody is named, with and without the in-process model."""

import logging
import sys

import pytest

from anabranch.agents.decomposer import Decomposer, JsonDecomposer
from anabranch.agents.models import LOCAL_TYPE, RoleModel
from anabranch.agents.resolve import default_decomposer
from anabranch.cli.options import Options
from anabranch.config import planner_settings
from anabranch.errors import MissingExtraError
from anabranch.graphs.build import build_decomposer
from anabranch.graphs.planner import create_planner
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, reader, search


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anabranch.agents.local", None)


class LocalScripted(ScriptedChatModel):
    adapter: str | None = None

    @property
    def _llm_type(self) -> str:
        return LOCAL_TYPE


def test_the_in_process_one_where_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    local = RoleModel(LocalScripted(script=[]), small=True)
    made = default_decomposer(lambda: RoleModel(ScriptedChatModel(script=[])), local=lambda: local)
    assert getattr(made, "model", None) is local
    assert not caplog.records


@pytest.mark.usefixtures("without_extra")
def test_otherwise_the_solver_plans_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def script(prompt: str) -> str:
        return CRAIGSLIST if "You split a question" in prompt else str(reader(prompt))

    with caplog.at_level(logging.WARNING):
        planner = create_planner(solver=ScriptedChatModel(script=script), tools=[search])
    assert planner.invoke(ask())["answer"] == "In 1952"
    (record,) = caplog.records
    assert "pip install 'anabranch[local]'" in record.getMessage()


@pytest.mark.usefixtures("without_extra")
def test_the_in_process_one_by_name_is_an_error_without_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'anabranch\[local\]'"):
        create_planner(decomposer="local", solver=ScriptedChatModel(script=[]))
    with pytest.raises(MissingExtraError):
        create_planner()


@pytest.mark.usefixtures("without_extra")
def test_the_command_line_does_the_same() -> None:
    solver, notes = RoleModel(ScriptedChatModel(script=[])), list[str]()

    def built(options: Options) -> Decomposer:
        return build_decomposer(options, status=lambda _: None, note=notes.append, solver=lambda: solver)

    made = built(Options())
    assert isinstance(made, JsonDecomposer)
    assert made.model is solver
    assert len(notes) == 1
    with pytest.raises(MissingExtraError):
        built(Options(decomposer="local"))


def test_the_setting_names_nobody_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANABRANCH_DECOMPOSER", raising=False)
    assert planner_settings().decomposer is None
    monkeypatch.setenv("ANABRANCH_DECOMPOSER", "local")
    assert planner_settings().decomposer == "local"
