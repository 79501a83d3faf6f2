"""The distilled decomposer behind an address, and what happens when its server is away.

There is no batching of calls here: vLLM takes all requests that are under way into each of its steps, and a client that
waited for more of them would only make the first ones late.
"""

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from anabranch.agents.breaker import CircuitBreaker
from anabranch.agents.decomposer import (
    Decomposer,
    Grammar,
    LineDecomposer,
    PlanRequest,
    WrittenPlan,
    local_decomposer,
)
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.sizes import size_told
from anabranch.agents.wire import SERVED_TYPE
from anabranch.codecs import DIRECT, DONE
from anabranch.config import Fallback
from anabranch.errors import EndpointError, MissingExtraError

PREFIX = "decomposer"
"""What the names of served decomposers begin with."""
WEAK_BELOW = 0.5e9


class ServedDecomposer(LineDecomposer):
    """A distilled decomposer behind an OpenAI-compatible address, held to valid plans by vLLM's structured outputs.

    It writes freely, and only what fits no plan is put right under the grammar: a trained decomposer rarely needs it,
    and on a busy server the grammar halves the plans a second (see docs/lab/notebook.md).

    Where the server is away (no connection, no reply in time, 408, 429, 5xx, or a reply that cannot be read, each after
    the client's own retries), the fallback takes over, and after several such failures in a row the server is left
    alone for a while. A refusal (such as an unknown model or a wrong key) is an error all the same.

    Args:
        model: the chat model. If its name tells a size below half a billion, its plans count as weak (see
            `graphs/protocol.py`).
        fallback: who writes instead: `local` for the in-process model, `direct` for nobody (questions are answered
            without a plan), another writer of lines, or None to raise the error.
        seconds: most seconds for a plan, retries included.
        breaker: says when the server is asked; one of its own if None.
        grammar: `on_demand` as above, or `always` (see `LineDecomposer`).
        max_tokens: most tokens a reply may take (see `LineDecomposer`).

    Raises:
        MissingExtraError: the fallback is `local`, and the in-process model is not installed.
    """

    def __init__(
        self,
        model: RoleModel,
        *,
        fallback: Fallback | Decomposer | None = None,
        seconds: float = 60.0,
        breaker: CircuitBreaker | None = None,
        grammar: Grammar = "on_demand",
        max_tokens: int = 320,
    ) -> None:
        super().__init__(model, constrain=structured_outputs, grammar=grammar, max_tokens=max_tokens)
        if fallback == "local" and not (find_spec("xllamacpp") and find_spec("llguidance")):
            raise MissingExtraError("the fallback to the in-process model needs: pip install 'anabranch[local]'")
        self.weak = is_small(name_of(model))
        self.fallback = fallback
        self._writer = None if isinstance(fallback, str) else fallback
        self.seconds = seconds
        self.breaker = breaker or CircuitBreaker("the decomposer's server")

    async def write(self, request: PlanRequest) -> str:
        """Writes a plan, or has the fallback write it.

        Raises:
            EndpointError: the server refuses, or it is away and there is no fallback.
            BudgetExceededError: the budget was used up before the call.
        """
        if not self.breaker.admits():
            wait = self.breaker.seconds_left
            away = EndpointError(f"the decomposer's server keeps failing; it is tried again in {wait:.0f} s, check it")
            return await self._instead(request, away)
        try:
            with self.breaker.attempt(is_outage):
                return await self._ask(request)
        except EndpointError as error:
            if not is_outage(error):
                raise
            return await self._instead(request, error)

    async def _ask(self, request: PlanRequest) -> str:
        try:
            async with asyncio.timeout(self.seconds):
                return await super().write(request)
        except TimeoutError as error:
            raise EndpointError(
                f"the decomposer wrote no plan in {self.seconds:g} s (the server is too slow or away; try again)"
            ) from error

    async def _instead(self, request: PlanRequest, error: EndpointError) -> str:
        if self.fallback is None:
            raise error
        if self.fallback == "direct":
            word = DONE if request.asked.sub_questions else DIRECT
            return WrittenPlan(word, notes=(f"{error.public}; answered without a plan",))
        if self._writer is None:
            # Loading a model takes a second, and the event loop has others to serve.
            self._writer = local_decomposer(await asyncio.to_thread(resolve_model, "local", role="decomposer"))
        text = await self._writer.write(request)
        weak = getattr(text, "weak", False)
        return WrittenPlan(text, notes=(f"{error.public}; the fallback planned instead",), weak=weak)


def structured_outputs(pattern: str | None, begun: str = "") -> Mapping[str, Any]:
    """Call arguments that hold a reply to a regular expression.

    Args:
        pattern: the regular expression; None for a free reply.
        begun: the last message, if the reply goes on with it in place of beginning a new one.

    Source: https://docs.vllm.ai/en/latest/features/structured_outputs.html (the older `guided_regex` is gone), and for
    going on https://docs.vllm.ai/en/latest/serving/openai_compatible_server/#chat-api (extra parameters).
    """
    body: dict[str, Any] = {} if pattern is None else {"structured_outputs": {"regex": pattern}}
    if begun:
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return {"extra_body": body} if body else {}


def is_served_decomposer(model: RoleModel) -> bool:
    """Whether a model is behind an address and its name says that it is a distilled decomposer."""
    return model.chat._llm_type == SERVED_TYPE and name_of(model).startswith(PREFIX)


def name_of(model: RoleModel) -> str:
    """The model's name on its server."""
    return str(getattr(model.chat, "model_name", ""))


def is_small(name: str) -> bool:
    """Whether a name tells a size below half a billion parameters, such as `decomposer-135m`."""
    size = size_told(name)
    return size is not None and size < WEAK_BELOW


def is_outage(error: Exception) -> bool | None:
    """Whether an error says that the server is away; None if it says nothing about the server."""
    if not isinstance(error, EndpointError):
        return None
    status = getattr(error.__cause__, "status_code", None)
    return status is None or status in (408, 429) or status >= 500
