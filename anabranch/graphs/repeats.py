"""Look-ups and sums that a plan has twice, or again after they were answered: each is asked once."""

from collections.abc import Collection, Mapping

from anabranch.graphs.protocol import COMPUTE_TOOLS
from anabranch.plan import Answer, Plan, SubQuestion, slotted
from anabranch.slots import renamed


def without_repeats(plan: Plan, answers: Mapping[int, Answer], searchers: Collection[str]) -> Plan:
    """A plan in which what stands there before is left out, and its answer taken from there.

    That is so for look-ups and sums. Other tools may act, and a writer may be asked for two of a thing.

    What failed before may be asked again: it may have been for want of time.

    Args:
        plan: the plan, with what was asked before.
        answers: what came of that.
        searchers: the tools that are only asked questions, so that the same one has the same answer.
    """
    once = {*searchers, *COMPUTE_TOOLS}
    first: dict[tuple[str, str, tuple[int, ...]], int] = {}
    same: dict[int, int] = {}
    kept: list[SubQuestion] = []
    for step in plan.sub_questions:
        known = answers.get(step.id)
        if same and known is None:
            depends_on = tuple(sorted({same.get(id_, id_) for id_ in step.depends_on}))
            step = step.model_copy(update={"text": renamed(slotted(step), same), "depends_on": depends_on})
        key = (step.route, " ".join(step.text.casefold().split()).rstrip(" ?."), step.depends_on)
        if known is None and key in first:
            same[step.id] = first[key]
            continue
        kept.append(step)
        if step.route in once and (known is None or known.ok):
            first.setdefault(key, step.id)
    return Plan(sub_questions=tuple(kept)) if same else plan
