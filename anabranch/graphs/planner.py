"""The planner graph, and the factory that builds it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool
from langgraph.graph import END, START, StateGraph

from anabranch.agents.conversation import resolve_follow_ups
from anabranch.agents.gate import resolve_gate
from anabranch.agents.json_answers import as_schema
from anabranch.agents.models import resolve_model
from anabranch.agents.resolve import default_decomposer, resolve_decomposer
from anabranch.errors import ConfigurationError
from anabranch.graphs.bridge import Choice, Node
from anabranch.graphs.edges import Body, deciding, going_on, spare_reading
from anabranch.graphs.embedding import NEEDS_CHECKPOINTER, PlannerGraph
from anabranch.graphs.grounded import question_tools, searchers_of
from anabranch.graphs.nodes import Nodes
from anabranch.graphs.options import Planner as Planner
from anabranch.graphs.options import PlannerArguments
from anabranch.graphs.state import PlannerInput, PlannerOutput, PlannerState, with_keys_of
from anabranch.graphs.step import StepRunner, by_graph, by_route
from anabranch.graphs.turn import complete, filled, new_turn
from anabranch.options import keywords_of
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.effects import has_effects
from anabranch.tools.mcp_servers import McpServers
from anabranch.tools.shortlist import shortlist


@keywords_of(PlannerArguments)
def create_planner(options: PlannerArguments) -> Planner:
    """Builds the planner: a question comes in, a plan runs, an answer goes out.

    Input is `{"messages": [...]}`, whose last human message is the question; output has `answer`, `status`, `sources`,
    `plan`, `answers`, `usage` and the `messages` with the answer appended. `invoke`, `ainvoke`, `stream` and `astream`
    all work; `stream_mode="messages"` gives the answer as it is written, and `stream_mode="custom"` events of the types
    `question`, `plan`, `sub_question`, `replan` and `answer`; with `stream_drafts` in the `configurable` of the run's
    configuration also of the type `draft`: the new sub-questions of a plan, as far as they are written.

    As a node of another graph, the planner writes `messages` to that graph's state and, if it has the key, `anabranch`:
    all else, as plain data.

    Args:
        options: each a keyword, as `PlannerOptions` and `PlannerArguments` declare them.

    Raises:
        ConfigurationError: an option that does not fit.
        MissingExtraError: a model needs a package that is not installed.
        EndpointError: a served model's name could not be asked for, or no MCP server can be used.
    """
    options = _fitting(options)
    nodes = _nodes(options)
    _check_prices(nodes)
    builder = _wire(nodes, options.state_schema or PlannerState, options.context_schema)
    # LangGraph would give a subgraph with True threads of its own, where messages that the graph around it has dropped
    # live on; without one, a subgraph has that graph's.
    keeper = None if options.checkpointer is True else options.checkpointer
    compiled = PlannerGraph.of(builder.compile(checkpointer=keeper, store=options.store, name=options.name))
    # Tasks wait for their dependencies inside LangGraph's pool; it must never be the limit (StepRunner is).
    return compiled.with_config(max_concurrency=2 * options.max_sub_questions * (options.max_replans + 1) + 2)


def _fitting(options: PlannerArguments) -> PlannerArguments:
    """The options, which fit each other.

    Raises:
        ConfigurationError: they do not.
    """
    options.check()
    alone = "grounded=True" if options.grounded else "" if options.final_answer else "final_answer=False"
    if alone and options.protocol == "guided":
        raise ConfigurationError(f"{alone} runs each sub-question by itself; leave protocol='guided' out")
    if (options.review or options.approve_actions) and (options.checkpointer is None or options.checkpointer is False):
        raise ConfigurationError(NEEDS_CHECKPOINTER)
    options = replace(options, response_format=as_schema(options.response_format))
    return replace(options, protocol="per_node") if alone else options


def _nodes(options: PlannerArguments) -> Nodes:
    catalogue = Catalogue(_tools(options))
    solver, named, unmarked = resolve_model(options.solver), options.decomposer, options.unmarked_tools
    by_default = by_route(solver, catalogue, unmarked=unmarked, grounded=options.grounded)
    step = by_graph(options.step_graph) if options.step_graph else by_default
    return Nodes(
        options=options,
        decomposer=default_decomposer(lambda: solver) if named is None else resolve_decomposer(named),
        solver=solver,
        joiner=resolve_model(options.joiner) if options.joiner else solver,
        tools=catalogue,
        shortlist=shortlist(catalogue, options.tool_retrieval),
        step=StepRunner(step, timeout=options.step_timeout, concurrency=options.max_concurrency),
        follow_ups=resolve_follow_ups(options.follow_ups, solver),
        gate_policy=resolve_gate(options.gate),
        acts=any(has_effects(each, unmarked) for each in catalogue.values()),
        searchers=searchers_of(catalogue, unmarked) if options.grounded else (),
        question_tools=question_tools(catalogue, unmarked),
    )


def _tools(options: PlannerArguments) -> list[BaseTool]:
    tools = [_as_tool(each) for each in options.tools]
    return tools if options.mcp is None else [*tools, *McpServers(options.mcp, beside=[tool.name for tool in tools])]


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
    if (
        nodes.options.budget
        and nodes.options.budget.max_usd
        and not any(getattr(model, "price", None) for model in models)
    ):
        raise ConfigurationError(
            "max_usd holds nothing where no model's price is known; give RoleModel(model, Price(...)) or max_tokens"
        )


def _wire(nodes: Nodes, state: type[Any], context: type[Any] | None) -> "StateGraph[Any, Any, Any, Any]":
    given, gives = with_keys_of(state, PlannerInput), with_keys_of(state, PlannerOutput)
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(
        state, context_schema=context, input_schema=given, output_schema=gives
    )
    # What follows a node is told from the state alone, so that `update_state`, and a state edited in Studio, go on too.
    # A choice must not raise: LangGraph would take its node for done when the run is resumed.
    plan_or_end = ["plan", END] if nodes.options.mode == "static" else [END]
    plan = deciding(nodes.plan, nodes.after_plan)
    gate = going_on(deciding(nodes.gate, nodes.after_gate), {"plan": plan, "solve": nodes.solve})
    builder.add_node("gate", Node(lambda state: gate(new_turn(state)), "gate"))
    builder.add_node("plan", _node(going_on(plan, {"solve": nodes.solve}), "plan"))
    if nodes.options.review:
        builder.add_node("review", lambda state: nodes.review_plan(complete(state)))
    builder.add_node("solve", _node(nodes.solve, "solve"))
    builder.add_node(
        "execute", _node(partial(nodes.execute, sync=False), "execute", body_sync=partial(nodes.execute, sync=True))
    )
    builder.add_node("join", _node(deciding(nodes.join, nodes.after_join), "join"))
    builder.add_edge(START, "gate")
    builder.add_conditional_edges("gate", _choice(nodes.after_gate), ["plan", "solve"])
    builder.add_conditional_edges(
        "plan",
        _choice(nodes.after_plan),
        ["review", "solve", "join"] if nodes.options.review else ["solve", "execute", "join"],
    )
    if nodes.options.review:
        builder.add_conditional_edges("review", _choice(nodes.after_review), ["plan", "solve", "execute", END])
    builder.add_edge("solve", END)
    then = "plan" if nodes.options.mode == "dynamic" else "join"
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
