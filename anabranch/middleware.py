"""The planner for LangChain's `create_agent`: look-ups are planned and made before the agent's first step."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Literal, NotRequired

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
except ImportError as error:
    from anabranch.errors import MissingExtraError

    raise MissingExtraError(f"PlannerMiddleware needs: pip install 'anabranch[agent]' ({error})") from error
from langchain_core.messages import AIMessage, SystemMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime

# Of the package and not of `typing`: on Python 3.11, pydantic makes JSON schemas of no other.
from typing_extensions import TypedDict

from anabranch.agents.prompts import looked_up
from anabranch.errors import AnabranchError
from anabranch.graphs.planner import Planner
from anabranch.plan import Answer, Plan
from anabranch.slots import fill

logger = logging.getLogger(__name__)
SWITCH = "plan"
"""In the `configurable` of a run's configuration: False leaves out the plan."""


class Todo(TypedDict):
    """A sub-question, in the form of LangChain's todo lists, which user interfaces draw.

    Attributes:
        content: its text.
        status: `completed` when it has an answer; `pending` where it failed, so that it is left to the agent.
    """

    content: str
    status: Literal["pending", "in_progress", "completed"]


class PlannedState(AgentState[Any]):
    """The state of an agent with a plan.

    Attributes:
        todos: the sub-questions of this turn.
        planned: the plan of this turn and its answers, as plain data; None where there is no plan.
    """

    todos: NotRequired[list[Todo]]
    planned: NotRequired[dict[str, Any] | None]


class PlannerMiddleware(AgentMiddleware[PlannedState, Any, Any]):
    """Plans before an agent's first step: look-ups run at the same time, and their answers stand in its context.

    The agent keeps its own tools and goes on from there. The planner's events (`plan`, `sub_question`) come in
    `stream_mode="custom"` while it runs; `todos` in the agent's state has the sub-questions afterwards. Where the
    planner fails, the agent works without a plan, and `planned` says why.

    ```python
    planner = create_planner(solver="openai:gpt-5-mini", tools=[document_search("handbook/")], final_answer=False)
    agent = create_agent("openai:gpt-5-mini", tools=[...], middleware=[PlannerMiddleware(planner)])
    agent.invoke({"messages": [("user", "...")]}, {"configurable": {"plan": False}})  # this once without
    ```

    Args:
        planner: best made with `final_answer=False`; its tools are look-ups, actions belong to the agent.
        when: whether to plan at all, or a function of the agent's state that says so.
    """

    state_schema = PlannedState

    def __init__(self, planner: Planner, *, when: bool | Callable[[PlannedState], bool] = True) -> None:
        super().__init__()
        self._planner = planner
        self._when = when

    def before_agent(self, state: PlannedState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Plans and looks up; see `abefore_agent`."""
        if not self._wanted(state):
            return _nothing(state)
        last: Mapping[str, Any] = {}
        try:
            for part in self._planner.stream(_asked(state), stream_mode=["custom", "values"]):
                last = _passed_on(part, runtime) or last
        except AnabranchError as error:
            return _failed(error)
        return _update(last)

    async def abefore_agent(self, state: PlannedState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Plans and looks up, before the agent's model is called for the first time in a turn."""
        if not self._wanted(state):
            return _nothing(state)
        last: Mapping[str, Any] = {}
        try:
            async for part in self._planner.astream(_asked(state), stream_mode=["custom", "values"]):
                last = _passed_on(part, runtime) or last
        except AnabranchError as error:
            return _failed(error)
        return _update(last)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        """Shows the agent's model what was found."""
        return handler(_informed(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | AIMessage:
        """Shows the agent's model what was found."""
        return await handler(_informed(request))

    def _wanted(self, state: PlannedState) -> bool:
        if get_config().get("configurable", {}).get(SWITCH, True) is False:
            return False
        return self._when(state) if callable(self._when) else self._when


def _asked(state: PlannedState) -> dict[str, Any]:
    return {"messages": state["messages"]}


def _passed_on(part: Any, runtime: Runtime[Any]) -> Mapping[str, Any] | None:
    """Passes an event on to whoever streams the agent; gives the state if the part is one."""
    mode, value = part
    if mode == "custom":
        runtime.stream_writer(value)
        return None
    return value if isinstance(value, Mapping) else None


def _nothing(state: PlannedState) -> dict[str, Any] | None:
    """Takes away what an earlier turn left."""
    return {"todos": [], "planned": None} if state.get("planned") else None


def _failed(error: AnabranchError) -> dict[str, Any]:
    logger.warning("the agent works without a plan: %s", error)
    return {"todos": [], "planned": {"error": str(error)}}


def _update(result: Mapping[str, Any]) -> dict[str, Any]:
    plan, answers = Plan.model_validate(result.get("plan") or {}), _answers(result.get("answers") or {})
    if not answers:
        return {"todos": [], "planned": None}
    kept = {
        "plan": plan.model_dump(mode="json"),
        "answers": {str(id_): answer.model_dump(mode="json") for id_, answer in answers.items()},
        "usage": {role: usage.model_dump(mode="json") for role, usage in (result.get("usage") or {}).items()},
    }
    return {"todos": list(_todos(plan, answers)), "planned": kept}


def _answers(found: Mapping[Any, Any]) -> dict[int, Answer]:
    return {int(id_): Answer.model_validate(answer) for id_, answer in found.items()}


def _todos(plan: Plan, answers: Mapping[int, Answer]) -> Iterator[Todo]:
    texts = {id_: answer.text for id_, answer in answers.items() if answer.ok}
    for question in plan.sub_questions:
        done = question.id in texts
        yield Todo(content=fill(question.text, texts), status="completed" if done else "pending")


def _informed(request: ModelRequest[Any]) -> ModelRequest[Any]:
    planned: Any = request.state.get("planned") or {}
    if not planned.get("answers"):
        return request
    text = looked_up(Plan.model_validate(planned["plan"]), _answers(planned["answers"]))
    own = request.system_message.text if request.system_message else ""
    return request.override(system_message=SystemMessage(f"{own}\n\n{text}".strip()))
