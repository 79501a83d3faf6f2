"""From settings, all of them texts and numbers, to models, tools and the planner."""

import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as as_tool
from langgraph.types import Checkpointer

from anabranch.addresses import without_login
from anabranch.agents.adapters import Role
from anabranch.agents.decomposer import Decomposer
from anabranch.agents.models import RoleModel, in_process, resolve_model
from anabranch.agents.resolve import default_decomposer, resolve_decomposer
from anabranch.config import Budget, Price, read_settings
from anabranch.errors import ConfigurationError
from anabranch.folders import SEARCH, Folder, by_name
from anabranch.graphs.planner import Planner, create_planner
from anabranch.options import PlannerSettings
from anabranch.tools import McpServers, builtin_tool
from anabranch.tools.embedder import Embedder
from anabranch.tools.kept_index import kept_index
from anabranch.tools.search import index_search

DEFAULT_TOOLS = ("calculator",)
NO_TOOL = "none"

Say = Callable[[str], None]


def build_planner(settings: PlannerSettings, *, status: Say, note: Say, checkpointer: Checkpointer = None) -> Planner:
    """Builds the planner; models are prepared and loaded now rather than on first use.

    Args:
        settings: what to build it from.
        status: told what is happening.
        note: told what the user should know afterwards, such as skipped documents.
        checkpointer: keeps threads.

    Raises:
        UserError, BackendError: as tools and models do.
    """
    return create_planner(**build_parts(settings, status=status, note=note), checkpointer=checkpointer)


def build_parts(settings: PlannerSettings, *, status: Say, note: Say) -> dict[str, Any]:
    """What `create_planner` takes, by keyword: models and tools that settings name, loaded, and their options.

    Args:
        settings: what to build from.
        status: told what is happening.
        note: told what the user should know afterwards.

    Raises:
        UserError, BackendError: as tools and models do.
    """
    tools = build_tools(settings, status=status, note=note)
    decomposer, solver = build_models(settings, status=status, note=note)
    parts = {"decomposer": decomposer, "solver": solver, "tools": tools, "budget": build_budget(settings)}
    return parts | dict(settings.common())


def build_budget(settings: PlannerSettings) -> Budget:
    """The limits of a question and of each of its model calls."""
    given = {
        "max_tokens": settings.budget_tokens,
        "max_seconds": settings.budget_seconds,
        "call_timeout": settings.call_timeout,
        "max_answer_tokens": settings.max_answer_tokens,
    }
    return Budget.model_validate({name: value for name, value in given.items() if value is not None})


def build_models(settings: PlannerSettings, *, status: Say, note: Say) -> tuple[Decomposer, RoleModel]:
    """The decomposer and the solver, ready; a model in this process comes last, so that a wrong name loads none."""
    solver = cache(lambda: build_solver(settings, status=status))
    if not in_process(settings.solver):
        solver()
    return build_decomposer(settings, status=status, note=note, solver=solver), solver()


def build_decomposer(
    settings: PlannerSettings, *, status: Say, note: Say, solver: Callable[[], RoleModel]
) -> Decomposer:
    """The decomposer, ready to write; `solver` opens the solver, who plans where nobody else can."""
    spec = settings.decomposer
    if spec is None:
        return default_decomposer(solver, local=lambda: _model("local", "decomposer", "", status=status), tell=note)
    price = settings.decomposer_price or (settings.price if spec == settings.solver else "")
    return resolve_decomposer(_model(spec, "decomposer", price, status=status))


def build_solver(settings: PlannerSettings, *, status: Say) -> RoleModel:
    """The solver, ready to answer."""
    return _model(settings.solver, "solver", settings.price, status=status)


def build_tools(settings: PlannerSettings, *, status: Say, note: Say) -> list[BaseTool]:
    """The tools by name, a search for the documents of each name, and those of MCP servers, which run until the end.

    Raises:
        ConfigurationError: an unknown tool, one that cannot be imported, or a file of MCP servers that is none.
        DocumentError: a document that cannot be read.
        EndpointError: none of the MCP servers of a file can be used.
    """
    names = settings.tool or DEFAULT_TOOLS
    tools = [_tool(name) for name in dict.fromkeys(names) if name != NO_TOOL]
    if settings.docs:
        status("reading documents")
        tools += _searches(settings, lambda problem: note(f"documents: {problem}"))
    for file in dict.fromkeys(settings.mcp):
        status("starting MCP servers")
        servers = McpServers(file, beside=[tool.name for tool in tools])
        for problem in servers.problems:
            note(problem)
        tools += servers
    return tools


def _searches(settings: PlannerSettings, tell: Say) -> list[BaseTool]:
    embedder = Embedder(settings.embeddings, tell) if settings.embeddings else None
    return [_search(name, folders, embedder, tell) for name, folders in by_name(settings.docs).items()]


def _search(name: str, folders: Sequence[Folder], embedder: Embedder | None, tell: Say) -> BaseTool:
    index = kept_index(
        [folder.path for folder in folders],
        read_settings().cache_dir / "documents",
        embedder=embedder,
        tell=tell,
    )
    told = " ".join(folder.description for folder in folders if folder.description)
    if not told and name == SEARCH:
        return index_search(index)
    about = told or f"Looks up facts in the documents on {re.sub(r'[_.-]+', ' ', name)}."
    return index_search(index, name=name, description=about)


def _model(spec: str, role: Role, price: str, *, status: Say) -> RoleModel:
    local = in_process(spec)
    status("preparing the local model" if local else f"connecting to {without_login(spec)}")
    model = resolve_model(spec, role=role, price=Price.read(price), progress=status)
    if local:
        model.chat.warm_up()  # type: ignore[attr-defined]
    return model


def _tool(name: str) -> BaseTool:
    if ":" not in name:
        return builtin_tool(name)
    module, _, attribute = name.partition(":")
    found = _imported(name, module, attribute)
    if isinstance(found, BaseTool):
        return found
    if not callable(found) or isinstance(found, type):
        raise ConfigurationError(f"--tool {name} is neither a LangChain tool nor a function")
    try:
        made: BaseTool = as_tool(found)
    except Exception as error:
        raise ConfigurationError(f"--tool {name} cannot be made a tool: {' '.join(str(error).split())}") from error
    return made


def _imported(name: str, module: str, attribute: str) -> Any:
    # As with `python -m`: modules beside the user are found, also from an installed script.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"--tool {name} cannot be imported ({reason}); use MODULE:ATTRIBUTE") from error
    return found
