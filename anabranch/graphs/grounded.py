"""Grounded answers: what makes an answer come out of tool results or be "not found"."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from anabranch.agents.answer_list import repeats_a_failure
from anabranch.agents.arguments import takes_a_question
from anabranch.agents.calculation import follow
from anabranch.agents.grounding import out_of_thin_air
from anabranch.agents.images import NO_IMAGES, Images
from anabranch.agents.joiner import Joined, failures, join, join_last
from anabranch.agents.models import RoleModel
from anabranch.agents.reply import Final
from anabranch.errors import ConfigurationError
from anabranch.graphs.outcome import is_look_up
from anabranch.graphs.weak_plans import kept_to_the_question
from anabranch.options import AnswerForm
from anabranch.plan import SOLVE, Answer, Plan, SubQuestion
from anabranch.replies import says_not_found
from anabranch.slots import literal
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.effects import Unmarked, has_effects

NOT_FOUND_TEXT = "The answer to this was not found in the documents."
"""What the user gets where nothing was found."""
AS_ASKED = "nothing was found; the question is looked up as it was asked"
"""Why the next plan is asked for, where the plan before it may have asked for the wrong things."""


def searchers_of(catalogue: Catalogue, unmarked: Unmarked) -> tuple[str, ...]:
    """Names of the tools that a question is looked up with where no plan looks anything up, and something must be.

    Those that take a question as it is; if there are none, all that look things up.

    Raises:
        ConfigurationError: no tool looks anything up.
    """
    if searching := question_tools(catalogue, unmarked):
        return searching
    if look_ups := _look_ups(catalogue, unmarked):
        return tuple(tool.name for tool in look_ups)
    raise ConfigurationError(
        "grounded=True needs a tool that looks things up; pass document_search(FOLDER), retriever_search(...) or "
        "another one (--docs FOLDER on the command line)"
    )


def question_tools(catalogue: Catalogue, unmarked: Unmarked) -> tuple[str, ...]:
    """Names of the tools that look a question up as it is."""
    return tuple(tool.name for tool in _look_ups(catalogue, unmarked) if takes_a_question(tool))


def _look_ups(catalogue: Catalogue, unmarked: Unmarked) -> list[BaseTool]:
    return [tool for tool in catalogue.values() if is_look_up(tool.name) and not has_effects(tool, unmarked)]


def grounded_plan(
    plan: Plan, asked: Plan, question: str, searchers: Sequence[str], most: int, *, weak: bool = False
) -> Plan:
    """A plan that looks up what it reasons about.

    A plan that looks nothing up becomes a look-up of the question itself; a step that reasons over nothing that was
    looked up, becomes a look-up of its own.

    Args:
        plan: what was asked before, and the new sub-questions.
        asked: what was asked before.
        question: the question.
        searchers: tools to look things up with.
        most: most sub-questions to add.
        weak: whether a small model wrote the plan (see `weak_plans`).
    """
    if weak and plan.sub_questions and not asked.sub_questions:
        plan = kept_to_the_question(plan, question) or Plan()
    new = plan.sub_questions[len(asked.sub_questions) :]
    if not new and asked.sub_questions:
        return plan
    if all(each.route == SOLVE for each in new):
        return plan_as_asked(asked, question, searchers, most)
    rooted = {each.id for each in asked.sub_questions if each.route != SOLVE}
    steps: list[SubQuestion] = []
    for each in new:
        if each.route == SOLVE and not rooted.intersection(each.depends_on):
            each = each.model_copy(update={"route": searchers[0]})
        steps.append(each)
        if each.route != SOLVE or rooted.intersection(each.depends_on):
            rooted.add(each.id)
    return asked.extended(steps)


def plan_as_asked(asked: Plan, question: str, searchers: Sequence[str], most: int) -> Plan:
    """A plan that looks up the question itself, after what was asked before; that plan, if it does so."""
    if _is_looked_up(question, asked):
        return asked
    first, text = asked.next_id, literal(question)
    return asked.extended(
        SubQuestion(id=first + n, text=text, route=name) for n, name in enumerate(searchers[: max(most, 0)])
    )


def _is_looked_up(question: str, plan: Plan) -> bool:
    return any(each.text == literal(question) for each in plan.sub_questions)


async def join_grounded(
    model: RoleModel,
    question: str,
    plan: Plan,
    answers: Mapping[int, Answer],
    *,
    may_replan: bool,
    history: Sequence[BaseMessage] = (),
    form: AnswerForm = "whole",
    images: Images = NO_IMAGES,
) -> Joined:
    """Joins the answers into one that rests on what was found; else the last answers, or that nothing was found.

    Arguments and errors are those of `join`.
    """
    nothing = Joined(Final(NOT_FOUND_TEXT), not_found=True)
    if may_replan and not _is_looked_up(question, plan):
        nothing = Joined(missing=AS_ASKED)
    if not any(answer.ok and answer.route != SOLVE for answer in answers.values()):
        if may_replan:
            return nothing if nothing.missing else Joined(missing=failures(answers))
        missing = all(answer.ok or answer.not_found for answer in answers.values())
        return nothing if missing else join_last(plan, answers)
    results = [answers[each.id] for each in plan.sinks if each.id in answers]
    last = nothing if results and all(answer.not_found for answer in results) else join_last(plan, answers)
    if model.small:
        return last
    joined = await join(
        model, question, plan, answers, may_replan=may_replan, history=history, form=form, grounded=True, images=images
    )
    if joined.final is None or joined.final.ending == "refused":
        return joined
    if says_not_found(joined.text) or repeats_a_failure(joined.text, answers):
        return nothing
    found = [text for answer in answers.values() for text in (answer.question, answer.text, answer.evidence or "")]
    known = [question, *found]
    strange = out_of_thin_air(joined.text, known)
    return last if strange and not follow(strange, joined.text, known) else joined
