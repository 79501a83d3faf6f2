"""How a question ended, decided in one place: the status of the result, and the sources that it rests on."""

from collections.abc import Iterable, Mapping

from anabranch.agents.reply import Ending
from anabranch.graphs.protocol import COMPUTE_TOOLS
from anabranch.plan import SOLVE, Answer, Plan, Source, Status
from anabranch.tools.sources import behind

FINISH_REASONS: Mapping[Ending, str] = {"cut": "length", "refused": "content_filter"}
"""How a reply ended, in OpenAI's words; `stop` for all others."""


def status_of(
    plan: Plan,
    answers: Mapping[int, Answer],
    *,
    ending: Ending = "whole",
    begun: int = 0,
    exhausted: bool = False,
) -> Status:
    """How a question ended that has an answer to show.

    Args:
        plan: all sub-questions that were asked.
        answers: their answers; none where the plan only guided the answer, or there was none.
        ending: how the reply with the final answer ended; after one that was `empty`, the last answers are shown.
        begun: sub-questions of earlier plans; what failed of them counts if the last plan did not make up for it.
        exhausted: whether a budget ran out.
    """
    if ending == "refused":
        return "refused"
    given = [answers[question.id] for question in plan.sub_questions if question.id in answers]
    if given and not any(answer.ok for answer in given):
        return "not_found" if all(answer.not_found for answer in given) else "failed"
    looked_up = [answer for answer in given if is_look_up(answer.route)]
    if looked_up and all(answer.not_found for answer in looked_up):
        return "not_found"
    lacks = ending in ("cut", "empty") or any(answer.cut or answer.shortened for answer in given)
    if lacks or exhausted or open_failures(plan, answers, begun=begun):
        return "partial"
    return "answered"


def is_look_up(route: str) -> bool:
    """Whether a route brings in what neither reasoning nor computing can know."""
    return route != SOLVE and route not in COMPUTE_TOOLS


def open_failures(plan: Plan, answers: Mapping[int, Answer], *, begun: int = 0) -> list[Answer]:
    """The failed answers that the last plan did not make up for."""
    ids = [question.id for question in plan.sub_questions if question.id in answers]
    last = [id_ for id_ in plan.ids[begun:] if id_ in answers]
    made_up = bool(last) and all(answers[id_].ok for id_ in last)
    return [answers[id_] for id_ in (last if made_up else ids) if not answers[id_].ok]


def sources_of_answers(plan: Plan, answers: Mapping[int, Answer]) -> list[Source]:
    """The sources that the answers rest on, each once, in plan order.

    Of the passages behind an answer, those that share the most words with it; all, if none shares any.
    """
    found: dict[tuple[object, ...], Source] = {}
    for question in plan.sub_questions:
        answer = answers.get(question.id)
        for source in behind(answer.text, answer.sources) if answer and answer.ok else ():
            found.setdefault((source.tool, source.source, source.title, source.page, source.text), source)
    return list(found.values())


def labels(sources: Iterable[Source]) -> list[str]:
    """Where the sources stand, each place once; tools that only compute are none."""
    return list(dict.fromkeys(source.label for source in sources if is_look_up(source.tool)))
