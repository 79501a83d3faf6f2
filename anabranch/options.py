"""The options of the planner, each declared once. Light: `anabranch --help` needs neither pydantic nor LangGraph.

A field is an option: its name, type and default are the field's, and its annotation has an `Option` with the rest. From
the fields come the keywords of `create_planner`, the options of the command line, the variables `ANABRANCH_...`, the
arguments of `serve.yaml`, and the tables of docs/options.md.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, Self, TypeVar, get_args, get_origin, get_type_hints

from anabranch.bounds import ANSWER_TOKENS, CALL_SECONDS
from anabranch.errors import ConfigurationError

PlanningMode = Literal["static", "dynamic"]
Protocol = Literal["auto", "guided", "per_node"]
AnswerForm = Literal["whole", "short"]
"""What the user gets: the model's whole answer, or the short one at its end, as graders want it."""
LOCAL_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model in this process, and the base of the adapters that come with the package."""
MODEL_NAMES = (
    "local, local:FILE.gguf[+ADAPTER], local:FOLDER, local:ADAPTER, hf:HUB_ID[+ADAPTER], http://host:8000/v1[#MODEL], "
    "openai:MODEL or PROVIDER:MODEL"
)
PRICE = "IN,OUT"
"""What stands for a price, in dollars per million tokens, in a command's help; values of such options are checked."""
_WIDTH = 120

P = ParamSpec("P")
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Option:
    """What there is to say about an option, besides its name, type and default.

    Attributes:
        help: what it is, in a sentence or two.
        more: what a Python programmer needs to know besides; the command line's help leaves it out.
        metavar: what stands for its value in the command line's help.
        least: the smallest number it may be.
        above: a number that it must exceed.
        most: the largest number it may be.
        shown: what is told as its default, where that is not the value of the field.
    """

    help: str
    more: str = ""
    metavar: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    shown: str = ""


