"""Command lines of the training stages for machines that have torch, transformers and peft, and nothing else."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

R = TypeVar("R")


def parser(recipe: type[Any], about: str, paths: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with paths by place and an option for each field of a recipe."""
    made = argparse.ArgumentParser(description=about.splitlines()[0] if about else None)
    for path in paths:
        made.add_argument(path, type=Path)
    hints = get_type_hints(recipe)
    for field in fields(recipe):
        kinds = [kind for kind in get_args(hints[field.name]) if kind is not type(None)] or [hints[field.name]]
        name = f"--{field.name.replace('_', '-')}"
        if field.name == "layers":
            made.add_argument(name, type=lambda text: tuple(text.split(",")), default=field.default)
        elif kinds[0] is bool:
            made.add_argument(name, action="store_true")
        else:
            made.add_argument(name, type=kinds[0], required=field.name == "base", default=field.default)
    made.add_argument("--note", action="append", default=[], metavar="NAME=TEXT", help="more for the manifest")
    return made


def read(made: argparse.ArgumentParser, recipe: type[R]) -> tuple[list[Path], R, dict[str, str]]:
    """The paths, the recipe and the notes of the process's command line."""
    values = vars(made.parse_args())
    notes = dict(note.partition("=")[::2] for note in values.pop("note"))
    names = {field.name for field in fields(recipe)}  # type: ignore[arg-type]
    paths = [value for name, value in values.items() if name not in names]
    return paths, recipe(**{name: values[name] for name in names}), notes
