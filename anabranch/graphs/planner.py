"""The planner graph, and the factory that builds it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer

from anabranch.agents.conversation import FollowUps, resolve_follow_ups
from anabranch.agents.decomposer import Decomposer
from anabranch.agents.gate import Gate, resolve_gate
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.resolve import default_decomposer, resolve_decomposer
from anabranch.config import AnswerForm, Budget, Protocol, check_mode
from anabranch.errors import ConfigurationError
from anabranch.graphs.bridge import Choice, Node
from anabranch.graphs.edges import Body, deciding, spare_reading
from anabranch.graphs.embedding import NEEDS_CHECKPOINTER, PlannerGraph
from anabranch.graphs.grounded import searchers_of
from anabranch.graphs.nodes import Nodes
from anabranch.graphs.state import PlannerInput, PlannerOutput, PlannerState, with_keys_of
from anabranch.graphs.step import StepRunner, by_graph, by_route
from anabranch.graphs.turn import complete, filled, new_turn
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.effects import Unmarked, has_effects
from anabranch.tools.shortlist import shortlist

Planner = CompiledStateGraph[Any, Any, Any, Any]


def create_planner(
    *,
    decomposer: str | BaseChatModel | RoleModel | Decomposer | None = None,
    solver: str | BaseChatModel | RoleModel = "local",
    joiner: str | BaseChatModel | RoleModel | None = None,
    tools: Sequence[BaseTool | Callable[..., Any]] = (),
    tool_retrieval: int | Literal["auto"] | None = "auto",
    mode: str = "static",
    follow_ups: FollowUps | Literal["auto", "as_asked"] = "auto",
    gate: Gate | Literal["auto", "always"] = "auto",
    protocol: Protocol = "auto",
    review: bool = False,
    max_sub_questions: int = 8,
    max_replans: int = 1,
    max_concurrency: int = 16,
    step_timeout: float = 120.0,
    budget: Budget | None = None,
    answer_form: AnswerForm = "whole",
    final_answer: bool = True,
    grounded: bool = False,
    step_graph: Planner | None = None,
    checkpointer: Checkpointer = None,
    approve_actions: bool | None = None,
    unmarked_tools: Unmarked = "look_up",
    store: Any = None,
    state_schema: type[Any] | None = None,
    context_schema: type[Any] | None = None,
    name: str = "anabranch",
) -> Planner:
    """Builds the planner: a question comes in, a plan runs, an answer goes out.

    Input is `{"messages": [...]}`, whose last human message is the question; output has `answer`, `status`, `sources`,
    `plan`, `answers`, `usage` and the `messages` with the answer appended. `invoke`, `ainvoke`, `stream` and `astream`
    all work; `stream_mode="messages"` gives the answer as it is written, and `stream_mode="custom"` events of the types
    `question`, `plan`, `sub_question`, `replan` and `answer`.

    As a node of another graph, the planner writes `messages` to that graph's state and, if it has the key, `anabranch`:
    all else, as plain data.

    Args:
        decomposer: who writes plans: `local`, an address, `PROVIDER:MODEL`, a chat model, or a `Decomposer`. None takes
            the in-process one where it is installed (`anabranch[local]`), and the solver otherwise.
        solver: who answers; names as for `decomposer`.
        joiner: who joins the answers; the solver if None.
        tools: LangChain tools, functions with docstrings, or agents (`agent_tool`); names and descriptions enter the
            catalogue.
        tool_retrieval: how many tools a plan may choose from: those whose words fit the question. `auto` shows up to 30
            tools as they are and of more those 24 that fit best; None shows all.
        mode: `static` (the whole plan at once) or `dynamic` (the next layer, given the answers so far).
        follow_ups: how a question that leans on earlier turns is understood: `auto` has the solver write it as one that
            stands by itself, `as_asked` takes it as it is, and a function gets the conversation and gives an
            `anabranch.agents.conversation.Understood`.
        gate: `auto`, `always`, or a function of the question that says whether to plan.
        protocol: how plans run: `guided` (one solver call along the plan), `per_node` (each sub-question by itself),
            or `auto` to decide by the plan's routes (see `graphs/protocol.py`).
        review: whether each plan waits for a person's `PlanDecision`, or for `"approve"`, `"reject"` or words on what
            should be different; needs a checkpointer, or `checkpointer=True`.
        max_sub_questions: most sub-questions in a plan; in dynamic mode, in all layers together.
        max_replans: most plans drawn up after the first, in static mode.
        max_concurrency: most sub-questions of one question answered at the same time.
        step_timeout: seconds one sub-question may take, not counting the wait for its dependencies.
        budget: hard limits for one question and for each of its model calls. None: those of `Budget()`, which limits
            the time and the tokens of a call and nothing else. One run's final answer may be limited further, by
            `max_answer_tokens` in the `configurable` of its configuration.
        answer_form: `whole` (what a person wants to read) or `short` (the answer alone, in a few words, as graders
            want it). A solver that is `small` writes short answers.
        final_answer: False runs the plan and leaves the answer to whoever embeds the planner: the result has `plan`,
            `answers` and `sources`, an empty `answer`, and no more messages than before.
        grounded: whether an answer comes out of tool results or is "not found" (`status` `not_found`), and never out of
            what the solver knows. What no plan looks up is looked up as it is asked, steps may only reason over what
            was found, and an answer is checked before it is shown, so it comes in one piece. Needs a tool that looks
            things up. Thanks and greetings are answered all the same.
        step_graph: replaces `route → solver | tool`: a compiled graph over `anabranch.graphs.step.StepState`, from
            `sub_question` and `text` to `answer`.
        checkpointer: keeps threads, so that a stopped run goes on where it was. True says that the graph which the
            planner becomes a node of, or the LangGraph server that runs it, has one.
        approve_actions: whether a person decides on each call of a tool that changes something (see
            `anabranch.tools.effects`) before it is made: the run is interrupted with a request in the form of
            LangChain's human-in-the-loop middleware, and `Command(resume={"decisions": [{"type": "approve"}]})` goes
            on. None: where there is a checkpointer. Such a call is never made twice for one question in any case.
        unmarked_tools: `look_up` or `action`: what tools are that do not say whether they change something.
        store: a LangGraph store, for tools.
        state_schema: a `PlannerState` with more keys, which the caller sets and tools may have injected or update.
        context_schema: type of the run's context, for tools.
        name: name of the graph, and of the assistant in its messages.

    Raises:
        ConfigurationError: an option that does not fit.
        MissingExtraError: a model needs a package that is not installed.
        EndpointError: a served model's name could not be asked for.
    """
    for option, value, least in (("max_sub_questions", max_sub_questions, 1), ("max_replans", max_replans, 0)):
        if value < least:
            raise ConfigurationError(f"{option} is {value}; it must be at least {least}")
    alone = "grounded=True" if grounded else "" if final_answer else "final_answer=False"
    if alone and protocol == "guided":
        raise ConfigurationError(f"{alone} runs each sub-question by itself; leave protocol='guided' out")
    if (review or approve_actions) and (checkpointer is None or checkpointer is False):
        raise ConfigurationError(NEEDS_CHECKPOINTER)
    catalogue = Catalogue(map(_as_tool, tools))
    answering = resolve_model(solver)
    step = (
        by_graph(step_graph)
        if step_graph
        else by_route(answering, catalogue, unmarked=unmarked_tools, grounded=grounded)
    )
    nodes = Nodes(
        decomposer=default_decomposer(lambda: answering) if decomposer is None else resolve_decomposer(decomposer),
        solver=answering,
        joiner=resolve_model(joiner) if joiner else answering,
        tools=catalogue,
        shortlist=shortlist(catalogue, tool_retrieval),
        step=StepRunner(step, timeout=step_timeout, concurrency=max_concurrency),
        follow_ups=resolve_follow_ups(follow_ups, answering),
        gate_policy=resolve_gate(gate),
        mode=check_mode(mode),
        protocol="per_node" if alone else protocol,
        review=review,
        max_sub_questions=max_sub_questions,
        max_replans=max_replans,
        budget=budget,
        acts=any(has_effects(each, unmarked_tools) for each in catalogue.values()),
        approve_actions=approve_actions,
        answer_form=_known_form(answer_form),
        final_answer=final_answer,
        searchers=searchers_of(catalogue, unmarked_tools) if grounded else (),
        name=name,
    )
    _check_prices(nodes)
    builder = _wire(nodes, state_schema or PlannerState, context_schema)
    # LangGraph would give a subgraph with True threads of its own, where messages that the graph around it has dropped
    # live on; without one, a subgraph has that graph's.
    keeper = None if checkpointer is True else checkpointer
    compiled = PlannerGraph.of(builder.compile(checkpointer=keeper, store=store, name=name))
    # Tasks wait for their dependencies inside LangGraph's pool; it must never be the limit (StepRunner is).
    return compiled.with_config(max_concurrency=2 * max_sub_questions * (max_replans + 1) + 2)


def _as_tool(given: BaseTool | Callable[..., Any]) -> BaseTool:
    if isinstance(given, BaseTool):
        return given
    if isinstance(given, Runnable):
        raise ConfigurationError(
            f"{getattr(given, 'name', None) or type(given).__name__!r} among the tools is a graph or another runnable; "
            "pass it as agent_tool(graph, name=..., description=...)"
        )
    return tool(given)


def _check_prices(nodes: Nodes) -> None:
    models = (nodes.solver, nodes.joiner, getattr(nodes.decomposer, "model", None))
    if nodes.budget and nodes.budget.max_usd and not any(getattr(model, "price", None) for model in models):
        raise ConfigurationError(
            "max_usd holds nothing where no model's price is known; give RoleModel(model, Price(...)) or max_tokens"
        )


def _known_form(form: AnswerForm) -> AnswerForm:
    if form not in ("whole", "short"):
        raise ConfigurationError(f"unknown answer_form {form!r}; use one of: whole, short")
    return form


def _wire(nodes: Nodes, state: type[Any], context: type[Any] | None) -> "StateGraph[Any, Any, Any, Any]":
    given, gives = with_keys_of(state, PlannerInput), with_keys_of(state, PlannerOutput)
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(
        state, context_schema=context, input_schema=given, output_schema=gives
    )
    # What follows a node is told from the state alone, so that `update_state`, and a state edited in Studio, go on too.
    # A choice must not raise: LangGraph would take its node for done when the run is resumed.
    plan_or_end = ["plan", END] if nodes.mode == "static" else [END]
    gate = deciding(nodes.gate, nodes.after_gate)
    builder.add_node("gate", Node(lambda state: gate(new_turn(state)), "gate"))
    builder.add_node("plan", _node(deciding(nodes.plan, nodes.after_plan), "plan"))
    if nodes.review:
        builder.add_node("review", lambda state: nodes.review_plan(complete(state)))
    builder.add_node("solve", _node(nodes.solve, "solve"))
    builder.add_node(
        "execute", _node(partial(nodes.execute, sync=False), "execute", body_sync=partial(nodes.execute, sync=True))
    )
    builder.add_node("join", _node(deciding(nodes.join, nodes.after_join), "join"))
    builder.add_edge(START, "gate")
    builder.add_conditional_edges("gate", _choice(nodes.after_gate), ["plan", "solve"])
    builder.add_conditional_edges(
        "plan", _choice(nodes.after_plan), ["review", "solve", "join"] if nodes.review else ["solve", "execute", "join"]
    )
    if nodes.review:
        builder.add_conditional_edges("review", _choice(nodes.after_review), ["plan", "solve", "execute", END])
    builder.add_edge("solve", END)
    then = "plan" if nodes.mode == "dynamic" else "join"
    if nodes.acts:
        builder.add_node("approve", lambda state: nodes.approve(complete(state)))
        builder.add_conditional_edges("execute", _choice(nodes.after_execute), ["approve", then])
        builder.add_edge("approve", "execute")
    else:
        builder.add_edge("execute", then)
    builder.add_conditional_edges("join", _choice(nodes.after_join), plan_or_end)
    spare_reading(builder)
    return builder


def _node(body: Body, name: str, *, body_sync: Body | None = None) -> Node[dict[str, Any]]:
    read_sync = body_sync or body
    return Node(lambda state: body(complete(state)), name, body_sync=lambda state: read_sync(complete(state)))


def _choice(choose: Callable[[PlannerState], str]) -> Choice:
    return Choice(lambda state: choose(filled(state)))
