"""The planner for LangChain's `create_agent`: look-ups are planned and made before the agent's first step."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NotRequired

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse, hook_config
except ImportError as error:
    from anabranch.errors import MissingExtraError

    raise MissingExtraError(f"PlannerMiddleware needs: pip install 'anabranch[agent]' ({error})") from error
from langchain_core.messages import AIMessage, SystemMessage
from langgraph.config import get_config
from langgraph.func import task
from langgraph.runtime import Runtime

from anabranch.agents.prompts import looked_up
from anabranch.errors import AnabranchError
from anabranch.graphs.planner import Planner
from anabranch.graphs.progress import Progress, Todo
from anabranch.plan import Answer, Plan

logger = logging.getLogger(__name__)
SWITCH = "plan"
"""In the `configurable` of a run's configuration: False leaves out the plan."""


class PlannedState(AgentState[Any]):
    """The state of an agent with a plan.

    Attributes:
        todos: the sub-questions of this turn.
        planned: the plan of this turn, its answers and what they give, as plain data; None where there is no plan.
    """

    todos: NotRequired[list[Todo]]
    planned: NotRequired[dict[str, Any] | None]


class PlannerMiddleware(AgentMiddleware[PlannedState, Any, Any]):
    """Plans before an agent's first step: look-ups run at the same time, and their answers stand in its context.

    The agent keeps its own tools and goes on from there. While the plan runs, each change of `todos` comes as an event
    `{"type": "todos", "todos": [...]}` in `stream_mode="custom"`, beside the planner's own (`plan`, `sub_question`),
    and as an update `{"todos": {"todos": [...]}}` in `stream_mode="updates"`; the agent's state has them afterwards.
    Where the planner fails, the agent works without a plan, and `planned` says why.

    ```python
    planner = create_planner(solver="openai:gpt-5-mini", tools=[document_search("handbook/")], final_answer=False)
    agent = create_agent("openai:gpt-5-mini", tools=[...], middleware=[PlannerMiddleware(planner)])
    agent.invoke({"messages": [("user", "...")]}, {"configurable": {"plan": False}})  # this once without
    ```

    Args:
        planner: its tools are look-ups, actions belong to the agent. A strong agent puts the answers together itself:
            make the planner with `final_answer=False`, which saves a call. A small model does better with the planner's
            own answer, which it is then told, too.
        when: whether to plan at all, or a function of the agent's state that says so.
        stop_when_answered: whether the planner's answer is the agent's, whose model is then not called. Where the plan
            answer all of the question, the agent goes on, as it does behind a planner without a final answer.
    """

    state_schema = PlannedState

    def __init__(
        self,
        planner: Planner,
        *,
        when: bool | Callable[[PlannedState], bool] = True,
        stop_when_answered: bool = False,
    ) -> None:
        super().__init__()
        self._planner = planner
        self._when = when
        self._stop = stop_when_answered

    @hook_config(can_jump_to=["end"])
    def before_agent(self, state: PlannedState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Plans and looks up; see `abefore_agent`."""
        if not self._wanted(state):
            return _nothing(state)
        run = _Run(runtime)
        try:
            for part in self._planner.stream(_asked(state), stream_mode=["custom", "values"]):
                if run.heard(*part):
                    _shown(run.todos()).result()
        except AnabranchError as error:
            return _failed(error)
        return run.update(stop=self._stop)

    @hook_config(can_jump_to=["end"])
    async def abefore_agent(self, state: PlannedState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Plans and looks up, before the agent's model is called for the first time in a turn."""
        if not self._wanted(state):
            return _nothing(state)
        run = _Run(runtime)
        try:
            async for part in self._planner.astream(_asked(state), stream_mode=["custom", "values"]):
                if run.heard(*part):
                    await _shown(run.todos())
        except AnabranchError as error:
            return _failed(error)
        return run.update(stop=self._stop)

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


def _as_update(todos: list[Todo]) -> dict[str, list[Todo]]:
    return {"todos": todos}


_as_task: Any = task(name="todos")
_shown = _as_task(_as_update)
"""What a task gives is streamed as an update at once; what a node gives, when the node has ended."""


class _Run:
    """A plan that runs: what was heard of it so far."""

    def __init__(self, runtime: Runtime[Any]) -> None:
        self._write = runtime.stream_writer
        self._state: Mapping[str, Any] = {}
        self._progress = Progress()

    def heard(self, mode: str, part: Any) -> bool:
        """Takes a part of the planner's stream and passes its events on; whether the todos have changed."""
        if mode == "values":
            self._state = part
            return False
        self._write(part)
        if not self._progress.heard(part):
            return False
        self._write({"type": "todos", "todos": self.todos()})
        return True

    def todos(self) -> list[Todo]:
        """The sub-questions as they stand."""
        return self._progress.todos()

    def update(self, *, stop: bool) -> dict[str, Any]:
        """What the agent's state gets when the plan has run; with `stop`, an answer ends the agent's turn."""
        state = self._state
        # What was begun and stopped is left to the agent.
        ran = Progress(Plan.model_validate(state.get("plan") or {}), _answers(state.get("answers") or {}))
        self._progress = ran
        if not ran.answers:
            return {"todos": [], "planned": None}
        kept = {
            "plan": ran.plan.model_dump(mode="json"),
            "answers": {str(id_): answer.model_dump(mode="json") for id_, answer in ran.answers.items()},
            "answer": state["answer"] if state.get("status") in ("answered", "partial") else "",
            "usage": {role: usage.model_dump(mode="json") for role, usage in (state.get("usage") or {}).items()},
        }
        update = {"todos": self.todos(), "planned": kept}
        if not (stop and state["answer"] and state["status"] == "answered"):
            return update
        return {**update, "messages": [state["messages"][-1]], "jump_to": "end"}


def _nothing(state: PlannedState) -> dict[str, Any] | None:
    """Takes away what an earlier turn left."""
    return {"todos": [], "planned": None} if state.get("planned") else None


def _failed(error: AnabranchError) -> dict[str, Any]:
    logger.warning("the agent works without a plan: %s", error)
    return {"todos": [], "planned": {"error": str(error)}}


def _answers(found: Mapping[Any, Any]) -> dict[int, Answer]:
    return {int(id_): Answer.model_validate(answer) for id_, answer in found.items()}


def _informed(request: ModelRequest[Any]) -> ModelRequest[Any]:
    planned: Any = request.state.get("planned") or {}
    answers = _answers(planned.get("answers") or {})
    if not any(answer.ok for answer in answers.values()):
        return request  # told of failures alone, small models take "failed" for the answer
    text = looked_up(Plan.model_validate(planned["plan"]), answers, planned.get("answer", ""))
    own = request.system_message.text if request.system_message else ""
    return request.override(system_message=SystemMessage(f"{own}\n\n{text}".strip()))
