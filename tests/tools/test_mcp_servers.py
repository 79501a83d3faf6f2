"""Tools of MCP servers: real processes, and servers on the loopback interface, that behave well and badly."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, ToolException

from anabranch import background
from anabranch.bounds import MAX_RESULT_CHARS, is_shortened
from anabranch.errors import ConfigurationError, EndpointError
from anabranch.tools import mcp_session
from anabranch.tools.effects import has_effects
from anabranch.tools.mcp_servers import McpServers
from tests.graphs.scripts import ask, plan_json, planner
from tests.graphs.scripts import search as local_search
from tests.ports import free_port, nobody

FIXTURE = Path(__file__).parents[1] / "mcp_fixture.py"
Start = Callable[..., dict[str, BaseTool]]


def server(**env: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(FIXTURE)], "env": env}


def program(line: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-c", f"import sys, time; {line}"]}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers, the fixture where none is given; gives their tools by name."""
    opened: list[McpServers] = []

    def begin(servers: dict[str, Any] | None = None, **options: Any) -> dict[str, BaseTool]:
        files = {"FIXTURE_BOOK": str(tmp_path / "book"), "FIXTURE_ONCE": str(tmp_path / "once")}
        opened.append(McpServers({"mcpServers": servers or {"fixture": server(**files)}}, **options))
        return {tool.name: tool for tool in opened[-1]}

    yield begin
    for each in opened:
        each.close()


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, BaseTool]]:
    """The tools of one server that all tests share that leave it as it is."""
    with McpServers({"mcpServers": {"fixture": server()}}) as servers:
        yield {tool.name: tool for tool in servers}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] if Path("/proc").exists() else "R"
    return state != "Z"


def gone(pid: int) -> bool:
    ends = time.monotonic() + 10
    while alive(pid) and time.monotonic() < ends:
        time.sleep(0.05)
    return not alive(pid)


# What they are


def test_annotations_decide_which_tools_are_actions(tools: dict[str, BaseTool]) -> None:
    assert has_effects(tools["book"])
    assert not has_effects(tools["search"])
    assert not has_effects(tools["variable"])
    assert has_effects(tools["variable"], "action")


@pytest.mark.parametrize("sync", [True, False])
async def test_a_planner_calls_them_in_one_session(tools: dict[str, BaseTool], sync: bool) -> None:
    plan = plan_json(("search", "Who founded Craigslist?", []), ("pid", "First process?", []), ("pid", "Second?", []))

    def solver(prompt: str) -> str:
        if "Sub-questions and their answers:" in prompt:
            return "Craig."
        return "Craig Newmark" if "founded by" in prompt else re.findall(r"\d+", prompt)[-1]

    graph = planner([plan], solver, [*tools.values()])
    result = await asyncio.to_thread(graph.invoke, ask()) if sync else await graph.ainvoke(ask())
    answers = result["answers"]
    assert answers[1].text == "Craig Newmark"
    assert answers[2].text == answers[3].text != str(os.getpid())


def test_create_planner_takes_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"fixture": server()}}))
    plan = plan_json(("fixture_search", "Who founded Craigslist?", []))

    def solver(prompt: str) -> str:
        return "Craig." if "Sub-questions and their answers:" in prompt else "Craig Newmark"

    graph = planner([plan], solver, [local_search], mcp=tmp_path / "mcp.json")
    assert graph.invoke(ask())["answers"][1].text == "Craig Newmark"
    background.end()


def test_tools_of_two_servers_with_the_same_names_get_the_servers_names(start: Start) -> None:
    tools = start({"one": server(NAME="1"), "two-2": server(NAME="2")}, beside=["fails"])
    assert {"one_search", "two-2_search", "one_fails", "two-2_fails"} <= set(tools)
    assert tools["one_variable"].invoke({"name": "NAME"}) == "1"
    assert tools["two-2_variable"].invoke({"name": "NAME"}) == "2"
    # Nothing of our own environment goes to a server that is not in its file, or one of the few that all need.
    assert tools["one_variable"].invoke({"name": "PYTHONPATH"}) == "not set"


# Files


