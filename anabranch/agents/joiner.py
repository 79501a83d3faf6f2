"""The joiner: writes the final answer from the answers to the sub-questions, or asks for a new plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from anabranch.agents import prompts
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import Ending, ending, text_of
from anabranch.errors import ReplyError
from anabranch.plan import Answer, Plan
from anabranch.replies import final_answer, replan_reason


@dataclass(frozen=True)
class Joined:
    """A final answer, or what is missing for one.

    Attributes:
        text: the answer.
        missing: what a new plan should find out.
        message_id: id of the model's message that it is written in; None where no model joined.
        ending: how the model's reply ended.
    """

    text: str = ""
    missing: str | None = None
    message_id: str | None = None
    ending: Ending = "whole"


async def join(
    model: RoleModel,
    question: str,
    plan: Plan,
    answers: Mapping[int, Answer],
    *,
    may_replan: bool,
    history: Sequence[BaseMessage] = (),
) -> Joined:
    """Joins the answers.

    Args:
        model: the joiner.
        question: the question.
        plan: all sub-questions that were asked.
        answers: their answers, failed ones included.
        may_replan: whether a new plan may be asked for.
        history: earlier turns of the conversation, and system messages of the caller.

    A reply that is empty, or asks for a plan that may not be, is replaced by the last answers.

    Raises:
        BudgetExceededError, EndpointError: as `call`.
    """
    if may_replan and not any(answer.ok for answer in answers.values()):
        return Joined(missing=failures(answers))
    if model.small:
        return join_last(plan, answers, may_replan=may_replan)
    prompt = prompts.join_messages(question, plan, answers, may_replan=may_replan)
    reply = await call(model, prompts.with_history(prompt, history), role="joiner")
    try:
        text = text_of(reply, "joiner")
    except ReplyError as error:
        if error.ending == "refused":
            return Joined(error.text, message_id=reply.id, ending="refused")
        return join_last(plan, answers)
    if reason := replan_reason(text):
        # Asked for or not, it is no answer to show.
        return Joined(missing=reason) if may_replan else join_last(plan, answers)
    return Joined(final_answer(text), message_id=reply.id, ending=ending(reply))


def join_last(plan: Plan, answers: Mapping[int, Answer], *, may_replan: bool = False) -> Joined:
    """Joins without a model: the answers that no other sub-question uses, those that failed by name."""
    results = [answers[q.id] for q in plan.sub_questions if q.id in answers]
    last = [answers[q.id] for q in plan.sinks if q.id in answers] or results
    if may_replan and not any(answer.ok for answer in last):
        return Joined(missing=failures(answers))
    found = [answer.text for answer in last if answer.ok]
    if found:
        return Joined("\n".join(found))
    known = [answer.text for answer in results if answer.ok]
    partial = f" What was found: {'; '.join(known)}." if known else ""
    return Joined(f"No answer was found: {failures(answers)}.{partial}")


def failures(answers: Mapping[int, Answer]) -> str:
    """The failed sub-questions and their reasons, in one line."""
    return "; ".join(f"sub-question {a.id} failed: {a.error}" for a in answers.values() if not a.ok) or "nothing asked"
