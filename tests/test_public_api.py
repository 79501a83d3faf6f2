import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import anabranch

HEAVY = ["torch", "xllamacpp", "transformers", "vllm", "openai", "langgraph", "langchain_core", "pydantic"]


def test_few_names_in_order() -> None:
    assert len(anabranch.__all__) <= 20
    assert anabranch.__all__ == sorted(anabranch.__all__)
    assert len(set(anabranch.__all__)) == len(anabranch.__all__)


@pytest.mark.parametrize("name", anabranch.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    value = getattr(anabranch, name)
    home = anabranch._HOMES[name]
    assert value is getattr(import_module(home), name)
    assert value.__doc__
    assert name in dir(anabranch)


def test_the_table_of_homes_is_complete() -> None:
    assert sorted(anabranch._HOMES) == anabranch.__all__


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    tree = ast.parse(Path(anabranch.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(guarded.test) == "TYPE_CHECKING"
    seen = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == anabranch._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="create_planer"):
        anabranch.create_planer  # noqa: B018
    with pytest.raises(ImportError):
        from anabranch import create_planer  # noqa: F401


def test_a_star_import_works() -> None:
    script = "from anabranch import *; import anabranch; print(set(anabranch.__all__) - set(globals()))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = f"import anabranch, sys; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_version_is_the_one_of_the_distribution() -> None:
    pyproject = Path(anabranch.__file__).parents[1] / "pyproject.toml"
    if not pyproject.exists():
        pytest.skip("not a source tree")
    assert f'version = "{anabranch.__version__}"' in pyproject.read_text(encoding="utf-8")