def test_variables_are_expanded_and_never_shown(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("A_TOKEN", "very-secret-value")
    file = tmp_path / "mcp.json"
    one = server(TOKEN="Bearer ${A_TOKEN}", PLACE="${NOWHERE:-here}")
    bad = {"command": sys.executable, "args": ["-c", "import sys; sys.exit(sys.argv[1])", "${A_TOKEN}"]}
    file.write_text(json.dumps({"mcpServers": {"one": one, "bad": bad, "off": {"disabled": True}}}))
    with McpServers(file) as servers:
        tools = {tool.name: tool for tool in servers}
        assert tools["variable"].invoke({"name": "TOKEN"}) == "Bearer very-secret-value"
        assert tools["variable"].invoke({"name": "PLACE"}) == "here"
        assert re.fullmatch(
            r"the MCP server 'bad' cannot be used: .* \(it says: \*\*\*\); check it", servers.problems[0]
        )
    assert "its tools are left out" in caplog.text
    assert "very-secret" not in caplog.text
    assert "very-secret" not in repr(servers._sessions) + str(vars(servers))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "is no JSON"),
        ("[]", "the form is"),
        ('{"mcpServers": {}}', "no MCP server is named"),
        ('{"mcpServers": {"a": {}}}', "'a': a server of type stdio needs a command"),
        ('{"mcpServers": {"a": {"type": "http", "url": "ftp://x"}}}', "'a': a server of type http needs a url"),
        ('{"mcpServers": {"a": {"type": "carrier pigeon", "url": "http://x"}}}', "'a': type: Input should be"),
        ('{"mcpServers": {"a": {"command": "x", "args": [{}]}}}', "'a': args.0: Input should be a valid string"),
        ('{"mcpServers": {"a": {"command": "${NOT_SET_AT_ALL}"}}}', "environment variable NOT_SET_AT_ALL; set it"),
    ],
)
def test_files_of_another_form_are_told(tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "mcp.json").write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(error)):
        McpServers(tmp_path / "mcp.json")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.json: No such file"):
        McpServers(tmp_path / "nothing.json")


# Servers that do not start


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"command": "no-such-program-anywhere"}, "cannot be used: .*No such file"),
        (program("sys.exit('the licence has expired')"), r"cannot be used.*\(it says: the licence has expired\)"),
        (program("time.sleep(3600)"), "did not answer within 5 s"),
    ],
    ids=["missing", "dies", "hangs"],
)
def test_a_server_that_does_not_start_is_told(
    start: Start, bad: dict[str, Any], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_session, "CONNECT_SECONDS", 5.0)
    with pytest.raises(EndpointError, match=f"the MCP server 'bad' {error}"):
        start({"bad": bad})


@pytest.mark.slow
def test_a_server_that_does_not_start_is_left_out(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mcp_session, "CONNECT_SECONDS", 15.0)
    assert "search" in start({"bad": program("time.sleep(3600)"), "good": server()})
    assert "the MCP server 'bad' did not answer within 15 s; check it; its tools are left out" in caplog.text


# Servers that misbehave


def test_a_server_that_dies_is_started_again(start: Start, tmp_path: Path) -> None:
    tools = start()
    assert tools["die"].invoke({"query": ""}) == "still here"  # a look-up, so it was made again
    first = int(tools["pid"].invoke({"query": ""}))
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert tools["book"].invoke({"table": 4}) == "table 4 is booked"
    with pytest.raises(ToolException, match="lost during the call, and nobody knows whether that was carried out"):
        tools["die_acting"].invoke({"query": ""})
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")
    assert (tmp_path / "book").read_text() == "4\nacted\n"


def test_a_server_that_hangs_in_a_call_fails_that_sub_question_and_is_started_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_session, "PING_SECONDS", 1.0)
    tools = start()
    first = int(tools["pid"].invoke({"query": ""}))
    plan = plan_json(("hang", "block", []), ("search", "Who founded Craigslist?", [1]))
    result = planner([plan], ["Nothing was found."], [*tools.values()], step_timeout=0.5, max_replans=0).invoke(ask())
    assert result["answers"][1].error == "no answer within 0.5 s"
    assert gone(first)
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")
    # One that answers meanwhile is left as it is.
    second = int(tools["pid"].invoke({"query": ""}))
    plan = plan_json(("hang", "wait", []))
    planner([plan], ["Nothing was found."], [*tools.values()], step_timeout=0.5, max_replans=0).invoke(ask())
    time.sleep(1.5)
    assert int(tools["pid"].invoke({"query": ""})) == second


