"""What is evaluated: groups of `anabranch eval` commands, each group for the models that it needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.results.settings import LARGE


@dataclass(frozen=True)
class Task:
    """A task of `anabranch eval`, and its file in the folder that `prepare.py` writes."""

    name: str
    file: str


GSM8K = Task("gsm8k", "gsm8k_socratic_test.jsonl")
DROP = Task("drop", "drop_dev_500.jsonl")
STRATEGYQA = Task("strategyqa", "strategyqa_dev.jsonl")
BAMBOOGLE = Task("bamboogle", "bamboogle.jsonl")
HOTPOTQA = Task("hotpotqa", "hotpotqa_reflexion100_ctx.jsonl")
PARALLELQA = Task("parallelqa", "llmcompiler_parallelqa.jsonl")
TUNE = Task("gsm8k", "gsm8k_tune.jsonl")
READING = Task("hotpotqa", "hotpotqa_reading_tune.jsonl")
"""Questions of HotpotQA's training set after their own paragraphs and two others: reading, to choose by."""
LOOKUPS = Task("hotpotqa", "hotpotqa_lookups_tune.jsonl")
"""The same questions with a search over their paragraphs."""

NO_TOOLS = "-no-tools"
"""At the end of a decomposer's label: its plans are for the solver alone, not for a calculator."""
TEACHER = "examples-qwen15"
"""A plan writer without training: worked examples in the prompt of the largest model."""
STEPS = 300
"""Questions of GSM8K for plans that are run one sub-question at a time."""
SERVER = {"qwen15": "a", "smollm2": "b", "d135": "b", "d135w": "b", "kept135": "b", "s135": "b"} | dict.fromkeys(
    LARGE, "d"
)
"""Which server has a model; `c` has all others."""
STUDENTS = ("d135", "d135w", "kept135", "d05", *LARGE)


@dataclass(frozen=True)
class Run:
    """One `anabranch eval` command.

    Attributes:
        name: its folder.
        task: what is asked.
        systems: ways to answer.
        solvers: models that answer.
        decomposers: models that plan.
        limit: most questions; None for all.
        concurrency: questions at a time; None for what the command line says.
        last: whether it is run after all others, alone on the servers, for its times.
        no_tools: whether plans are for the solver alone, as in the paper; decomposers are labelled so. Distilled ones
            plan so anyway where their plans guide (`graphs/protocol.py`).
    """

    name: str
    task: Task
    systems: tuple[str, ...]
    solvers: tuple[str, ...] = ("qwen15",)
    decomposers: tuple[str, ...] = ()
    limit: int | None = None
    concurrency: int | None = None
    last: bool = False
    no_tools: bool = False


def _base() -> Iterator[Run]:
    """What needs the base models alone. The most important first: a group that is cut off loses its end."""
    ways, teacher, small = ("cot", "unguided", "direct"), (TEACHER,), ("qwen05",)
    both, guided, steps = ("qwen15", "qwen05"), ("static:guided",), ("static:per_node", "dynamic")
    yield Run("gsm8k-cot", GSM8K, ways)
    yield Run("gsm8k-guided-no-tools", GSM8K, guided, decomposers=teacher, no_tools=True)
    yield Run("gsm8k-guided", GSM8K, guided, decomposers=teacher)
    yield Run("tune", TUNE, ("cot", "unguided"))
    yield Run("reading", READING, (*ways, *guided), decomposers=teacher)
    yield Run("lookups", LOOKUPS, ways)
    yield Run("gsm8k-human", GSM8K, ("human:guided",))
    yield Run("gsm8k-two-stage", GSM8K, ("two-stage",), decomposers=("qwen15",))
    yield Run("gsm8k-two-stage-05", GSM8K, ("two-stage",), decomposers=small)
    yield Run("hotpotqa-alone", HOTPOTQA, (*ways, "react"))
    yield Run("hotpotqa-plans", HOTPOTQA, ("static", "dynamic"), decomposers=(TEACHER, "qwen15"))
    yield Run("strategyqa", STRATEGYQA, (*ways, "human:guided", *guided), decomposers=teacher)
    yield Run("strategyqa-two-stage", STRATEGYQA, ("two-stage",), decomposers=both)
    yield Run("bamboogle", BAMBOOGLE, (*ways, *guided), decomposers=teacher)
    yield Run("bamboogle-two-stage", BAMBOOGLE, ("two-stage",), decomposers=both)
    yield Run("drop", DROP, (*ways, *guided), decomposers=teacher)
    yield Run("drop-two-stage", DROP, ("two-stage",), decomposers=both)
    yield Run("steps", GSM8K, steps, decomposers=teacher, limit=STEPS)
    yield Run("steps-json", GSM8K, steps, decomposers=("qwen15",), limit=STEPS)
    yield Run("gsm8k-05", GSM8K, ways, small)
    yield Run("gsm8k-05-guided", GSM8K, guided, small, teacher)
    yield Run("gsm8k-135", GSM8K, ways, ("smollm2",))
    yield Run("gsm8k-135-guided", GSM8K, guided, ("smollm2",), teacher)
    yield Run("gsm8k-cot3", GSM8K, ("cot:3",))
    yield Run("parallelqa-alone", PARALLELQA, ways)
    yield from _parallel(TEACHER)


