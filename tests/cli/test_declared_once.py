"""Every option of every command is declared in one place: the same name has no second text, default or declaration."""

import importlib
import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import typer

import anabranch
from anabranch.cli.commands import app
from anabranch.options import Option, OptionSet

ANOTHER_THING_ELSEWHERE = {
    *("adapter", "as_json", "base", "cache", "concurrency", "data", "decomposer", "examples", "held_out"),
    *("learning_rate", "limit", "max_seconds", "max_tokens", "out", "pairs", "plans", "price", "questions", "replies"),
    *("rows", "samples", "seed", "solver", "teacher", "temperature", "tool"),
}
"""Names that stand for something else in another command: the rows that `train` reads are not those `read` counts."""
ANOTHER_DEFAULT = {"port", "batch_tokens", "learning_rate", "warmup"}
"""Options that a command or recipe has another default for, said where it takes them."""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = command or typer.main.get_command(app)
    if command.params:
        yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


def option_sets(kind: type[Any] = OptionSet) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from option_sets(each)


def test_a_name_has_one_text_and_one_default_unless_it_is_another_thing() -> None:
    texts: dict[str, set[str]] = defaultdict(set)
    defaults: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, command in commands():
        for option in command.params:
            text = getattr(option, "help", None) or ""
            texts[option.name].add(text)
            defaults[option.name, text].add(repr(option.default))
    assert len(texts) > 100, "the walk reaches the commands"
    assert {name for name, found in texts.items() if len(found) > 1} == ANOTHER_THING_ELSEWHERE
    assert {name for (name, _), found in defaults.items() if len(found) > 1} == ANOTHER_DEFAULT


def test_a_text_is_written_once() -> None:
    for module in pkgutil.walk_packages(anabranch.__path__, "anabranch."):
        if module.name.rpartition(".")[2] in ("options", "recipes", "arguments"):
            importlib.import_module(module.name)
    written: dict[tuple[str, str], set[int]] = defaultdict(set)
    for kind in option_sets():
        for name, annotation in inspect.get_annotations(kind).items():
            for found in getattr(annotation, "__metadata__", ()):
                if isinstance(found, Option):
                    written[name, found.help].add(id(found))
    assert len(written) > 100
    for _, command in commands():
        function: Any = inspect.unwrap(command.callback)
        own = function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount]
        for name, annotation in inspect.get_annotations(function).items():
            info: Any = next(iter(getattr(annotation, "__metadata__", ())), None)
            if name in own and getattr(info, "help", None):
                written[name, info.help].add(id(info))
    assert {key: len(ids) for key, ids in written.items() if len(ids) > 1} == {}
