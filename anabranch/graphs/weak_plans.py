"""What a small decomposer's plan is worth where there are documents: its steps are kept to the question.

A decomposer of 135M parameters plans for questions that need no plan. It then says the question in other, worse words,
puts numbers and names into it, or calculates with a single value. The user's own words find more.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from anabranch.agents.grounding import out_of_thin_air
from anabranch.graphs.outcome import is_look_up
from anabranch.graphs.protocol import COMPUTE_TOOLS
from anabranch.plan import SOLVE, Answer, Plan, SubQuestion, slotted
from anabranch.slots import literal

_SLOT = re.compile(r"\{\d+\}")
_VALUE = re.compile(
    r"\{\d+\}|\d+(?:[.,]\d+)*|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twice|double|triple|half"
    r"|third|quarter|percent|dozen)\b|%",
    re.IGNORECASE,
)


def mended(plan: Plan, asked: Plan, question: str, answers: Mapping[int, Answer], searchers: Collection[str]) -> Plan:
    """A small decomposer's plan, or its new plan after one before, where nothing has to be looked up.

    Args:
        plan: the plan.
        asked: what was asked before.
        question: the question.
        answers: what came of what was asked before.
        searchers: the tools that take a question as it is.
    """
    if asked.sub_questions:
        return without_inventions(plan, asked, question, answers)
    return looked_up_first(plan, question, searchers)


def looked_up_first(plan: Plan, question: str, searchers: Collection[str]) -> Plan:
    """A plan of a planner that may look things up, and may know things by itself.

    One that searches is kept to the question. One that only calculates, though the question gives less than two values
    to calculate with, becomes a look-up of the question: what it lacks may stand in the documents. Plans with other
    tools, and those that need none, stay as they are.

    Args:
        plan: a small decomposer's plan.
        question: the question.
        searchers: the tools that take a question as it is.
    """
    used = {step.route for step in plan.sub_questions} - {SOLVE}
    searching = used - COMPUTE_TOOLS
    if not used or not searching <= set(searchers):
        return plan
    if not searching and len(_VALUE.findall(question)) >= 2:
        return plan
    kept = kept_to_the_question(plan, question) if searching else None
    first = min(searching or searchers, key=list(searchers).index)
    return kept or Plan(sub_questions=(SubQuestion(id=1, text=literal(question), route=first),))


def without_inventions(plan: Plan, asked: Plan, question: str, answers: Mapping[int, Answer]) -> Plan:
    """What was asked before, with the new steps of a small decomposer if all that they name was said or found.

    Asked for another plan after nothing was found, it makes questions up that anything answers.
    """
    new = plan.sub_questions[len(asked.sub_questions) :]
    known = [question, *(text for answer in answers.values() if answer.ok for text in (answer.question, answer.text))]
    return asked if any(_invents(step, known) for step in new) else plan


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
    if not any(is_look_up(step.route) for step in steps) or any(_invents(step, [question]) for step in steps):
        return None
    if len(steps) == 1:
        steps = [steps[0].model_copy(update={"text": literal(question)})]
    return Plan(sub_questions=tuple(steps))


def _invents(step: SubQuestion, known: Sequence[str]) -> bool:
    """Whether a step has a number or a name that is in nothing that is known."""
    text = _SLOT.sub("", slotted(step)).strip()
    # Without the capital of the first word, which is no name.
    return bool(out_of_thin_air(text[:1].lower() + text[1:], known))


def _computes_nothing(step: SubQuestion) -> bool:
    return step.route in COMPUTE_TOOLS and len(_VALUE.findall(slotted(step))) < 2
