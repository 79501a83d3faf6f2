"""Writes docs/options.md out of the declarations of the options: `python docs/options.py`."""

from collections.abc import Iterator
from pathlib import Path

from anabranch.graphs.options import PlannerArguments
from anabranch.options import Declared, PlannerOptions, PlannerSettings, declared

PAGE = Path(__file__).with_suffix(".md")


def page() -> str:
    """The page."""
    common = {option.name for option in declared(PlannerOptions)}
    own = [option for option in declared(PlannerArguments) if option.name not in common]
    parts = [
        "# Options of the planner",
        "Each is declared once, in `anabranch/options.py` or `anabranch/graphs/options.py`. This page is written by "
        "`python docs/options.py`.",
        "## Everywhere",
        "Keywords of `create_planner`, options of `anabranch ask`, `chat`, `plan`, `serve app` and `serve mcp` as far "
        "as they apply there, arguments of the planner in `serve.yaml`, and variables of the environment, which "
        "`langgraph dev` reads, too.",
        "\n".join(_table(declared(PlannerOptions), with_words=True)),
        "## Where all is text",
        "On the command line, in the environment and in `serve.yaml`. `ANABRANCH_TOOL`, `ANABRANCH_DOCS` and "
        "`ANABRANCH_MCP` have one value or a JSON list; commands do not read them.",
        "\n".join(_table((each for each in declared(PlannerSettings) if each.name not in common), with_words=True)),
        "## Only in Python",
        "\n".join(_table(own, with_words=False)),
    ]
    return "\n\n".join(parts) + "\n"


def _table(options: Iterator[Declared] | list[Declared], *, with_words: bool) -> Iterator[str]:
    words = ["Command line", "Environment"] if with_words else []
    heads = ["Name", *words, "Default", "Meaning"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for option in options:
        said = [f"`{option.flag}`", f"`{option.variable}`"] if with_words else []
        default = option.about.shown or ("" if option.default in (None, "", ()) else f"`{option.default}`")
        meaning = f"{option.about.help} {option.about.more}".strip().replace("|", "\\|")
        yield f"| {' | '.join([f'`{option.name}`', *said, default, meaning])} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
