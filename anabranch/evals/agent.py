"""LangChain's `create_agent` under evaluation, alone and behind `PlannerMiddleware`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphRecursionError

from anabranch.agents.models import RoleModel
from anabranch.agents.tool_calls import read_calls
from anabranch.errors import ConfigurationError, MissingExtraError
from anabranch.evals import prompts
from anabranch.evals.systems import Case, Outcome, Planner, System
from anabranch.plan import Answer, Plan
from anabranch.replies import final_answer

try:
    from langchain.agents import create_agent
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

    from anabranch.middleware import PlannerMiddleware
except ImportError as error:
    raise MissingExtraError("react and middleware need: pip install 'anabranch[eval]'") from error

STEPS = 25
"""Calls of the model and of tools, and of the middleware, after which an agent is stopped."""


class Calls(AgentMiddleware[Any, Any, Any]):
    """Helps small models with tool calls.

    Reads those that are written as text, which a server's parser passes on as an answer; the planner's own solver
    reads them so, too.

    Args:
        tools: the agent's tools.
        tool_first: whether the server is told to have the first reply be a tool call.
    """

    def __init__(self, tools: Sequence[BaseTool], *, tool_first: bool) -> None:
        super().__init__()
        self._tools = {tool.name: tool for tool in tools}
        self._tool_first = tool_first

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Calls the model, and reads what it wrote."""
        if self._tool_first and self._tools and not any(isinstance(said, AIMessage) for said in request.messages):
            # Of one tool only its arguments are to be written: of several, a server takes a list, which may not end.
            request = request.override(tool_choice=next(iter(self._tools)) if len(self._tools) == 1 else "any")
        response = await handler(request)
        read = [read_calls(m, self._tools)[0] if isinstance(m, AIMessage) else m for m in response.result]
        return ModelResponse(result=read, structured_response=response.structured_response)


def react(solver: RoleModel, planner: Planner | None = None, *, tool_first: bool = False, stop: bool = False) -> System:
    """An agent with a question's tools; with a planner, behind `PlannerMiddleware`.

    Args:
        solver: the agent's model.
        planner: what plans.
        tool_first: as for `Calls`.
        stop: whether the planner's answer ends the agent's turn, as `PlannerMiddleware` has it.

    Raises:
        ConfigurationError: the solver cannot call tools.
    """
    if solver.small:
        raise ConfigurationError(
            "an agent needs a solver that calls tools, and the embedded model does not; name another"
        )

    async def run(case: Case) -> Outcome:
        tools = [tool.model_copy(update={"handle_tool_error": True}) for tool in case.tools]
        middleware: list[Any] = [Calls(tools, tool_first=tool_first)]
        if planner:
            graph = planner.over(case, final_answer=stop)
            middleware.append(PlannerMiddleware(graph, stop_when_answered=stop))
        agent: Any = create_agent(solver.chat, tools, system_prompt=prompts.REACT_INSTRUCTION, middleware=middleware)
        asked = {"messages": [HumanMessage(case.question)]}
        state: Mapping[str, Any] = asked
        try:
            async for values in agent.astream(asked, {"recursion_limit": STEPS}, stream_mode="values"):
                state = values
            return _outcome(state, str(state["messages"][-1].text).strip(), planned=planner is not None)
        except GraphRecursionError:
            return _outcome(state, "", planned=planner is not None, endless=f"stopped after {STEPS} steps")

    return run


def _outcome(state: Mapping[str, Any], reply: str, *, planned: bool, **extra: str) -> Outcome:
    """What an agent's state comes to."""
    made = [call for message in state["messages"] for call in getattr(message, "tool_calls", [])]
    extra["calls"] = "\n".join(f"{call['name']} {call['args']}" for call in made) or "none"
    if not planned:
        return Outcome(reply, final_answer(reply), extra=extra)
    found = state.get("planned") or {}
    return Outcome(
        reply,
        final_answer(reply),
        plan=Plan.model_validate(found.get("plan") or {}),
        answers={int(id_): Answer.model_validate(answer) for id_, answer in found.get("answers", {}).items()},
        problems=(found["error"],) if "error" in found else (),
        extra=extra,
    )
