"""Systems by name: what `--system` takes, crossed with decomposers and solvers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

from anabranch.agents import prompts as product_prompts
from anabranch.agents.decomposer import JsonDecomposer, LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.config import Price
from anabranch.errors import ConfigurationError
from anabranch.evals import interleaved, prompts, systems
from anabranch.evals.models import Models, ModelSpec
from anabranch.options import Protocol as RunProtocol

ALONE = ("direct", "cot", "ircot", "self-ask", "unguided", "program", "react")
"""Systems without a decomposer."""
PLANNING = ("two-stage", "middleware", "static", "dynamic", "human")
MOST_SAMPLES = 64
MOST_PASSAGES = 64
PROTOCOLS = ("auto", "guided", "per_node", "program")
OPTIONS = frozenset({"always", "sequential"})
FORMS = (
    "direct, cot, cot:SAMPLES, rag:PASSAGES, ircot, self-ask, unguided, program, react[:tool_first], two-stage, "
    "middleware[:stop], static[:PROTOCOL], "
    "dynamic[:PROTOCOL] or human[:PROTOCOL], with PROTOCOL auto, guided, per_node or program, :always to plan without "
    "the gate, and :sequential to answer one sub-question at a time"
)


@dataclass(frozen=True)
class SystemSpec:
    """A system and its models.

    Attributes:
        name: as on the command line, such as `static:guided`.
        kind: its first part.
        protocol: how plans run; for chain of thought, the number of samples; for one search, that of
            passages; for agents, `tool_first` or `stop`.
        options: `always` to plan for every question, whatever the gate says; `sequential` to answer sub-questions
            one after the other.
        solver: who answers.
        decomposer: who plans; None for systems that do not, and for the plans of people.
    """

    name: str
    kind: str
    protocol: str
    options: frozenset[str]
    solver: ModelSpec
    decomposer: ModelSpec | None

    @property
    def label(self) -> str:
        """The system and its models, as reports name it."""
        models = [f"decomposer {self.decomposer.label}"] if self.decomposer else []
        return f"{self.name} ({', '.join([*models, f'solver {self.solver.label}'])})"


def cross(names: Sequence[str], decomposers: Sequence[str], solvers: Sequence[str]) -> list[SystemSpec]:
    """Every system with every solver, and with every decomposer where it plans.

    Raises:
        ConfigurationError: an unknown system, or the same one twice.
    """
    planners, answering = [ModelSpec.of(name) for name in decomposers], [ModelSpec.of(name) for name in solvers]
    found: list[SystemSpec] = []
    for name, solver in product(dict.fromkeys(names), answering):
        kind, protocol, options = _parsed(name)
        plans: list[ModelSpec | None] = [*planners] if kind in PLANNING and kind != "human" else [None]
        found += [SystemSpec(name, kind, protocol, options, solver, plan) for plan in plans]
    labels = [spec.label for spec in found]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise ConfigurationError(f"two systems are named {twice!r}; give the models labels, such as small=batch:NAME")
    return found


def _parsed(name: str) -> tuple[str, str, frozenset[str]]:
    kind, *parts = name.split(":")
    if kind == "cot" and len(parts) == 1 and parts[0].isdecimal() and 2 <= int(parts[0]) <= MOST_SAMPLES:
        return kind, parts[0], frozenset()
    if kind == "rag" and len(parts) == 1 and parts[0].isdecimal() and 1 <= int(parts[0]) <= MOST_PASSAGES:
        return kind, parts[0], frozenset()
    if (kind, parts) in (("react", ["tool_first"]), ("middleware", ["stop"])):
        return kind, parts[0], frozenset()
    options = frozenset(OPTIONS.intersection(parts))
    rest = [part for part in parts if part not in options]
    protocol = rest[0] if rest else ("guided" if kind == "human" else "auto")
    known = (kind in ALONE and not parts) or (kind in PLANNING and len(rest) <= 1 and protocol in PROTOCOLS)
    if (
        not known
        or (kind in ("two-stage", "middleware") and parts)
        or (kind == "dynamic" and protocol in ("guided", "program"))
    ):
        raise ConfigurationError(f"unknown system {name!r}; use {FORMS}")
    return kind, protocol, options


@dataclass(frozen=True)
class Prices:
    """What models cost, where known."""

    solver: Price | None = None
    decomposer: Price | None = None


def build(spec: SystemSpec, models: Models, prices: Prices, *, max_sub_questions: int) -> systems.System:
    """The system of a spec, on its models.

    Raises:
        ConfigurationError, MissingExtraError, EndpointError: as the models do.
    """
    solver = models.open(spec.solver, "solver", prices.solver)
    alone = {
        "direct": systems.direct,
        "cot": systems.chain_of_thought,
        "ircot": interleaved.ircot,
        "self-ask": interleaved.self_ask,
        "unguided": systems.unguided,
        "program": systems.program,
    }
    if spec.kind == "cot" and spec.protocol.isdecimal():
        return systems.self_consistency(solver, int(spec.protocol))
    if spec.kind == "rag":
        return systems.direct(solver, int(spec.protocol))
    if spec.kind in alone:
        return alone[spec.kind](solver)
    if spec.kind == "react":
        return _react(solver, tool_first=spec.protocol == "tool_first")
    decomposer = models.open_decomposer(spec.decomposer, prices.decomposer) if spec.decomposer else None
    if spec.kind == "two-stage":
        if not isinstance(decomposer, LineDecomposer | JsonDecomposer):
            raise ConfigurationError("two-stage needs a decomposer")
        return systems.two_stage(solver, decomposer.model)
    if spec.protocol == "program":
        plans = systems.written_plan(decomposer, max_sub_questions) if decomposer else systems.human_plan()
        return systems.program(solver, plans)
    planner = systems.Planner(
        solver=solver,
        decomposer=decomposer,
        mode="dynamic" if spec.kind == "dynamic" else "static",
        protocol="auto" if spec.kind == "middleware" else cast(RunProtocol, spec.protocol),
        gate="always" if "always" in spec.options else "auto",
        sequential="sequential" in spec.options,
        max_sub_questions=max_sub_questions,
    )
    return _react(solver, planner, stop=spec.protocol == "stop") if spec.kind == "middleware" else planner


def _react(solver: RoleModel, planner: systems.Planner | None = None, **options: bool) -> systems.System:
    from anabranch.evals.agent import react  # needs LangChain, which not everybody has

    return react(solver, planner, **options)


def prompts_version() -> str:
    """Short hashes of all prompts: the product's and the baselines'."""
    return f"{product_prompts.version()}+{prompts.version()}"
