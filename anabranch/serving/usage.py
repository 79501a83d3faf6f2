"""Tokens by role, counted from outside the planner: also of runs that were cancelled or stopped half-way."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from anabranch.agents.limits import usage_of
from anabranch.plan import Usage

_ROLE = "anabranch:"


class UsageByRole(AsyncCallbackHandler):
    """Adds up what the calls of a run consume; the planner tags each call with its role.

    Attributes:
        by_role: tokens by `decomposer`, `solver` and `joiner`.
    """

    run_inline = True
    ignore_chain = True  # LangChain would make a task for each beginning and end of a node

    def __init__(self) -> None:
        self.by_role: dict[str, Usage] = {}
        self._prompts: dict[UUID, list[BaseMessage]] = {}

    async def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Keeps what was asked, for servers that do not count it."""
        self._prompts[run_id] = messages[0]

    async def on_llm_end(
        self,
        response: LLMResult,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Books a call."""
        role = next((tag.removeprefix(_ROLE) for tag in tags or [] if tag.startswith(_ROLE)), "other")
        prompt = self._prompts.pop(run_id, [])
        for generation in response.generations[0][:1]:
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                self.by_role[role] = self.by_role.get(role, Usage()) + usage_of(generation.message, None, prompt)
