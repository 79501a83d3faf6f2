"""Baselines that look up and reason in turns, without a decomposer: IRCoT and self-ask."""

import re
from collections.abc import Sequence

from anabranch.agents.models import RoleModel, call
from anabranch.batch.examples import Paragraph
from anabranch.evals import prompts
from anabranch.evals.systems import Case, Outcome, System
from anabranch.replies import final_answer

MOST_ROUNDS = 4
"""Look-ups of a question; IRCoT's first one comes before them."""
MOST_READ = 15
"""Passages that IRCoT collects, as in its paper."""
_SENTENCE = re.compile(r".*?[.!?](?=\s|$)|.+", re.DOTALL)
_FOLLOW_UP = re.compile(rf"{prompts.FOLLOW_UP}\s*(\S[^\n]*)", re.IGNORECASE)
_FINAL = re.compile(rf"{prompts.FINAL}\s*(\S[^\n]*)", re.IGNORECASE)


def ircot(solver: RoleModel) -> System:
    """Interleaves retrieval with chain of thought (arXiv 2212.10509): each sentence of it is the next query.

    As in the paper, what was found is read in the end by a call of its own, the same as after one search.
    """

    async def run(case: Case) -> Outcome:
        found, thoughts = case.look_up(case.asked), list[str]()
        for _ in range(MOST_ROUNDS):
            prompt = prompts.ircot_messages(prompts.with_passages(case.asked, found), thoughts)
            thought = _sentence(str((await call(solver, prompt, role="solver")).text))
            if not thought or thought in thoughts:
                break
            thoughts.append(thought)
            if _FINAL.search(thought) or len(found) >= MOST_READ:
                break
            found = _joined(found, case.look_up(thought))
        reader = prompts.direct_messages(prompts.with_passages(case.question, found))
        reply = str((await call(solver, reader, role="solver")).text).strip()
        return Outcome(reply, final_answer(reply), extra={"thoughts": "\n".join(thoughts)})

    return run


def self_ask(solver: RoleModel) -> System:
    """Asks itself follow-up questions, each of which is looked up and answered (arXiv 2210.03350)."""

    async def run(case: Case) -> Outcome:
        told: list[tuple[str, str]] = []
        for _ in range(MOST_ROUNDS):
            reply = await _next(solver, case.asked, told)
            if not told and not _FINAL.search(reply):
                reply = f"{prompts.FOLLOW_UP} {reply.removeprefix(prompts.FOLLOW_UP).strip()}"
            follow_up, final = _FOLLOW_UP.search(reply), _FINAL.search(reply)
            if follow_up is None or (final and final.start() < follow_up.start()):
                break
            asked = follow_up[1].strip()
            read = prompts.direct_messages(prompts.with_passages(asked, case.look_up(asked)))
            told.append((asked, str((await call(solver, read, role="solver")).text).strip()))
        else:
            final = _FINAL.search(reply := await _next(solver, case.asked, told, last=True))
        answer = final[1].strip() if final else final_answer(reply)
        return Outcome(reply, answer, extra={"follow-ups": "\n".join(f"{asked} {answer}" for asked, answer in told)})

    return run


async def _next(solver: RoleModel, question: str, told: Sequence[tuple[str, str]], *, last: bool = False) -> str:
    """What the model writes next, up to where the answer of a follow-up question is given to it."""
    reply = await call(solver, prompts.self_ask_messages(question, told, last=last), role="solver")
    return str(reply.text).partition(prompts.INTERMEDIATE)[0].strip()


def _sentence(reply: str) -> str:
    found = _SENTENCE.match(reply.strip())
    return found[0].strip() if found else ""


def _joined(found: Sequence[Paragraph], more: Sequence[Paragraph]) -> list[Paragraph]:
    """Passages, each once, as many as may be read."""
    return list(dict.fromkeys([*found, *more]))[:MOST_READ]
