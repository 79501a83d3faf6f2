"""The bodies of `anabranch distill`: options in, a stage run, its manifest as JSON on standard output."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import typer

from anabranch.agents import prompts
from anabranch.cli.options import Options
from anabranch.config import Price
from anabranch.errors import ConfigurationError, MissingExtraError
from anabranch.options import price_of

Values = Mapping[str, Any]


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[None]:
    """Shows what the stages log on standard error."""
    loggers = [] if quiet else [logging.getLogger(f"anabranch.{name}") for name in ("distill", "batch")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def demonstrate(values: Values) -> None:
    """Runs the stage `demonstrate`."""
    from anabranch.distill.demonstrate import demonstrate

    data, work, teachers = Path(values["data"]), Path(values["work"]), values["teacher"] or ["local"]
    options = {name: values[name] for name in ("samples", "limit")}
    options["replies"] = _replies(values, "teacher", teachers[0])
    _show(asyncio.run(demonstrate(data, work, teachers, price=_price(values), **options)))


def build(values: Values) -> None:
    """Runs the stage `build`."""
    from anabranch.distill import pipeline

    options = {name: values[name] for name in ("seed", "written", "limit")}
    given = Path(values["plans"]) if values["plans"] is not None else None
    options |= {name: values[name] or () for name in ("leave_out", "include")}
    _show(pipeline.build(Path(values["data"]), Path(values["work"]), given=given, **options))


def read(values: Values) -> None:
    """Runs the stage `read`."""
    from anabranch.distill.read import read

    options = {name: values[name] for name in ("rows", "seed")}
    _show(asyncio.run(read(Path(values["data"]), Path(values["work"]), values["teacher"], **options)))


def solutions(values: Values) -> None:
    """Runs the stage `solutions`."""
    from anabranch.distill.solutions import solutions

    questions, options = [Path(name) for name in values["questions"]], {n: values[n] for n in ("teacher", "limit")}
    _show(asyncio.run(solutions(questions, Path(values["work"]), price=_price(values), **options)))


def draw(values: Values) -> None:
    """Runs the stage `draw`."""
    from anabranch.distill import drawing

    tools = {"tools": tuple(name for name in values["tool"] if name != "none")} if values["tool"] else {}
    options = _of(drawing.Drawing, {**values, **tools, "price": _price(values)})
    questions, work = Path(values["questions"]), Path(values["work"])
    how, replies = drawing.Drawing(**options), _replies(values, "decomposer", values["decomposer"])
    _show(asyncio.run(drawing.draw(questions, work, values["decomposer"], how, limit=values["limit"], replies=replies)))


def screen(values: Values) -> None:
    """Runs the stage `screen`."""
    from anabranch.distill import screening
    from anabranch.distill.selection import Selection

    replies = _replies(values, "solver", values["solver"] or "batch:solver")
    selection = Selection(**_of(Selection, {**values, "plans": values["plans_kept"]}))
    Options.of({"protocol": values["protocol"]})
    how = screening.Screening(**{**_of(screening.Screening, values), "selection": selection, "price": _price(values)})
    questions, work = Path(values["questions"]), Path(values["work"])
    if values["screened"] is not None:
        if values["plans"] is not None or values["solver"] is not None or replies is not None:
            raise ConfigurationError("--screened has plans and outcomes; leave out --plans, --solver and --replies")
        _show(screening.again(questions, Path(values["screened"]), work, how))
        return
    if values["plans"] is None:
        raise ConfigurationError("there are no plans; give --plans, or --screened with those of an earlier screening")
    plans = Path(values["plans"])
    _show(asyncio.run(screening.run(questions, plans, work, values["solver"], how, replies=replies)))


def train(values: Values) -> None:
    """Runs the stage `train`."""
    _need_training()
    from anabranch.distill.recipes import Recipe
    from anabranch.distill.train import train

    layers = tuple(name.strip() for name in values["layers"].split(",") if name.strip())
    recipe = _recipe(Recipe, {**values, "layers": layers})
    rows, held_out, out = (Path(values[name]) for name in ("rows", "held_out", "out"))
    train(_base(values), rows, held_out, out, recipe, {"prompts": prompts.version()})
    _show(json.loads((out / "manifest.json").read_text(encoding="utf-8")))


def prefer(values: Values) -> None:
    """Runs the stage `prefer`."""
    _need_training()
    from anabranch.distill.preference import prefer
    from anabranch.distill.recipes import PreferenceRecipe

    recipe = _recipe(PreferenceRecipe, values)
    adapter, pairs, held_out, out = (Path(values[name]) for name in ("adapter", "pairs", "held_out", "out"))
    prefer(_base(values), adapter, pairs, held_out, out, recipe, {"prompts": prompts.version()})
    _show(json.loads((out / "manifest.json").read_text(encoding="utf-8")))


def reinforce(values: Values) -> None:
    """Runs the stage `reinforce`."""
    _need_training()
    from anabranch.distill.recipes import Reinforcement
    from anabranch.distill.reinforce import Inputs, reinforce
    from anabranch.distill.rewards import reward_named

    how = _recipe(Reinforcement, values)
    reward = reward_named(values["reward"])
    given = {name: tuple(Path(path) for path in values[name] or ()) for name in ("questions", "tune", "corpus")}
    inputs = Inputs(**given, replay=Path(values["replay"]) if values["replay"] is not None else None)
    adapter, out, notes = Path(values["adapter"]), Path(values["out"]), {"prompts": prompts.version()}
    where = {"decomposer": values["decomposer"], "reward": reward, "notes": notes}
    reinforce(_base(values), adapter, inputs, out, values["solver"], how, **where)
    _show(json.loads((out / "manifest.json").read_text(encoding="utf-8")))


def export(values: Values) -> None:
    """Runs the stage `export`."""
    from anabranch.agents.local import prepare
    from anabranch.distill import export

    adapter, out = Path(values["adapter"]), Path(values["out"])
    base = prepare(values["base"] or export.base_of(adapter))
    forms = {"merged": export.merged, "gguf": export.gguf}
    if values["form"] not in forms:
        raise ConfigurationError(f"unknown format {values['form']!r}; use one of: {', '.join(forms)}")
    if values["form"] == "merged":
        _show(export.merged(base, adapter, out))
    else:
        _show(export.gguf(base, adapter, out, values["weights"]))


def score_plans(values: Values) -> None:
    """Scores plans by a solver's answers."""
    from anabranch.distill import scoring

    options = {name: values[name] for name in ("decomposer", "solver", "examples", "limit")}
    _show(asyncio.run(scoring.plans(values["name"], Path(values["data"]), Path(values["out"]), **options)))


