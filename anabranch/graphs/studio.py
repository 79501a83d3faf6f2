"""The planner as `langgraph.json` names it, for `langgraph dev`, Studio and LangGraph servers.

Set it up through the environment: `ANABRANCH_DECOMPOSER`, `ANABRANCH_SOLVER`, `ANABRANCH_DOCS` and the other
names of `anabranch.config.Settings`.
"""

import asyncio
from functools import lru_cache

from anabranch.config import Budget, read_settings
from anabranch.graphs.planner import Planner, create_planner
from anabranch.tools import calculator, document_search


async def make_planner() -> Planner:
    """Builds the planner from the settings, once, off the server's event loop; the server brings the checkpointer.

    Raises:
        DocumentError: `ANABRANCH_DOCS` cannot be read.
    """
    return await asyncio.to_thread(_build)


@lru_cache(maxsize=1)
def _build() -> Planner:
    settings = read_settings()
    tools = [calculator()]
    if settings.docs:
        tools.append(document_search(settings.docs))
    budget = Budget(call_timeout=settings.call_timeout, max_answer_tokens=settings.max_answer_tokens)
    return create_planner(decomposer=settings.decomposer, solver=settings.solver, tools=tools, budget=budget)
