import pytest
from langchain_core.tools import BaseTool, StructuredTool

from anabranch.errors import ConfigurationError
from anabranch.tools import Catalogue, ToolCard, calculator, python_sandbox
from anabranch.tools.catalogue import first_sentence


def _tool(name: str, description: str = "Does it.") -> BaseTool:
    return StructuredTool.from_function(func=lambda text: text, name=name, description=description, infer_schema=True)


def test_lists_tools_in_the_order_given() -> None:
    tools = [python_sandbox(), calculator()]
    catalogue = Catalogue(tools)
    assert list(catalogue) == ["python", "calculator"]
    assert len(catalogue) == 2
    assert catalogue["calculator"] is tools[1]
    assert "search" not in catalogue


def test_may_be_empty() -> None:
    assert not Catalogue()
    assert Catalogue().cards == []


def test_cards_carry_the_first_sentence() -> None:
    catalogue = Catalogue([_tool("a", "Finds facts. Use it often."), _tool("b", "\n  First line\nsecond line")])
    assert catalogue.cards == [
        ToolCard(name="a", description="Finds facts."),
        ToolCard(name="b", description="First line"),
    ]


@pytest.mark.parametrize("name", ["solve", "with space", "ä", "", "a" * 65, "new\nline", "a\n"])
def test_refuses_names_that_cannot_be_routes(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a route"):
        Catalogue([_tool(name)])


@pytest.mark.parametrize("name", ["a", "mcp:files/read", "v1.2-x_y", "Solve"])
def test_takes_names_of_other_systems(name: str) -> None:
    assert list(Catalogue([_tool(name)])) == [name]


def test_refuses_two_tools_of_one_name() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named 'calculator'"):
        Catalogue([calculator(), calculator()])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ""),
        ("One. Two.", "One."),
        ("Version 1.2 of it. More.", "Version 1.2 of it."),
        ("Is it? Yes.", "Is it?"),
        ("\n\n  Indented line  \nnext", "Indented line"),
        ("x" * 200, "x" * 159 + "…"),
        ("Looks up U.K. companies by name. More.", "Looks up U.K. companies by name."),
        ("Finds i.a. songs (e.g. Sheet music). More.", "Finds i.a. songs (e.g. Sheet music)."),
        ("Lists songs, films, etc. of a year. More.", "Lists songs, films, etc. of a year."),
        ("Lists songs, films, etc. Use it often.", "Lists songs, films, etc."),
        (
            "Asks Dr. Vale of St. Hollin vs. Acme Inc. Holdings. More.",
            "Asks Dr. Vale of St. Hollin vs. Acme Inc. Holdings.",
        ),
        ("Works by J. R. Vale et al. in print. More.", "Works by J. R. Vale et al. in print."),
        ("Takes ver. 2.1 or No. 5. More.", "Takes ver. 2.1 or No. 5."),
        ("Answers yes or no. Then more.", "Answers yes or no."),
        ("Returns min. and max. temp. in a town. More.", "Returns min. and max. temp. in a town."),
        ("Was opened in 1911. More.", "Was opened in 1911."),
        ("1. Finds songs. 2. Plays them.", "1. Finds songs."),
        ("Reads Yahoo! Finance. More.", "Reads Yahoo! Finance."),
        (
            "Finds restaurants near a place and returns their names,\n    addresses and ratings. More.",
            "Finds restaurants near a place and returns their names, addresses and ratings.",
        ),
    ],
)
def test_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence
