"""Tools a plan can route to, and the catalogue that lists them for the decomposer.

The makers of tools are imported with this package, the libraries behind them (numpy, pypdf, selectolax, docx and so
on) only when a tool needs them.
"""

from collections.abc import Callable, Mapping

from langchain_core.tools import BaseTool

from anabranch.errors import ConfigurationError
from anabranch.tools.calculator import calculator
from anabranch.tools.catalogue import Catalogue, ToolCard
from anabranch.tools.documents import LoadReport, load_documents
from anabranch.tools.mcp_servers import McpServers
from anabranch.tools.python import python_sandbox
from anabranch.tools.search import document_search, retriever_search

__all__ = [
    "Catalogue",
    "LoadReport",
    "McpServers",
    "ToolCard",
    "builtin_tool",
    "calculator",
    "document_search",
    "load_documents",
    "python_sandbox",
    "retriever_search",
]

_BUILTIN: Mapping[str, Callable[[], BaseTool]] = {"calculator": calculator, "python": python_sandbox}


def builtin_tool(name: str) -> BaseTool:
    """A tool that needs nothing but its name, for the command line.

    Raises:
        ConfigurationError: there is no such tool.
    """
    if name not in _BUILTIN:
        hint = "; search needs documents: --docs FOLDER" if name == "search" else ""
        raise ConfigurationError(f"unknown tool {name!r}; use one of: {', '.join(_BUILTIN)}{hint}")
    return _BUILTIN[name]()
