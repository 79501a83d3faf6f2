"""What a small decomposer's plan is worth where everything is looked up: its steps are kept to the question.

A decomposer of 135M parameters plans for questions that need no plan. It then says the question in other, worse words,
puts numbers and names into it, or calculates with a single value. The user's own words find more.
"""

import re

from anabranch.agents.grounding import out_of_thin_air
from anabranch.graphs.outcome import is_look_up
from anabranch.graphs.protocol import COMPUTE_TOOLS
from anabranch.plan import Plan, SubQuestion, slotted
from anabranch.slots import literal

_SLOT = re.compile(r"\{\d+\}")
_VALUE = re.compile(
    r"\{\d+\}|\d+(?:[.,]\d+)*|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twice|double|triple|half"
    r"|third|quarter|percent|dozen)\b|%",
    re.IGNORECASE,
)


def kept_to_the_question(plan: Plan, question: str) -> Plan | None:
    """A plan without what leads away from the question; None where the question is better looked up as it is.

    A last step that is to calculate with less than two values is left out. A plan that names numbers or names that the
    question does not is not taken. A single look-up asks the question itself.

    Args:
        plan: a small decomposer's plan.
        question: the question.
    """
    steps = list(plan.sub_questions)
    while steps and _computes_nothing(steps[-1]):
        steps.pop()
    # Without the capital of the first word, which is no name.
    told = (text[:1].lower() + text[1:] for text in (_SLOT.sub("", slotted(step)).strip() for step in steps))
    if not any(is_look_up(step.route) for step in steps) or any(out_of_thin_air(text, [question]) for text in told):
        return None
    if len(steps) == 1:
        steps = [steps[0].model_copy(update={"text": literal(question)})]
    return Plan(sub_questions=tuple(steps))


def _computes_nothing(step: SubQuestion) -> bool:
    return step.route in COMPUTE_TOOLS and len(_VALUE.findall(slotted(step))) < 2
