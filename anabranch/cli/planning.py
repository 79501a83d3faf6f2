"""`anabranch plan`: the plan alone, without answering it."""

import json
import time

from anabranch.agents.decomposer import Draft, PlanRequest, decompose
from anabranch.agents.ledger import Ledger, booking
from anabranch.cli.loop import Loop
from anabranch.cli.options import Options
from anabranch.cli.outcome import usage_line
from anabranch.cli.terminal import print_json, write_out
from anabranch.cli.text import clean
from anabranch.cli.views import View
from anabranch.codecs import encode_json, encode_line
from anabranch.errors import ModelError
from anabranch.graphs.build import build_budget, build_decomposer, build_solver, build_tools
from anabranch.plan import Plan
from anabranch.tools import Catalogue
from anabranch.tools.shortlist import fitting_cards


def run(question: str, options: Options, view: View, *, form: str) -> None:
    """Prints the plan of a question.

    Args:
        question: the question, checked.
        options: what the decomposer is built from.
        view: shows progress.
        form: `lines`, `json` or `mermaid`.

    Raises:
        ModelError: the decomposer wrote no plan that could run.
        AnabranchError: as models and tools do.
    """
    started, ledger = time.monotonic(), Ledger(budget=build_budget(options))
    with Loop() as loop, booking(ledger):
        draft = loop.run(_draft(question, options, view))
    view.close()
    for note in draft.notes:
        view.note(note)
    seconds = time.monotonic() - started
    if draft.problems and draft.plan.is_direct:
        raise ModelError(f"the decomposer wrote no plan that can run: {draft.problems[-1]}; try another --decomposer")
    if form == "json":
        print_json(json.loads(encode_json(draft.plan)), indent=2)
    else:
        write_out(formatted(draft.plan, form))
    view.note(usage_line(ledger.total, seconds))


async def _draft(question: str, options: Options, view: View) -> Draft:
    catalogue = Catalogue(build_tools(options, status=view.status, note=view.note))
    decomposer = build_decomposer(
        options, status=view.status, note=view.note, solver=lambda: build_solver(options, status=view.status)
    )
    view.status("planning")
    request = PlanRequest(
        question,
        fitting_cards(catalogue, question),
        options.mode,
        max_sub_questions=options.max_sub_questions,
    )
    return await decompose(decomposer, request)


def formatted(plan: Plan, form: str) -> str:
    """A plan as text: the lines that `--review` edits, or a Mermaid flowchart."""
    if form == "mermaid":
        return plan.to_mermaid().rstrip("\n")
    if plan.is_direct:
        return "DIRECT (the question needs no plan)"
    return "\n".join(clean(encode_line(question)) for question in plan.sub_questions)