@dataclass(frozen=True)
class Declared:
    """An option as it is declared.

    Attributes:
        name: its name.
        kind: its type, without what may be None.
        default: its default; `MISSING` of `dataclasses` where it must be given.
        about: what else there is to say.
    """

    name: str
    kind: Any
    default: Any
    about: Option

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, where there are only a few."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def many(self) -> bool:
        """Whether it may be given several times."""
        return get_origin(self.kind) is tuple

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"ANABRANCH_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """Its word on the command line."""
        return f"--{self.name.replace('_', '-')}"

    def read(self, value: Any) -> Any:
        """A value as its field has it: a list as a tuple, the text of a path as a path."""
        kind = get_args(self.kind)[0] if self.many else self.kind
        made = [Path(each) if kind is Path else each for each in (value if self.many else [value])]
        return tuple(made) if self.many else made[0]

    def check(self, value: Any, said: str = "") -> None:
        """Refuses a value that is out of range.

        Args:
            value: the value; None is in every range.
            said: what the error calls the option; its name if empty.

        Raises:
            ConfigurationError: the value is out of range, or a price of another form.
        """
        said, about = said or self.name, self.about
        if value is None:
            return
        if about.metavar == PRICE:
            price_of(value)
        if self.choices and value not in self.choices:
            raise ConfigurationError(f"unknown {self.name} {value!r}; use one of: {', '.join(self.choices)}")
        if about.least is not None and value < about.least:
            raise ConfigurationError(f"{said} is {value}; it must be at least {about.least:g}")
        if about.most is not None and value > about.most:
            raise ConfigurationError(f"{said} is {value}; it must be at most {about.most:g}")
        if about.above is not None and not value > about.above:
            unit = " seconds" if about.metavar == "SECONDS" else ""
            raise ConfigurationError(f"{said} is {value:g}; it must be more than {about.above:g}{unit}")


def declared(kind: type[Any]) -> Iterator[Declared]:
    """The options that a dataclass declares, its own before those of its bases; fields without an `Option` are none."""
    hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}
    # `fields` has those of the bases first; what a reader looks for first is the model and its tools.
    for name in dict.fromkeys(name for each in kind.__mro__ for name in inspect.get_annotations(each)):
        about = _about(kind, name)
        if about and name in known:
            yield Declared(name, _without_none(hints[name]), known[name].default, about)


def _about(kind: type[Any], name: str) -> Option | None:
    """What is said about a field; a class that only has another default for it says nothing."""
    for each in kind.__mro__:
        for found in getattr(inspect.get_annotations(each).get(name), "__metadata__", ()):
            if isinstance(found, Option):
                return found
    return None


def _without_none(kind: Any) -> Any:
    some = [each for each in get_args(kind) if each is not type(None)]
    return some[0] if len(some) == 1 and get_origin(kind) is not tuple else kind


class OptionSet:
    """The base of dataclasses whose fields are options."""

    @classmethod
    def of(cls, values: Mapping[str, Any], said: Callable[[Declared], str] = attrgetter("name")) -> Self:
        """Options out of a mapping that may hold other things too; None and an empty list keep the default.

        Texts become paths where the option is one.

        Args:
            values: the values by name.
            said: what an error calls an option.

        Raises:
            ConfigurationError: a value that does not fit.
        """
        known = {option.name: option for option in declared(cls)}
        given = {name: value for name, value in values.items() if name in known and value not in (None, [], ())}
        make: Any = cls
        made: Self = make(**{name: known[name].read(value) for name, value in given.items()})
        made.check(said)
        return made

    def check(self, said: Callable[[Declared], str] = attrgetter("name")) -> None:
        """Refuses what can be seen to be wrong before any model is loaded.

        Args:
            said: what an error calls an option.

        Raises:
            ConfigurationError: an unknown word, a number out of range, or a price that is not IN,OUT.
        """
        for option in declared(type(self)):
            option.check(getattr(self, option.name), said(option))


HowPlansRun = Annotated[
    Protocol,
    Option(
        "How plans run: auto, guided (one call) or per_node (one each).",
        "`auto` decides by the plan's routes (see `graphs/protocol.py`).",
        metavar="NAME",
    ),
]
MostSubQuestions = Annotated[
    int, Option("Most sub-questions in a plan.", "In dynamic mode, in all layers together.", metavar="N", least=1)
]
ToolNames = Annotated[
    tuple[str, ...],
    Option(
        "calculator, python, none, or MODULE:ATTRIBUTE of a tool or function, which imports that module.",
        metavar="NAME",
        shown="calculator",
    ),
]
SolverPrice = Annotated[str, Option("Solver's price, $ per million tokens.", metavar=PRICE)]
DecomposerPrice = Annotated[str, Option("Decomposer's price, $ per million tokens.", metavar=PRICE)]


@dataclass(frozen=True, kw_only=True)
class PlannerOptions(OptionSet):
    """What can be said of a planner wherever one is built: in Python, on the command line, in the environment."""

    mode: Annotated[
        PlanningMode,
        Option("static: the whole plan at once; dynamic: step by step, given the answers.", metavar="MODE"),
    ] = "static"
    protocol: HowPlansRun = "auto"
    max_sub_questions: MostSubQuestions = 8
    max_replans: Annotated[
        int, Option("Most plans after the first.", "In static mode; a layer is no new plan.", metavar="N", least=0)
    ] = 1
    step_timeout: Annotated[
        float,
        Option(
            "Seconds one sub-question may take.",
            "The wait for its dependencies does not count.",
            metavar="SECONDS",
            above=0,
        ),
    ] = 120.0
    grounded: Annotated[
        bool,
        Option(
            "Answer out of what tools look up, or say that it was not found.",
            "The `status` is then `not_found`, and nothing is answered out of what the solver knows. What no plan "
            "looks up is looked up as it is asked, steps may only reason over what was found, and an answer is checked "
            "before it is shown, so it comes in one piece. Needs a tool that looks things up. Thanks and greetings are "
            "answered all the same.",
        ),
    ] = False
    review: Annotated[
        bool,
        Option(
            "Approve or edit each plan before it runs.",
            'It waits for a person\'s `PlanDecision`, or for `"approve"`, `"reject"` or words on what should be '
            "different. Needs a checkpointer, or `checkpointer=True`.",
        ),
    ] = False

    def common(self) -> dict[str, Any]:
        """The options that every form of `PlannerOptions` has, by name."""
        return {field.name: getattr(self, field.name) for field in fields(PlannerOptions)}


@dataclass(frozen=True, kw_only=True)
class PlannerSettings(PlannerOptions):
    """What a planner is built from where all is text or a number: commands, the environment, files."""

    decomposer: Annotated[
        str | None,
        Option(
            f"Model that writes the plan: {MODEL_NAMES}.",
            metavar="MODEL",
            shown="local; the solver where local is not installed",
        ),
    ] = None
    solver: Annotated[str, Option("Model that answers; names as for --decomposer.", metavar="MODEL")] = "local"
    tool: ToolNames = ()
    docs: Annotated[
        tuple[str, ...],
        Option(
            "File or folder to search in; NAME=PATH or NAME=PATH:DESCRIPTION for a search of its own.",
            metavar="PATH",
        ),
    ] = ()
    embeddings: Annotated[
        str | None,
        Option(
            "Embeddings by which documents are searched, besides their words: static, http://host:8000/v1#MODEL, "
            "openai:MODEL or PROVIDER:MODEL.",
            metavar="MODEL",
            shown="by words alone",
        ),
    ] = None
    mcp: Annotated[
        tuple[str, ...], Option("File that names MCP servers (mcpServers), whose tools plans may use.", metavar="FILE")
    ] = ()
    budget_tokens: Annotated[int | None, Option("Most tokens for one question.", metavar="N", least=1)] = None
    budget_seconds: Annotated[float | None, Option("Most seconds for one question.", metavar="SECONDS", above=0)] = None
    call_timeout: Annotated[
        float | None,
        Option("Seconds one model call may take in all.", metavar="SECONDS", above=0, shown=f"{CALL_SECONDS:g}"),
    ] = None
    max_answer_tokens: Annotated[
        int | None,
        Option("Most tokens of one reply.", metavar="N", least=1, shown=f"the model's own limit, else {ANSWER_TOKENS}"),
    ] = None
    price: SolverPrice = ""
    decomposer_price: DecomposerPrice = ""


def price_of(text: str) -> tuple[float, float] | None:
    """Reads a price, `IN,OUT` in dollars per million tokens; None for an empty text.

    Raises:
        ConfigurationError: it has another form.
    """
    if not text:
        return None
    match = re.fullmatch(r"\s*(\d+|\d*\.\d+)\s*,\s*(\d+|\d*\.\d+)\s*", text)
    if match is None:
        raise ConfigurationError(f"the price {text!r} is not IN,OUT in dollars per million tokens, such as 0.15,0.60")
    return float(match[1]), float(match[2])


def keywords_of(kind: Callable[P, Given]) -> Callable[[Callable[[Given], Made]], Callable[P, Made]]:
    """Gives a function of one set of options each of them as a keyword: typed, and told in the function's docstring.

    Args:
        kind: the dataclass of the options; the docstring's argument `options` is replaced by its fields.
    """

    def give(function: Callable[[Given], Made]) -> Callable[P, Made]:
        @wraps(function)
        def made(*args: P.args, **kwargs: P.kwargs) -> Made:
            return function(kind(*args, **kwargs))

        hints, returned = get_type_hints(kind), inspect.signature(function).return_annotation
        keywords = [each.replace(annotation=hints[name]) for name, each in inspect.signature(kind).parameters.items()]
        told: Any = made
        told.__signature__ = inspect.Signature(keywords, return_annotation=returned)
        told.__annotations__ = {each.name: each.annotation for each in keywords} | {"return": returned}
        made.__doc__ = "\n".join(_told(inspect.getdoc(function) or "", kind))
        return made

    return give


def _told(doc: str, kind: Any) -> Iterator[str]:
    """The lines of a docstring, with one entry for each option in place of that for all of them."""
    for line in doc.splitlines():
        if line.lstrip().startswith("options: "):
            yield from _entries(declared(kind))
        else:
            yield line


def _entries(options: Iterable[Declared]) -> Iterator[str]:
    for option in options:
        text = f"{option.name}: {option.about.help} {option.about.more}".strip()
        yield from textwrap.wrap(text, _WIDTH - 8, initial_indent=" " * 4, subsequent_indent=" " * 8)
