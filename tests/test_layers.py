"""The import direction, held on the syntax trees: imports inside functions and for type checking count too."""

import ast
from collections.abc import Container, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import anabranch

ROOT = Path(anabranch.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
BASE = frozenset(
    {
        "addresses",
        "background",
        "bounds",
        "characters",
        "codecs",
        "config",
        "errors",
        "fetching",
        "folders",
        "grading",
        "on_demand",
        "options",
        "plan",
        "private",
        "replies",
        "scope",
        "slots",
        "tracing",
        "locks",
        "headings",
        "json_schemas",
    }
)
BELOW = {
    **dict.fromkeys(BASE, BASE),
    "tools": BASE,
    "agents": BASE | {"tools"},
    "graphs": BASE | {"tools", "agents"},
    "middleware": BASE | {"tools", "agents", "graphs"},
    "batch": BASE | {"tools", "agents", "graphs"},
    "serving": BASE | {"tools", "agents", "graphs", "batch"},
    "distill": BASE | {"tools", "agents", "graphs", "batch"},
    "evals": BASE | {"tools", "agents", "graphs", "middleware", "batch"},
    "cli": BASE | {"tools", "agents", "graphs", "batch", "serving", "distill", "evals"},
}
"""What each layer may import, besides itself."""
MAX_LINES = 400


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The full names of all modules, and of names taken from modules, that a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layers_used(path: Path) -> set[str]:
    parts = [module.split(".") for module in imported(path) if module.split(".")[0] == "anabranch"]
    return {part[1] for part in parts if len(part) > 1}


LAYERED = [path for path in FILES if layer(path) not in ("__init__", "__main__")]


def test_every_module_belongs_to_a_layer() -> None:
    assert {layer(path) for path in LAYERED} <= set(BELOW)
    assert len(FILES) > 20


@pytest.mark.parametrize("path", LAYERED, ids=name)
def test_imports_go_one_way(path: Path) -> None:
    # Names of the package itself (`from anabranch import __version__`) are no layer.
    used = layers_used(path) & set(BELOW)
    assert used <= BELOW[layer(path)] | {layer(path)}


@pytest.mark.parametrize("path", [path for path in LAYERED if layer(path) != "cli"], ids=name)
def test_no_layer_takes_public_names_from_the_top(path: Path) -> None:
    """`from anabranch import create_planner` would import any layer through the back door."""
    assert layers_used(path) - set(BELOW) <= {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_are_absolute(path: Path) -> None:
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_evaluated_as_code(path: Path) -> None:
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    names = [call.func for call in calls if isinstance(call.func, ast.Name)]
    assert not [f"line {n.lineno}: {n.id}" for n in names if n.id in ("eval", "exec", "compile", "__import__")]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_no_modules_import_each_other() -> None:
    """Not even over others: whoever reads one file can follow its imports downwards."""
    names = {".".join(("anabranch", *path.relative_to(ROOT).with_suffix("").parts)): path for path in FILES}
    names = {module.removesuffix(".__init__"): path for module, path in names.items()}
    below = {
        module: {found for found in (_module(used, names) for used in imported(path)) if found and found != module}
        for module, path in names.items()
    }
    sorter = TopologicalSorter(below)
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def _module(used: str, names: Container[str]) -> str | None:
    """The module that an imported name is, or is taken from."""
    return used if used in names else next((used[:at] for at in [used.rfind(".")] if used[:at] in names), None)
