"""A scripted planner behind a real uvicorn on loopback, in a thread of the test's process."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, tool
from langgraph.types import interrupt
from starlette.types import ASGIApp

from anabranch.agents.decomposer import Decomposer, JsonDecomposer
from anabranch.agents.models import RoleModel
from anabranch.serving.connections import patient_protocol
from anabranch.serving.service import Parts
from tests.fakes import Reply, Script, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, reader, search

QUESTION = "When was the founder of Craigslist born?"
ANSWER = "In 1952"


def always(text: str) -> Callable[[str], Reply]:
    """A script that says the same to everything."""
    return lambda _prompt: text


@tool
def ask(text: str) -> str:
    """Asks the person."""
    return f"she says {interrupt(f'what of {text}?')}"


def gated_search(calls: list[str], gate: threading.Event) -> BaseTool:
    """A search that notes its queries, and answers the second one only when the gate opens."""

    @tool
    def search(query: str) -> str:
        """Looks facts up."""
        calls.append(query)
        if len(calls) == 2:
            gate.wait(20)
        return {"Who founded Craigslist?": "founded by Craig Newmark"}.get(query, "Craig Newmark was born in 1952.")

    return search


def parts(
    plan: str | Script | BaseChatModel | Decomposer = CRAIGSLIST,
    solver: Script | BaseChatModel = reader,
    tools: Sequence[BaseTool] = (search,),
    **options: Any,
) -> Parts:
    """A planner over scripted models; by default the one that finds out about Craigslist."""
    decomposer: Any = always(plan) if isinstance(plan, str) else plan
    if isinstance(decomposer, BaseChatModel) or not hasattr(decomposer, "write"):
        decomposer = JsonDecomposer(_model(decomposer))
    return Parts(decomposer=decomposer, solver=_model(solver), tools=tuple(tools), **options)


def _model(script: Any) -> RoleModel:
    return RoleModel(script if isinstance(script, BaseChatModel) else ScriptedChatModel(script=script))


@contextmanager
def running(app: ASGIApp, **config: Any) -> Iterator[str]:
    """Serves an app on a free port of loopback; gives its address, without a path."""
    options: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 5,
        "http": patient_protocol(),
    }
    # Without keep-alive: a pooled connection would outlive the test and warn when it is collected.
    options |= {"headers": [("Connection", "close")]}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **(options | config)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive(), "the server did not stop"


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits for a condition, and fails if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)
