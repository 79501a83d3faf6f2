"""A plan, line by line while it is written."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langchain_core.runnables import RunnableLambda

from anabranch.agents.decomposer import Decomposer, Draft, PlanRequest, decompose
from anabranch.agents.drafts import Reader
from anabranch.agents.ledger import Ledger, booking
from anabranch.config import Budget
from anabranch.errors import ModelError
from anabranch.plan import Plan, SubQuestion, Usage
from anabranch.serving.metrics import Metrics

REPAIRS = 1


@dataclass(frozen=True)
class Written:
    """A sub-question as the decomposer wrote it; the plan it belongs to is not checked yet."""

    question: SubQuestion


@dataclass(frozen=True)
class Restarted:
    """The draft so far would not do: forget it, another is being written."""


@dataclass(frozen=True)
class Planned:
    """The whole plan, checked; `new` are the sub-questions that were added."""

    plan: Plan
    new: tuple[int, ...]
    problems: tuple[str, ...]
    usage: Usage


PlanItem = Written | Restarted | Planned


async def write_plan(
    decomposer: Decomposer,
    request: PlanRequest,
    budget: Budget | None,
    metrics: Metrics,
    emit: Callable[[PlanItem], Awaitable[None]],
) -> None:
    """Has a plan written and emits it piece by piece, and then as a whole.

    Args:
        decomposer: who writes.
        request: what is asked.
        budget: hard limits.
        metrics: where plans and tokens are counted.
        emit: takes the items.

    Raises:
        ModelError: no draft was a plan that can run.
        BudgetExceededError, EndpointError: as model calls do.
    """
    ledger = Ledger(budget=budget)

    async def draft(_: object) -> Draft:
        return await decompose(decomposer, request, repairs=REPAIRS)

    reader, drafts, result = Reader(), 0, Draft(request.asked)
    try:
        with booking(ledger):
            # Events of LangChain, as this makes the model stream under `ainvoke`, which is how decomposers call it.
            async for event in RunnableLambda(draft).astream_events(None, version="v2"):
                if event["event"] == "on_chat_model_start":
                    drafts += 1
                    reader = Reader()
                    if drafts > 1:
                        await emit(Restarted())
                elif event["event"] == "on_chat_model_stream":
                    for question in reader.take(str(event["data"]["chunk"].text)):
                        await emit(Written(question))
                elif event["event"] == "on_chat_model_end":
                    for question in reader.end(str(event["data"]["output"].text)):
                        await emit(Written(question))
                elif event["event"] == "on_chain_end" and isinstance(event["data"].get("output"), Draft):
                    result = event["data"]["output"]
    finally:
        metrics.spent(ledger.by_role)
    if len(result.problems) > REPAIRS:
        raise ModelError(
            f"the decomposer wrote no plan that can run: {result.problems[-1]}; try again or ask differently"
        )
    new = result.plan.ids[len(request.asked.sub_questions) :]
    metrics.planned(new=len(new), problems=len(result.problems))
    await emit(Planned(result.plan, new, (*result.notes, *result.problems), ledger.total))
