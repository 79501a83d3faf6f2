"""The options of `create_planner` that only Python can give: models, tools and other objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer

from anabranch.agents.conversation import FollowUps
from anabranch.agents.decomposer import Decomposer
from anabranch.agents.gate import Gate
from anabranch.agents.models import RoleModel
from anabranch.config import Budget
from anabranch.options import AnswerForm, Option, PlannerOptions
from anabranch.tools.effects import Unmarked
from anabranch.tools.mcp_config import McpConfig

Planner = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(frozen=True, kw_only=True)
class PlannerArguments(PlannerOptions):
    """The keywords of `create_planner`: those of `PlannerOptions`, and these."""

    decomposer: Annotated[
        str | BaseChatModel | RoleModel | Decomposer | None,
        Option(
            "Who writes plans: `local`, an address, `PROVIDER:MODEL`, a chat model, or a `Decomposer`.",
            "None takes the in-process one where it is installed (`anabranch[local]`), and the solver otherwise.",
        ),
    ] = None
    solver: Annotated[str | BaseChatModel | RoleModel, Option("Who answers; names as for `decomposer`.")] = "local"
    joiner: Annotated[str | BaseChatModel | RoleModel | None, Option("Who joins the answers; the solver if None.")] = (
        None
    )
    tools: Annotated[
        Sequence[BaseTool | Callable[..., Any]],
        Option(
            "LangChain tools, functions with docstrings, or agents (`agent_tool`).",
            "Names and descriptions enter the catalogue.",
        ),
    ] = ()
    mcp: Annotated[
        McpConfig | None,
        Option(
            "A file that names MCP servers, or what stands in it: their tools come to the others.",
            "They run until the program ends; `anabranch.tools.McpServers` can end them sooner.",
        ),
    ] = None
    tool_retrieval: Annotated[
        int | Literal["auto"] | None,
        Option(
            "How many tools a plan may choose from: those whose words fit the question.",
            "`auto` shows up to 30 tools as they are and of more those 24 that fit best; None shows all.",
        ),
    ] = "auto"
    follow_ups: Annotated[
        FollowUps | Literal["auto", "as_asked"],
        Option(
            "How a question that leans on earlier turns is understood.",
            "`auto` has the solver write it as one that stands by itself, `as_asked` takes it as it is, and a function "
            "gets the conversation and gives an `anabranch.agents.conversation.Understood`.",
        ),
    ] = "auto"
    gate: Annotated[
        Gate | Literal["auto", "always"],
        Option("`auto`, `always`, or a function of the question that says whether to plan."),
    ] = "auto"
    max_concurrency: Annotated[int, Option("Most sub-questions of one question answered at the same time.")] = 16
    budget: Annotated[
        Budget | None,
        Option(
            "Hard limits for one question and for each of its model calls.",
            "None: those of `Budget()`, which limits the time and the tokens of a call and nothing else. One run's "
            "final answer may be limited further, by `max_answer_tokens` in the `configurable` of its configuration.",
        ),
    ] = None
    answer_form: Annotated[
        AnswerForm,
        Option(
            "`whole` (what a person wants to read) or `short` (the answer alone, in a few words, as graders want it).",
            "A solver that is `small` writes short answers.",
        ),
    ] = "whole"
    response_format: Annotated[
        Any,
        Option(
            "The JSON that the final answer is to be: a pydantic class or a JSON schema. None: text.",
            "The solver's server is held to it where it can be; the answer is checked, and asked for once more. Where "
            "nothing was found, the answer is text, and `status` says so. One run may want another, by "
            "`response_format` in the `configurable` of its configuration.",
        ),
    ] = None
    final_answer: Annotated[
        bool,
        Option(
            "False runs the plan and leaves the answer to whoever embeds the planner.",
            "The result has `plan`, `answers` and `sources`, an empty `answer`, and no more messages than before.",
        ),
    ] = True
    step_graph: Annotated[
        Planner | None,
        Option(
            "Replaces `route → solver | tool`: a compiled graph over `anabranch.graphs.step.StepState`, from "
            "`sub_question` and `text` to `answer`."
        ),
    ] = None
    checkpointer: Annotated[
        Checkpointer,
        Option(
            "Keeps threads, so that a stopped run goes on where it was.",
            "True says that the graph which the planner becomes a node of, or the LangGraph server that runs it, has "
            "one.",
        ),
    ] = None
    approve_actions: Annotated[
        bool | None,
        Option(
            "Whether a person decides on each call of a tool that changes something (see `anabranch.tools.effects`) "
            "before it is made.",
            "The run is interrupted with a request in the form of LangChain's human-in-the-loop middleware, and "
            '`Command(resume={"decisions": [{"type": "approve"}]})` goes on. None: where there is a checkpointer. Such '
            "a call is never made twice for one question in any case.",
        ),
    ] = None
    unmarked_tools: Annotated[
        Unmarked, Option("`look_up` or `action`: what tools are that do not say whether they change something.")
    ] = "look_up"
    store: Annotated[Any, Option("A LangGraph store, for tools.")] = None
    state_schema: Annotated[
        type[Any] | None,
        Option("A `PlannerState` with more keys, which the caller sets and tools may have injected or update."),
    ] = None
    context_schema: Annotated[type[Any] | None, Option("Type of the run's context, for tools.")] = None
    name: Annotated[str, Option("Name of the graph, and of the assistant in its messages.")] = "anabranch"