def _student(name: str) -> Callable[[], Iterator[Run]]:
    """What needs one distilled decomposer."""

    def runs() -> Iterator[Run]:
        guided, plans = ("static:guided",), (name,)
        yield Run("gsm8k-guided", GSM8K, guided, decomposers=plans)
        yield Run("tune", TUNE, guided, decomposers=plans)
        yield Run("reading", READING, guided, decomposers=plans)
        yield Run("lookups", LOOKUPS, ("static",), decomposers=plans)
        yield Run("hotpotqa", HOTPOTQA, ("static", "dynamic"), decomposers=plans)
        yield Run("strategyqa", STRATEGYQA, guided, decomposers=plans)
        yield Run("bamboogle", BAMBOOGLE, guided, decomposers=plans)
        yield Run("drop", DROP, guided, decomposers=plans)
        yield Run("gsm8k-05-guided", GSM8K, guided, ("qwen05",), plans)
        yield Run("steps", GSM8K, ("static:per_node", "dynamic"), decomposers=plans, limit=STEPS)
        if name not in LARGE:
            yield Run("gsm8k-135-guided", GSM8K, guided, ("smollm2",), plans)
        yield from _parallel(name)

    return runs


def _small() -> Iterator[Run]:
    """What needs the distilled small solver (s135) and the decomposers d135, d05 and d15p."""
    static, solver, plans = ("static",), ("small-s135",), ("d135", "d05", "d15p")
    yield Run("gsm8k-s135", GSM8K, static, solver, (*plans, TEACHER))
    yield Run("gsm8k-s135-alone", GSM8K, ("cot",), ("s135",))
    yield Run("gsm8k-smollm2-steps", GSM8K, static, ("small-smollm2",), ("d135",))
    yield Run("hotpotqa-s135", HOTPOTQA, static, solver, plans)


def _cross() -> Iterator[Run]:
    """What needs d05, d05m, d05x and the distilled solvers s05t, s05a and s05x."""
    students, solvers = ("d05", "d05m", "d05x"), ("s05t", "s05a", "s05x")
    for task, planned in ((GSM8K, "static:guided"), (STRATEGYQA, "static:guided"), (HOTPOTQA, "static")):
        place = task.name
        for solver in (*solvers, "qwen05"):
            yield Run(f"{place}-{solver}", task, ("cot",) if task is GSM8K else ("cot", "direct"), (solver,))
        for student in students:
            yield Run(f"{place}-plans-{student}", task, (planned,), ("qwen15",), (student,))
        for student in students:
            yield Run(f"{place}-05-plans-{student}", task, (planned,), ("qwen05",), (student,))
        for solver in solvers if task is not HOTPOTQA else ():
            yield Run(f"{place}-guided-{solver}", task, (planned,), (solver,), ("d05",))


def _parallel(name: str) -> Iterator[Run]:
    """Wall time: alone on the servers, after all else, both ways at the same time, four questions at a time each."""
    for way in ("", ":sequential"):
        systems, folder = (f"static:per_node{way}",), f"parallelqa{way.replace(':', '-')}"
        yield Run(folder, PARALLELQA, systems, decomposers=(name,), concurrency=4, limit=60, last=True)


GROUPS: dict[str, Callable[[], Iterator[Run]]] = {
    "base": _base,
    **{name: _student(name) for name in STUDENTS},
    "small": _small,
    "cross": _cross,
}
