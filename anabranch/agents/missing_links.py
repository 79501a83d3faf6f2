"""Dependencies that a plan says in words only: "Who runs the shop?", then "What is their number?".

Decomposers learn slots from questions whose parts are nested. People also join questions with "and", and then a pronoun
of the second part is copied as it is: nothing tells whose number it is, and a look-up finds somebody's.
"""

from anabranch.agents.leaning import lacks_its_subject
from anabranch.plan import SOLVE, Plan, SubQuestion


def linked(plan: Plan, begun: int = 0) -> Plan:
    """A plan in which a call with a pronoun that stands for nothing in it depends on the step before it.

    Of several such steps in a row, each depends on the last one before them that stands by itself. Where a step comes
    first, or the solver answers it, it stays as it is: the solver's steps are often about the user's own question.

    Args:
        plan: the plan.
        begun: sub-questions that were asked before, and stay as they are.
    """
    steps: list[SubQuestion] = []
    whole: int | None = None
    for place, step in enumerate(plan.sub_questions):
        leans = step.route != SOLVE and not step.depends_on and lacks_its_subject(step.text)
        if leans and whole is not None and place >= begun:
            step = step.model_copy(update={"depends_on": (whole,)})
        elif not leans:
            whole = step.id
        steps.append(step)
    return plan if tuple(steps) == plan.sub_questions else Plan(sub_questions=tuple(steps))
