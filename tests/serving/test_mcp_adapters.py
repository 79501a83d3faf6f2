"""The MCP server and `langchain-mcp-adapters` in one environment, which has version 1 of the MCP SDK.

The interpreter of that environment is named by ANABRANCH_SCALE_PYTHON; `make test` makes one. There, the first test
runs the others, and those of `test_mcp.py` and `test_mcp_servers.py`.
"""

import os
import subprocess
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.cli import scenario
from tests.cli.conftest import home, models, server  # noqa: F401 - fixtures
from tests.graphs.scripts import ask, plan_json, planner

PYTHON = os.environ.get("ANABRANCH_SCALE_PYTHON")  # read before the suite hides the settings of the machine
ROOT = Path(__file__).parents[2]
HERE = find_spec("langchain_mcp_adapters") is not None
pytestmark = [pytest.mark.slow, pytest.mark.loopback, pytest.mark.enable_socket, pytest.mark.timeout(600)]


@pytest.mark.skipif(not PYTHON or HERE, reason="ANABRANCH_SCALE_PYTHON is not set; make test sets it")
def test_both_work_in_one_environment() -> None:
    tests = ["tests/serving/test_mcp.py", "tests/serving/test_mcp_adapters.py", "tests/tools/test_mcp_servers.py"]
    done = subprocess.run(
        [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture
async def tools(home: Path, models: Callable[..., list[str]]) -> dict[str, Any]:  # noqa: F811
    """The tools of a real `anabranch serve mcp`, as LangChain tools."""
    adapters: Any = import_module("langchain_mcp_adapters.client")
    command, *arguments = scenario.command("serve", "mcp", *models("--tool", "slow_tools:lookup"))
    start = {"command": command, "args": arguments, "env": scenario.environment(home), "cwd": str(home)}
    client = adapters.MultiServerMCPClient({"anabranch": {"transport": "stdio", **start}})
    return {tool.name: tool for tool in await client.get_tools()}


@pytest.mark.skipif(not HERE, reason="langchain-mcp-adapters is not installed here")
async def test_the_server_as_tools_of_langchain(tools: dict[str, Any]) -> None:
    assert set(tools) == {"ask", "plan"}
    result = await tools["ask"].ainvoke({"question": scenario.QUESTION})
    assert scenario.ANSWER in str(result)


@pytest.mark.skipif(not HERE, reason="langchain-mcp-adapters is not installed here")
async def test_a_planner_with_tools_of_an_mcp_server(tools: dict[str, Any]) -> None:
    plan = plan_json(("ask", scenario.QUESTION, []))
    graph = planner([plan], lambda prompt: scenario.ANSWER if scenario.ANSWER in prompt else "?", [tools["ask"]])
    assert (await graph.ainvoke(ask("Who was born first, of these?")))["answer"] == scenario.ANSWER
