"""The planner as `langgraph.json` names it, for `langgraph dev`, Studio and LangGraph servers.

Set it up through the environment: `ANABRANCH_DECOMPOSER`, `ANABRANCH_SOLVER`, `ANABRANCH_DOCS` and the other
variables of docs/options.md.
"""

import asyncio
import logging
from functools import lru_cache

from anabranch.config import planner_settings
from anabranch.graphs.build import build_planner
from anabranch.graphs.planner import Planner

logger = logging.getLogger(__name__)


async def make_planner() -> Planner:
    """Builds the planner from the settings, once, off the server's event loop; the server brings the checkpointer.

    Raises:
        UserError, BackendError: a variable has a value that no planner can be built from.
    """
    return await asyncio.to_thread(_build)


@lru_cache(maxsize=1)
def _build() -> Planner:
    settings = planner_settings()
    # A person can review plans in Studio: the server keeps threads.
    keeper = True if settings.review else None
    return build_planner(settings, status=logger.info, note=logger.warning, checkpointer=keeper)
