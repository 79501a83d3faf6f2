"""`python -m anabranch.distill`: the stages as commands."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from anabranch.distill import pipeline, scoring
from anabranch.distill.records import read_jsonl
from anabranch.errors import AnabranchError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Distil a decomposer and a small solver.")
Work = Annotated[Path, typer.Option(help="folder for what the stages make")]
Data = Annotated[Path, typer.Option(help="folder of the data sets")]
Limit = Annotated[int | None, typer.Option(help="only so many rows of each kind")]


@app.command()
def teach(url: str, model: str, data: Data, work: Work, samples: int = 4, limit: Limit = None) -> None:
    """Asks a teacher at an OpenAI-compatible address for plans, questions and answers."""
    tokens = asyncio.run(pipeline.teach(data, work, url=url, model=model, samples=samples, limit=limit))
    _show({"teacher": model, "tokens": tokens})


@app.command()
def build(data: Data, work: Work, seed: int = 1, written: int = 5000, limit: Limit = None) -> None:
    """Builds training, tuning and test rows."""
    _show(pipeline.build(data, work, seed=seed, written=written, limit=limit))


@app.command()
def train(
    model: Path,
    rows: Path,
    held_out: Path,
    out: Path,
    base: str = "HuggingFaceTB/SmolLM2-135M-Instruct",
    rank: int = 16,
    learning_rate: float = 1e-3,
    epochs: int = 1,
    batch_tokens: int = 12_288,
    seed: int = 1,
) -> None:
    """Trains a LoRA adapter on rows."""
    from anabranch.agents import prompts
    from anabranch.distill.train import Recipe, train

    recipe = Recipe(
        base=base,
        rank=rank,
        alpha=2 * rank,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_tokens=batch_tokens,
        seed=seed,
    )
    train(model, rows, held_out, out, recipe, {"prompts": prompts.version()})


@app.command()
def score_plans(
    solver_url: str,
    solver: str,
    planner_url: str,
    planner: str,
    data: Path,
    out: Path,
    name: str,
    examples: bool = False,
    limit: Limit = None,
) -> None:
    """Scores a decomposer's plans on GSM8K; the planner `none` is a direct answer with chain of thought."""
    results = asyncio.run(
        _plans(
            scoring.Server(solver_url, solver), scoring.Server(planner_url, planner), data, out, name, examples, limit
        )
    )
    _show(results)


async def _plans(
    solver: scoring.Server, planner: scoring.Server, data: Path, out: Path, name: str, examples: bool, limit: int | None
) -> dict[str, Any]:
    rows = list(read_jsonl(data))
    rows = rows[:limit] if limit is None or limit >= 0 else rows[limit:]
    plans: dict[str, Any] = {}
    if planner.model.endswith(".jsonl"):
        plans = scoring.teacher_plans(Path(planner.model))
        rows = [row for row in rows if row["id"] in plans]
        plans = {row["id"]: plans[row["id"]] for row in rows}
    elif planner.model != "none":
        plans, _ = await scoring.plans_of(rows, planner, out / f"{name}_plans.jsonl", examples=examples)
    result = await scoring.guided(name, rows, plans, solver, out / f"{name}_answers.jsonl")
    scoring.save(out / f"{name}.json", result)
    return result


@app.command()
def score_routes(url: str, model: str, rows: Path, out: Path) -> None:
    """Scores a decomposer's routes on unseen catalogues."""
    result = asyncio.run(scoring.routes(rows, scoring.Server(url, model), out / f"routes_{model}.jsonl"))
    scoring.save(out / f"routes_{model}.json", result)
    _show(result)


@app.command()
def score_solver(url: str, model: str, rows: Path, out: Path) -> None:
    """Scores a small solver on held-out rows."""
    result = asyncio.run(scoring.small_solver(rows, scoring.Server(url, model), out / f"solver_{model}.jsonl"))
    scoring.save(out / f"solver_{model}.json", result)
    _show(result)


def _show(result: Any) -> None:
    typer.echo(json.dumps(result))


def main() -> None:
    """Runs a command; mistakes become one line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        app(standalone_mode=True)
    except AnabranchError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
