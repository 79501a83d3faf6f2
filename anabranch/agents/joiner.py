"""The joiner: writes the final answer from the answers to the sub-questions, or asks for a new plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import AIMessage, BaseMessage

from anabranch.agents import prompts
from anabranch.agents.answering import WORKING
from anabranch.agents.final_answer import Reading
from anabranch.agents.images import NO_IMAGES, Images, shown
from anabranch.agents.json_answers import asked_for, call_as_json
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import Final, final_of, refusal
from anabranch.agents.schemas import AnswerSchema
from anabranch.bounds import MAX_FEEDBACK_CHARS, shorten
from anabranch.errors import ReplyError
from anabranch.options import AnswerForm
from anabranch.plan import Answer, Plan
from anabranch.replies import replan_reason


@dataclass(frozen=True)
class Joined:
    """A final answer, or what is missing for one.

    Attributes:
        final: the answer; None if a new plan is asked for.
        missing: what a new plan should find out.
        not_found: whether the answer is that there is none.
    """

    final: Final | None = None
    missing: str | None = None
    not_found: bool = False

    @property
    def text(self) -> str:
        """The answer; empty if there is none."""
        return self.final.text if self.final else ""


async def join(
    model: RoleModel,
    question: str,
    plan: Plan,
    answers: Mapping[int, Answer],
    *,
    may_replan: bool,
    history: Sequence[BaseMessage] = (),
    form: AnswerForm = "whole",
    grounded: bool = False,
    schema: AnswerSchema | None = None,
    images: Images = NO_IMAGES,
) -> Joined:
    """Joins the answers.

    Args:
        model: the joiner.
        question: the question.
        plan: all sub-questions that were asked.
        answers: their answers, failed ones included.
        may_replan: whether a new plan may be asked for.
        history: earlier turns of the conversation, and system messages of the caller.
        form: the form of the answer.
        grounded: whether nothing may be said that was not found; then the answer is not streamed, as it is to be
            checked first.
        schema: the JSON that the answer is to be; not checked here, and not streamed either. A joiner that is held to
            JSON can ask for no plan, so it is where all sub-questions have answers.
        images: those of the question that no sub-question has looked at.

    A reply that is empty, or asks for a plan that may not be, is replaced by the last answers; to a refusal without
    words, what was found is added.

    Raises:
        BudgetExceededError, EndpointError: as `call`.
    """
    if may_replan and not any(answer.ok for answer in answers.values()):
        return Joined(missing=failures(answers))
    if model.small or (answers and not any(answer.ok for answer in answers.values())):
        # Without one answer to join, models make one up: one of 1.5B parameters wrote the phone number 123-456-7890.
        return join_last(plan, answers, may_replan=may_replan)
    held = schema is not None and all(answer.ok for answer in answers.values())
    may_replan, form = may_replan and not held, "whole" if schema else form
    prompt = prompts.join_messages(question, plan, answers, may_replan=may_replan, form=form, grounded=grounded)
    reading: Reading = "joined" if form == "whole" else "short"
    messages = prompts.with_history([*shown(prompt, images), *asked_for(schema)], history)
    if schema and held:
        reply = await call_as_json(model, messages, schema, role="joiner")
    else:
        reply = await call(model, messages, role="joiner", reading=reading, stream=not (grounded or schema))
    joined = _read(reply, plan, answers, may_replan=may_replan, form=form)
    if joined.final and (grounded or schema):
        return Joined(replace(joined.final, message_id=None))
    return joined


def _read(reply: AIMessage, plan: Plan, answers: Mapping[int, Answer], *, may_replan: bool, form: AnswerForm) -> Joined:
    """What a joiner's reply comes to."""
    said = str(reply.additional_kwargs.get(WORKING) or reply.text)
    # What asks for a plan after a long text is an answer all the same; read as `joined`, the request is cut off.
    if (reason := replan_reason(said)) and (form == "short" or not str(reply.text)):
        # Asked for or not, it is no answer to show.
        return Joined(missing=shorten(reason, MAX_FEEDBACK_CHARS)) if may_replan else join_last(plan, answers)
    try:
        final = final_of(reply, "joiner")
    except ReplyError:
        return Joined(Final(join_last(plan, answers).text, ending="empty"))
    if final.ending == "refused" and not (refusal(reply) or str(reply.text).strip()):
        final = replace(final, text=f"{final.text}. {known(answers)}".strip())
    return Joined(final)


def join_last(plan: Plan, answers: Mapping[int, Answer], *, may_replan: bool = False) -> Joined:
    """Joins without a model: the answers that no other sub-question uses, those that failed by name."""
    results = [answers[q.id] for q in plan.sub_questions if q.id in answers]
    last = [answers[q.id] for q in plan.sinks if q.id in answers] or results
    if may_replan and not any(answer.ok for answer in last):
        return Joined(missing=failures(answers))
    found = [answer.text for answer in last if answer.ok]
    if found:
        return Joined(Final("\n".join(found)))
    partial = f" {known(answers)}".rstrip()
    lost = [answer for answer in answers.values() if not answer.ok]
    # That nothing stands there is all there is to say; which sub-questions looked for it is told in the answers.
    why = "" if lost and all(answer.not_found for answer in lost) else f": {failures(answers)}"
    return Joined(Final(f"No answer was found{why}.{partial}"))


def known(answers: Mapping[int, Answer]) -> str:
    """What was found, in one line; empty if it is nothing."""
    texts = [answer.text for answer in answers.values() if answer.ok]
    return f"What was found: {'; '.join(texts)}." if texts else ""


def failures(answers: Mapping[int, Answer]) -> str:
    """The failed sub-questions and their reasons, in one line."""
    lost = "; ".join(f"sub-question {a.id} failed: {a.error}" for a in answers.values() if not a.ok)
    return shorten(lost, MAX_FEEDBACK_CHARS) or "nothing asked"
