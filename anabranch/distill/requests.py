"""Requests over tools in reinforcement: a plan is worth how far its calls are the right ones. No tool runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anabranch.batch.files import read_rows
from anabranch.codecs import decode_lines
from anabranch.distill.records import MAX_SUB_QUESTIONS
from anabranch.distill.rewards import NO_PLAN
from anabranch.errors import ConfigurationError, PlanError
from anabranch.grading import dependencies, multiset_f1, tools_of
from anabranch.plan import Plan

LINKS = 0.5
"""What the dependencies between calls are worth, beside the calls."""
_ROUTES = "\nRoutes:\n"


@dataclass(frozen=True)
class ToolRow:
    """A request with the right plan.

    Attributes:
        prompt: the decomposer's prompt, with the catalogue.
        wanted: the right plan.
        routes: the tools of the catalogue.
    """

    prompt: list[dict[str, str]]
    wanted: Plan
    routes: frozenset[str]

    def worth(self, reply: str, *, finished: bool) -> float:
        """F1 of the calls and half of the F1 of their dependencies, from 0 to 1.5; `NO_PLAN` for what is no plan.

        Args:
            reply: what the decomposer wrote.
            finished: whether it ended by itself; what was cut off is no plan.
        """
        try:
            plan = decode_lines(reply) if finished else None
            if plan is None:
                return NO_PLAN
            plan.check(self.routes, MAX_SUB_QUESTIONS)
        except PlanError:
            return NO_PLAN
        nodes = multiset_f1(tools_of(plan, {}), tools_of(self.wanted, {}))
        return nodes + LINKS * multiset_f1(dependencies(plan, {}), dependencies(self.wanted, {}))


def read_tool_rows(paths: Sequence[Path], bad: dict[str, list[str]]) -> list[ToolRow]:
    """The requests of files of training rows: `messages` and, as `completion`, the right plan.

    Args:
        paths: the files.
        bad: gets, by reason, the rows that were left out.

    Raises:
        DocumentError: a file is missing.
        ConfigurationError: a file has no such row.
    """
    found: list[ToolRow] = []
    for path in paths:
        before = len(found)
        for number, row in enumerate(read_rows(path, {"messages": list, "completion": str}, bad), 1):
            try:
                found.append(_tool_row(row["messages"], row["completion"]))
            except (PlanError, TypeError, KeyError, AttributeError) as error:
                bad.setdefault(f"no request with a plan over tools ({type(error).__name__})", []).append(
                    f"{path.name}, row {number}"
                )
        if len(found) == before:
            raise ConfigurationError(
                f"{path} has no requests over tools; give training rows whose completion is a plan and whose first "
                "message lists the routes"
            )
    return found


def _tool_row(messages: list[dict[str, str]], completion: str) -> ToolRow:
    """Raises what is wrong with it: PlanError, or an error of its form."""
    listed = messages[0]["content"].partition(_ROUTES)[2].splitlines()
    routes = frozenset(line.partition(": ")[0] for line in listed)
    plan = decode_lines(completion)
    plan.check(routes, MAX_SUB_QUESTIONS)
    return ToolRow(messages, plan, routes)
