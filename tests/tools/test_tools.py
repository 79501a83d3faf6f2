import subprocess
import sys

import pytest

from anabranch.errors import ConfigurationError
from anabranch.tools import Catalogue, builtin_tool, calculator, document_search, python_sandbox


@pytest.mark.parametrize("name", ["calculator", "python"])
def test_makes_tools_by_name(name: str) -> None:
    assert builtin_tool(name).name == name


@pytest.mark.parametrize("name", ["", "Calculator", "search", "eval"])
def test_names_the_known_tools(name: str) -> None:
    with pytest.raises(ConfigurationError, match="use one of: calculator, python"):
        builtin_tool(name)


def test_says_what_search_needs() -> None:
    with pytest.raises(ConfigurationError, match="--docs"):
        builtin_tool("search")


def test_a_planner_can_choose_by_the_cards() -> None:
    catalogue = Catalogue([calculator(), python_sandbox(), document_search("examples/documents")])
    for card in catalogue.cards:
        assert card.description.endswith(".")
        assert 40 < len(card.description) < 120


def test_importing_loads_no_library_behind_a_tool() -> None:
    code = "import sys, anabranch.tools; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "numpy",
        "pypdf",
        "selectolax",
        "docx",
        "cchardet",
        "markdown_it",
        "pydantic_monty",
        "torch",
        "transformers",
        "openai",
        "vllm",
    }
