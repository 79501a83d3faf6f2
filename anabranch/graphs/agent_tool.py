"""Agents and compiled graphs as routes of plans: specialists that answer a sub-question with tools of their own.

An agent runs as a subgraph of the planner: its events nest, its interrupts come up and are resumed, its threads are
those of the planner. To the rest of the planner it is a tool whose one argument is the sub-question.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import StructuredTool, ToolException
from langgraph.errors import ParentCommand
from pydantic import BaseModel, Field
from pydantic_core import to_json

from anabranch.agents.conversation import last_human
from anabranch.agents.ledger import Ledger, current
from anabranch.agents.limits import expected_usage, usage_of
from anabranch.config import Price
from anabranch.errors import ConfigurationError, ModelError, NotFoundError
from anabranch.graphs.embedding import running_checkpointer
from anabranch.plan import Source
from anabranch.tools.calling import content_text, current_run, in_daemon_thread

_UNNAMED = "LangGraph"
"""What LangGraph calls a graph that was given no name."""


class Asked(BaseModel):
    """The argument of an agent's tool."""

    question: str = Field(description="The question that it is to answer, which must stand by itself.")


class AgentTool(StructuredTool):
    """An agent that sub-questions can be routed to; made by `agent_tool`."""


def agent_tool(
    agent: Runnable[Any, Any],
    *,
    description: str,
    name: str | None = None,
    effects: bool | None = None,
    price: Price | None = None,
) -> AgentTool:
    """Makes an agent a route of plans: pass it to `create_planner` among the tools.

    The agent gets the sub-question as a human message, with the answers it depends on, and its last message is the
    answer. It runs as a subgraph: `stream(..., subgraphs=True)` shows what it does, and where it waits for a person,
    `Command(resume=...)` goes on inside it. Its model calls count for the planner's usage and budget, and
    `step_timeout` limits it. What its tools found are the sources of the answer.

    Args:
        agent: a compiled LangGraph graph with the key `messages`, such as one of `create_agent`, another planner, a
            `RemoteGraph`, or any runnable that takes `{"messages": [...]}` and returns `messages`.
        description: what it answers; its first sentence enters the catalogue that plans are written with.
        name: the route's name; the graph's own if None.
        effects: whether it changes something, so that a person is asked before it runs (see `anabranch.tools.effects`).
            None leaves that to `unmarked_tools=`, and to the agent, which may ask by itself before each of its calls.
        price: what the models that it calls cost; where that is not known, neither is the question's cost.

    Raises:
        ConfigurationError: it has no name, no description, or no `messages`.
    """
    name = name or getattr(agent, "name", None)
    if not name or name == _UNNAMED:
        raise ConfigurationError("the agent has no name that plans can route to; give agent_tool(..., name=...)")
    if not description.strip():
        raise ConfigurationError(f"the agent {name!r} has no description; say what it answers: description=...")
    channels = getattr(agent, "channels", None)
    if isinstance(channels, Mapping) and "messages" not in channels:
        raise ConfigurationError(
            f"the graph {name!r} has no key 'messages' for the question and the answer; "
            "add it to the graph's state, or call the graph in a tool of yours"
        )
    return AgentTool(
        name=name,
        description=description,
        args_schema=Asked,
        coroutine=partial(_answer, agent, name, price),
        response_format="content_and_artifact",
        return_direct=True,
        metadata=None if effects is None else {"effects": effects},
    )


async def _answer(
    agent: Runnable[Any, Any], name: str, price: Price | None, question: str
) -> tuple[str, list[Document]]:
    asked = {"messages": [HumanMessage(question)]}
    counting: RunnableConfig = {"callbacks": [_Booking(current() or Ledger(), price)], "run_name": name}
    config = merge_configs(ensure_config(), counting)
    try:
        if current_run().sync and running_checkpointer():
            # The checkpointer may have no asynchronous methods, and the agent writes to it.
            result: Any = await in_daemon_thread(lambda: agent.invoke(asked, config))
        else:
            result = await agent.ainvoke(asked, config)
    except ParentCommand as error:
        raise ToolException(
            f"{name} hands the question over to another agent, which a plan has no place for"
        ) from error
    return _read(name, result)


def _read(name: str, result: Any) -> tuple[str, list[Document]]:
    """The answer of an agent, and the passages behind it.

    Raises:
        NotFoundError: there is none, or it says of itself that nothing was found.
        ModelError: it says of itself that it failed or was refused.
    """
    messages: Sequence[Any] = result.get("messages") or [] if isinstance(result, Mapping) else [result]
    said = [message for message in messages[last_human(messages) + 1 :] if isinstance(message, BaseMessage)]
    structured = result.get("structured_response") if isinstance(result, Mapping) else None
    text = to_json(structured).decode() if structured is not None else _last_words(said)
    status = result.get("status") if isinstance(result, Mapping) else None
    if not text.strip() or status == "not_found":
        raise NotFoundError(text or f"{name} gave no answer")
    if status in ("failed", "refused"):
        raise ModelError(f"{name}: {text}")
    return text, [*_sources(result), *_found(said)]


def _last_words(said: Sequence[BaseMessage]) -> str:
    message = said[-1] if said else None
    return "" if message is None or isinstance(message, ToolMessage) else str(message.text)


def _sources(result: Any) -> Iterator[Document]:
    """What the answer of another planner rests on."""
    for source in result.get("sources") or () if isinstance(result, Mapping) else ():
        told = source.model_dump() if isinstance(source, Source) else dict(source)
        yield Document(told.pop("text", ""), metadata=told)


def _found(said: Sequence[BaseMessage]) -> Iterator[Document]:
    """What the tools of an agent gave: passages where they are told, else the results."""
    for message in said:
        if not isinstance(message, ToolMessage) or message.status == "error":
            continue
        artifact = message.artifact if isinstance(message.artifact, list | tuple) else [message.artifact]
        passages = [passage for passage in artifact if isinstance(passage, Document)]
        yield from passages or [Document(content_text(message.content), metadata={"title": message.name})]


class _Booking(BaseCallbackHandler):
    """Books the model calls of an agent on the ledger of its sub-question, and refuses them when its budget is used up.

    Args:
        ledger: the sub-question's ledger.
        price: what the models cost.
    """

    run_inline = True
    raise_error = True

    def __init__(self, ledger: Ledger, price: Price | None) -> None:
        self._ledger = ledger
        self._price = price
        self._under_way: dict[UUID, tuple[list[BaseMessage], AbstractContextManager[None]]] = {}

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **_: Any
    ) -> None:
        """Counts a call as one that is under way."""
        if current() is not self._ledger:
            return  # of a planner inside the agent, whose own ledger is a part of this one
        prompt = [message for batch in messages for message in batch]
        counted = self._ledger.calling(lambda: expected_usage(prompt, self._price))
        counted.__enter__()
        self._under_way[run_id] = prompt, counted

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Books a call."""
        written = (each for batch in response.generations for each in batch if isinstance(each, ChatGeneration))
        replies = [each.message for each in written if isinstance(each.message, AIMessage)]
        self._end(run_id, replies[0] if replies else AIMessage(""))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Books what a call has read that failed."""
        self._end(run_id, AIMessage(""))

    def _end(self, run_id: UUID, reply: AIMessage) -> None:
        if run_id in self._under_way:
            prompt, counted = self._under_way.pop(run_id)
            counted.__exit__(None, None, None)
            self._ledger.add("solver", usage_of(reply, self._price, prompt))