def test_a_server_that_floods_is_cut_or_ended(tools: dict[str, BaseTool]) -> None:
    text = tools["flood"].invoke({"query": "6000000"})
    assert len(text) <= MAX_RESULT_CHARS
    assert is_shortened(text)
    with pytest.raises(ToolException, match="sent more than 16,777,216 bytes at once"):
        tools["flood"].invoke({"query": "20000000"})
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")


def test_a_server_that_prints_is_understood(start: Start) -> None:
    tools = start({"fixture": server(FIXTURE_PRINTS="1")})
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")


def test_what_a_tool_raises_fails_its_call(tools: dict[str, BaseTool]) -> None:
    with pytest.raises(ToolException, match="Error executing tool fails"):
        tools["fails"].invoke({"query": ""})
    with pytest.raises(ToolException):
        tools["book"].invoke({"table": "not a number"})


def test_a_server_that_changes_its_tools(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    tools = start()
    graph = planner([plan_json(("fails", "Is it gone?", []))], ["It is."], [*tools.values()], max_replans=0)
    assert tools["change"].invoke({"query": ""}) == "changed"
    ends = time.monotonic() + 10
    while "new tools" not in caplog.text and time.monotonic() < ends:
        time.sleep(0.05)
    assert "has new tools (brand_new); start again to use them" in caplog.text
    assert tools["variable"].description == "Says a name in capitals."
    assert tools["variable"].invoke({"name": "ada", "upper": True}) == "ADA"
    assert "Unknown tool: fails" in (graph.invoke(ask())["answers"][1].error or "")


@pytest.mark.parametrize(
    ("whom", "told"),
    [("person", "the person says: decline None"), ("model", "nobody answered: Sampling not supported")],
)
def test_a_server_that_asks_back_is_told_that_nobody_answers(tools: dict[str, BaseTool], whom: str, told: str) -> None:
    assert tools["asks"].invoke({"query": whom}) == told


# The end


@pytest.mark.slow
def test_processes_end_with_their_sessions_also_those_that_a_server_has_started(start: Start) -> None:
    with McpServers({"mcpServers": {"fixture": server()}}) as servers:
        tools = {tool.name: tool for tool in servers}
        own, child = (int(tools[name].invoke({"query": ""})) for name in ("pid", "child"))
        assert alive(own)
        assert alive(child)
    assert gone(own)
    assert gone(child)


@pytest.mark.slow
def test_no_process_is_left_when_the_program_ends_without_closing(tmp_path: Path) -> None:
    lines = (
        "import sys; from anabranch.tools.mcp_servers import McpServers\n"
        f"tools = {{tool.name: tool for tool in McpServers({{'mcpServers': {{'fixture': {server()!r}}}}})}}\n"
        "print(*(tools[name].invoke({'query': ''}) for name in ('pid', 'child')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", lines], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert all(gone(int(pid)) for pid in done.stdout.split())


# Addresses


@pytest.fixture
def served(socket_enabled: None) -> Iterator[Callable[[str, int], subprocess.Popen[bytes]]]:
    """Starts the fixture over HTTP; ends it."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(kind: str, port: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, str(FIXTURE), kind, str(port)], stdin=subprocess.DEVNULL)
        running.append(process)
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.1)
        raise TimeoutError

    yield begin
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.loopback
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "path"), [("http", "/mcp"), ("sse", "/sse")])
def test_a_server_at_an_address_is_used_and_found_again(
    kind: str, path: str, start: Start, served: Callable[[str, int], subprocess.Popen[bytes]]
) -> None:
    port = free_port()
    process = served(kind, port)
    tools = start({"far": {"url": f"http://127.0.0.1:{port}{path}", "type": kind, "headers": {"X-Key": "none"}}})
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")
    assert tools["asks"].invoke({"query": "person"}) == "the person says: decline None"
    with pytest.raises(ToolException, match=r"sent more than 16,777,216 bytes at once|lost during the call"):
        tools["flood"].invoke({"query": "20000000"})
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")
    process.kill()
    process.wait()
    with pytest.raises(ToolException, match="the MCP server 'far'"):
        tools["search"].invoke({"query": "Who founded Craigslist?"})
    served(kind, port)
    assert tools["search"].invoke({"query": "Who founded Craigslist?"}).endswith("Craig Newmark.")


@pytest.mark.loopback
def test_nobody_at_an_address_is_told(start: Start, socket_enabled: None) -> None:
    with nobody() as address, pytest.raises(EndpointError, match="the MCP server 'far' cannot be used"):
        start({"far": {"url": address}})
