"""The options of the planner: declared once, the same wherever a planner is built."""

import importlib.util
import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from anabranch import create_planner
from anabranch.cli.commands import app
from anabranch.config import planner_settings
from anabranch.distill import options as stage_options
from anabranch.distill.recipes import LAYERS, Recipe
from anabranch.errors import ConfigurationError
from anabranch.evals import options as eval_options
from anabranch.graphs.options import PlannerArguments
from anabranch.options import Option, PlannerOptions, PlannerSettings, declared
from anabranch.serving.arguments import AppArguments
from anabranch.serving.service import Parts
from tests.fakes import ScriptedChatModel

ROOT = Path(__file__).parents[1]
COMMON = [option.name for option in declared(PlannerOptions)]


def test_every_field_is_a_declared_option() -> None:
    known = {**vars(stage_options), **vars(eval_options)}.values()
    commands: list[Any] = [each for each in known if is_dataclass(each) and each is not Option]
    for kind in (PlannerOptions, PlannerSettings, PlannerArguments, *commands):
        assert {option.name for option in declared(kind)} == {field.name for field in fields(kind)}
        assert all(option.about.help.endswith(".") for option in declared(kind))


def test_the_keywords_of_create_planner_are_the_declared_ones() -> None:
    parameters = inspect.signature(create_planner).parameters
    options = {option.name: option for option in declared(PlannerArguments)}
    assert {name: each.default for name, each in parameters.items()} == {n: o.default for n, o in options.items()}
    assert parameters["max_replans"].annotation is int
    assert all(each.kind == inspect.Parameter.KEYWORD_ONLY for each in parameters.values())
    doc = inspect.getdoc(create_planner) or ""
    assert doc.startswith("Builds the planner:")
    assert doc.index("Args:\n    decomposer: ") < doc.index("    max_replans: Most plans") < doc.index("Raises:")


def test_layers_may_be_one_text_or_several() -> None:
    assert Recipe().layers == LAYERS
    for given in (["q_proj, v_proj"], ["q_proj", "v_proj,"]):
        assert Recipe.of({"layers": given}).layers == ("q_proj", "v_proj")


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="max_replan"):
        create_planner(max_replan=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mode": "sideways"}, "unknown mode 'sideways'; use one of: static, dynamic"),
        ({"protocol": "guide"}, "unknown protocol 'guide'; use one of: auto, guided, per_node"),
        ({"answer_form": "long"}, "unknown answer_form 'long'; use one of: whole, short"),
        ({"unmarked_tools": "none"}, "unknown unmarked_tools 'none'; use one of: look_up, action"),
        ({"max_sub_questions": 0}, "max_sub_questions is 0; it must be at least 1"),
        ({"max_replans": -1}, "max_replans is -1; it must be at least 0"),
        ({"step_timeout": 0.0}, "step_timeout is 0; it must be more than 0 seconds"),
        ({"step_timeout": float("nan")}, "step_timeout is nan; it must be more than 0 seconds"),
    ],
)
def test_what_no_planner_can_be_built_from(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_planner(solver=ScriptedChatModel(script=[]), **given)
    assert str(caught.value) == told


def test_the_environment_sets_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planner_settings() == PlannerSettings()
    given = {
        "mode": "dynamic",
        "protocol": "per_node",
        "max_sub_questions": "3",
        "max_replans": "0",
        "step_timeout": "1.5",
        "grounded": "true",
        "review": "1",
        "decomposer": "http://host/v1",
        "solver": "openai:x",
        "tool": '["calculator", "python"]',
        "docs": "my papers",
        "embeddings": "static",
        "mcp": "mcp.json",
        "budget_tokens": "9",
        "budget_seconds": "2.5",
        "call_timeout": "4",
        "max_answer_tokens": "7",
        "price": "1,2",
        "decomposer_price": "0.5,1",
    }
    assert set(given) == {option.name for option in declared(PlannerSettings)}
    for option in declared(PlannerSettings):
        monkeypatch.setenv(option.variable, given[option.name])
    read = planner_settings()
    assert (read.tool, read.docs, read.max_replans, read.step_timeout) == (
        ("calculator", "python"),
        ("my papers",),
        0,
        1.5,
    )
    assert not [option.name for option in declared(PlannerSettings) if getattr(read, option.name) == option.default]
    for option in declared(PlannerSettings):
        monkeypatch.setenv(option.variable, "")
    assert planner_settings() == PlannerSettings()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MAX_REPLANS", "many", "ANABRANCH_MAX_REPLANS='many'"),
        ("MAX_REPLANS", "-1", "ANABRANCH_MAX_REPLANS is -1; it must be at least 0"),
        ("MODE", "sideways", "ANABRANCH_MODE='sideways'"),
        ("TOOL", '["calculator"', "ANABRANCH_TOOL"),
        ("PRICE", "cheap", "the price 'cheap' is not IN,OUT"),
    ],
)
def test_variables_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(f"ANABRANCH_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        planner_settings()
    assert told in str(caught.value)


@pytest.mark.parametrize("command", [("ask",), ("chat",), ("serve", "app"), ("serve", "mcp")])
def test_commands_that_run_plans_take_every_option(command: tuple[str, ...]) -> None:
    found: Any = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]
    parameters = {each.name: each for each in found.params}
    left_out = {"review"} if command[0] == "serve" else set()
    for option in declared(PlannerSettings):
        if option.name in left_out:
            continue
        parameter = parameters[option.name]
        assert option.flag in parameter.opts
        assert parameter.default == (None if option.many else option.default)


def test_a_command_reads_the_variable_and_the_word_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown protocol ends the command before anything is loaded, so what was read can be seen."""
    monkeypatch.setenv("ANABRANCH_PROTOCOL", "by-variable")
    for words, told in (((), "by-variable"), (("--protocol", "by-word"), "by-word")):
        result = CliRunner().invoke(app, ["ask", "Why?", *words])
        assert result.exit_code == 2
        assert f"unknown protocol '{told}'" in result.output


def test_a_server_keeps_every_common_option() -> None:
    settings = PlannerSettings(max_replans=3, mode="dynamic", grounded=True)
    parts: Any = Parts(decomposer=None, solver=None, **settings.common())  # type: ignore[arg-type]
    assert {name: getattr(parts, name) for name in COMMON} == settings.common()


def test_the_page_of_options_is_as_the_declarations_say() -> None:
    spec = importlib.util.spec_from_file_location("docs_options", ROOT / "docs" / "options.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python docs/options.py"


def test_the_file_of_ray_serve_has_the_same_options() -> None:
    shipped = yaml.safe_load((ROOT / "serve.yaml").read_text(encoding="utf-8"))["applications"][0]["args"]
    settings = AppArguments.read(shipped).settings()
    assert (settings.solver, settings.tool) == ("openai:gpt-5-mini", ("calculator",))
    given = {"tools": ["python"], "tool": ["calculator"], "documents": "papers", "max_replans": 0, "timeout": 9}
    read = AppArguments.read(given)
    expected = PlannerSettings(tool=("calculator", "python"), docs=("papers",), max_replans=0)
    assert (read.settings(), read.timeout, read.step_timeout) == (expected, 9.0, 120.0)


def test_the_file_of_ray_serve_is_checked() -> None:
    with pytest.raises(ValidationError, match="max_replan"):
        AppArguments.read({"max_replan": 1})
    with pytest.raises(ConfigurationError, match="max_replans is -1"):
        AppArguments.read({"max_replans": -1}).settings()
