"""Runs a plan: every sub-question starts the moment its own dependencies are answered.

All LangGraph tasks are created up front in plan order, and each awaits its dependencies inside its body. Task ids
come from the order of the calls, so on resume each sub-question finds its own recorded answer, whatever the order in
which they once finished; only what has no recorded answer runs again.
"""

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from langgraph.errors import GraphInterrupt
from langgraph.func import task

from anabranch.errors import AnabranchError
from anabranch.graphs.bridge import run_sync
from anabranch.graphs.channels import plain
from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.scope import holding

AnswerOne = Callable[[SubQuestion, Mapping[int, Answer]], Awaitable[Answer]]
"""Answers one sub-question, given the answers it depends on."""


async def execute(plan: Plan, known: Mapping[int, Answer], answer_one: AnswerOne, *, sync: bool) -> dict[int, Answer]:
    """Answers all sub-questions of a plan that have no answer yet. Must be called inside a LangGraph node.

    Args:
        plan: the plan.
        known: answers there are already.
        answer_one: answers one sub-question; an exception it raises ends the run, after the others have finished
            and been recorded, so that a resumed run repeats nothing else.
        sync: whether the graph runs synchronously.

    Returns:
        All answers by id, `known` included.

    Raises:
        AnabranchError: a recorded answer belongs to another sub-question (the plan changed under a running thread).
        GraphInterrupt: sub-questions wait for a person; with the questions of all of them.
        Exception: the first that `answer_one` raised.
    """
    futures: dict[int, Awaitable[Any]] = {}
    answered: dict[int, Answer] = {}

    def read(id_: int, recorded: Any) -> Answer:
        return answered[id_] if id_ in answered else Answer.model_validate(recorded)

    async def work(question: SubQuestion) -> Any:
        inputs = {d: known[d] if d in known else read(d, await futures[d]) for d in question.depends_on}
        answer = answered[question.id] = await answer_one(question, inputs)
        return plain(answer)

    run: Any = _task_sync if sync else _task
    pending = [question for question in plan.sub_questions if question.id not in known]
    with holding(_working, work):
        for question in pending:
            futures[question.id] = _awaitable(run(question))
    results = await asyncio.gather(*futures.values(), return_exceptions=True)
    if waiting := _interrupted(results):
        raise waiting
    answers = dict(known)
    for question, result in zip(pending, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        answer = read(question.id, result)
        if answer.id != question.id:
            raise AnabranchError(
                f"the thread recorded an answer to sub-question {answer.id} where {question.id} was asked; "
                "start a new thread"
            )
        answers[question.id] = answer
    return answers


def _interrupted(results: Sequence[Any]) -> GraphInterrupt | None:
    """What sub-questions ask of a person, all at once; None if there is nothing, or one of them failed.

    LangGraph gives an answer without an id to whoever asks first. So each has to be known when answers come.
    """
    raised = [result for result in results if isinstance(result, BaseException)]
    asking = [error for error in raised if isinstance(error, GraphInterrupt)]
    if not asking or len(asking) < len(raised):
        return None
    return GraphInterrupt([each for error in asking for each in error.args[0]])


_working: ContextVar[Callable[[SubQuestion], Awaitable[Any]]] = ContextVar("anabranch_working")


async def _answer(question: SubQuestion) -> Any:
    return await _working.get()(question)


def _answer_sync(question: SubQuestion) -> Any:
    return run_sync(_answer(question))


# LangGraph prepares the function of a task once if it is one of a module, and with every call if it is not.
_as_task: Any = task(name="sub_question")
_task, _task_sync = _as_task(_answer), _as_task(_answer_sync)


def _awaitable(future: Any) -> Awaitable[Any]:
    if isinstance(future, concurrent.futures.Future):
        return asyncio.wrap_future(future)
    shared: Awaitable[Any] = future
    return shared