def score_rows(values: Values, kind: str) -> None:
    """Scores a decomposer's routes, or a small solver."""
    from anabranch.batch.files import write_manifest
    from anabranch.distill import scoring

    out, rows = Path(values["out"]), Path(values["rows"])
    if kind == "routes":
        result = asyncio.run(scoring.routes(rows, values["decomposer"], out / "routes_replies.jsonl"))
    else:
        result = asyncio.run(scoring.small_solver(rows, values["solver"], out / "solver_replies.jsonl"))
    write_manifest(out / f"{kind}.json", result)
    _show(result)


def _need_training() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"training needs {', '.join(missing)}; install with: pip install 'anabranch[train]'")


def _base(values: Values) -> Path:
    from anabranch.agents.local import prepare

    return prepare(values["base"])


def _recipe(kind: type[Any], values: Values) -> Any:
    recipe = kind(**{**_of(kind, values), "base": values["base_name"] or values["base"]})
    recipe.check(attrgetter("flag"))
    return recipe


def _of(kind: type[Any], values: Values) -> dict[str, Any]:
    """The values that a dataclass has fields for."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def _replies(values: Values, role: str, model: str) -> Path | None:
    """The file of replies that a model gave elsewhere, if there is one."""
    from anabranch.batch.chat import elsewhere

    if values["replies"] is None:
        return None
    if not elsewhere(model):
        raise ConfigurationError(f"--replies goes with --{role} batch:NAME, not with {model}; name who answered there")
    return Path(values["replies"])


def _price(values: Values) -> Price | None:
    price = price_of(values["price"])
    return Price(input=price[0], output=price[1]) if price else None


def _show(result: Any) -> None:
    typer.echo(json.dumps(result, ensure_ascii=False))
