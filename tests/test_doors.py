"""Every door by which text comes in that is none, in one test: the run ends, and everything it leaves can be written.

`anabranch/characters.py` says what becomes of such text.
"""

import io
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from anabranch.batch.store import ReplyStore, key_of, request_body
from anabranch.characters import whole_characters
from anabranch.cli.batch import Answers, read_questions
from anabranch.cli.failures import complain
from anabranch.cli.terminal import error_console, print_answer, print_json
from anabranch.cli.views import LineView, LiveView
from anabranch.evals.records import Record, RunFolder
from anabranch.graphs.step import StepState
from anabranch.tools import document_search
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import ask, plan_json, planner

BAD = {"half": "a\ud800b", "two halves": "\ude00\ud83d", "a byte": "\udcff", "NUL": "a\0b", "cut emoji": "ok \ud83d"}
ONE_STEP = plan_json(("look", "Who is it?", []))
Door = Callable[[str, Path], Awaitable[Any]]
DOORS: dict[str, Door] = {}


def door(function: Door) -> Door:
    DOORS[function.__name__] = function
    return function


def tool(found: Any = "it is Ada", name: str = "look", **options: Any) -> BaseTool:
    def look(query: str) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    return StructuredTool.from_function(look, name=name, **({"description": "Looks."} | options))


def says(text: str, plan: str = ONE_STEP) -> ScriptedChatModel:
    return ScriptedChatModel(script=lambda prompt: plan if "Reply with JSON only" in prompt else text)


async def run(
    path: Path,
    value: Any = None,
    *,
    model: ScriptedChatModel | None = None,
    tools: list[BaseTool] | None = None,
    thread: str = "t",
    **options: Any,
) -> Any:
    """A run with a checkpointer; what it came to, what was streamed, and what the thread keeps afterwards."""
    model = model or says("Ada")
    async with AsyncSqliteSaver.from_conn_string(str(path / "threads.sqlite")) as saver:
        graph = planner(model, model, [tool()] if tools is None else tools, checkpointer=saver, **options)
        config: Any = {"configurable": {"thread_id": thread}}
        parts = [part async for part in graph.astream(value or ask("Who is it?"), config, stream_mode=MODES)]
        while (state := await graph.aget_state(config)).next:
            parts += [part async for part in graph.astream(Command(resume=options["resume"]), config)]
        assert state.values["answer"], "no answer"
        kept = {**state.values, "messages": [message.model_dump() for message in state.values["messages"]]}
        assert "?b" not in repr(kept), "SQLite kept something else"
        return [kept, parts, model.prompts]


MODES: Any = ["custom", "updates", "messages"]


@door
async def a_question(bad: str, path: Path) -> Any:
    return await run(path, ask(f"Who is {bad}?"))


@door
async def a_question_answered_directly(bad: str, path: Path) -> Any:
    return await run(path, ask(f"Who is {bad}?"), model=says("Ada", plan_json()))


@door
async def earlier_turns(bad: str, path: Path) -> Any:
    earlier = [SystemMessage(bad), HumanMessage(bad), AIMessage(bad), {"role": "user", "content": bad}]
    return await run(path, {"messages": [*earlier, AIMessage("ok"), ("user", "Who is it?")]})


@door
async def content_blocks(bad: str, path: Path) -> Any:
    return await run(path, {"messages": [HumanMessage([{"type": "text", "text": f"Who is {bad}?"}])]})


@door
async def a_models_answer(bad: str, path: Path) -> Any:
    return await run(path, model=says(f"It is {bad}"))


@door
async def a_models_stream(bad: str, path: Path) -> Any:
    model = says(f"It is {bad} and more", plan_json())
    streaming = model.model_copy(update={"word_delay": 0.0, "disable_streaming": False})
    return await run(path, model=streaming)


@door
async def a_models_plan(bad: str, path: Path) -> Any:
    return await run(path, model=says("Ada", plan_json(("look", f"Who is {bad}?", []))))


@door
async def a_models_arguments(bad: str, path: Path) -> Any:
    def find(name: str, year: int) -> str:
        """Finds."""
        return f"{name} in {year}"

    model = says(json.dumps({"name": bad, "year": 3, bad: bad}))
    return await run(path, model=model, tools=[StructuredTool.from_function(find, name="look")])


@door
async def a_tools_result(bad: str, path: Path) -> Any:
    return await run(path, tools=[tool(f"it is {bad}")])


@door
async def a_tools_result_given_as_it_is(bad: str, path: Path) -> Any:
    return await run(path, tools=[tool([{bad: bad}], return_direct=True)])


@door
async def a_tools_failure(bad: str, path: Path) -> Any:
    return await run(path, tools=[tool(ToolException(f"no {bad}"))])


@door
async def a_tools_unforeseen_failure(bad: str, path: Path) -> Any:
    return await run(path, tools=[tool(RuntimeError(f"no {bad}"))])


@door
async def a_tools_artifact(bad: str, path: Path) -> Any:
    place = {"source": bad, "title": bad, "page": bad, "section": bad}
    return await run(
        path, tools=[tool(("it", [Document(bad, metadata=place)]), response_format="content_and_artifact")]
    )


@door
async def a_tools_description(bad: str, path: Path) -> Any:
    return await run(path, tools=[tool(description=f"Looks {bad} up.")])


@door
async def a_file_name(bad: str, path: Path) -> Any:
    folder = path / "docs"
    folder.mkdir()
    name = "b\udcff" if "\0" in bad or any("\ud800" <= c <= "\udbff" for c in bad) else bad
    (folder / f"{name}.txt").write_text("It is Ada, who is it.")
    return await run(path, tools=[document_search(folder, name="look")])


@door
async def a_threads_name(bad: str, path: Path) -> Any:
    first = await run(path, thread=bad)
    other = await run(path, thread=f"{bad}2")
    assert len(first[0]["messages"]) == len(other[0]["messages"]) == 2
    return [first, other]


@door
async def a_callers_step(bad: str, path: Path) -> Any:
    builder: Any = StateGraph(StepState)
    builder.add_node("it", lambda _: {"answer": bad, "evidence": bad})
    builder.add_edge(START, "it")
    return await run(path, step_graph=builder.compile())


@door
async def a_persons_decision(bad: str, path: Path) -> Any:
    async with AsyncSqliteSaver.from_conn_string(str(path / "threads.sqlite")) as saver:
        graph = planner(says("Ada"), says("Ada"), [tool()], checkpointer=saver, review=True)
        config: Any = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke(ask("Who is it?"), config)
        await graph.ainvoke(Command(resume={"type": "respond", "message": bad}), config)
        result = await graph.ainvoke(Command(resume="approve"), config)
        return [result["answer"], result["plan"]]


@door
async def a_change_of_the_state(bad: str, path: Path) -> Any:
    async with AsyncSqliteSaver.from_conn_string(str(path / "threads.sqlite")) as saver:
        graph = planner(says("Ada"), says("Ada"), [tool()], checkpointer=saver)
        config: Any = {"configurable": {"thread_id": bad}}
        await graph.aupdate_state(config, {"messages": [HumanMessage(bad)]}, as_node="__start__")
        return [message.text for message in (await graph.aget_state(config)).values["messages"]]


@door
async def a_line_of_a_batch(bad: str, path: Path) -> Any:
    (path / "q.jsonl").write_text(json.dumps({"id": bad, "question": f"Who is {bad}?"}))
    (item,) = read_questions(path / "q.jsonl").items
    with Answers(path / "a.jsonl") as answers:
        answers.add(item, {"question": item.question, "answer": bad, "error": None})
    with Answers(path / "a.jsonl") as answers:
        assert answers.has(item), "it is paid for again"
    return (path / "a.jsonl").read_text(encoding="utf-8")


@door
async def a_record_of_an_evaluation(bad: str, path: Path) -> Any:
    folder = RunFolder(path)
    file = folder.appending()
    file.add(Record(system=bad, fingerprint="f", id=bad, reply=bad, extra={bad: bad}, retrieved=(bad,)).line)
    file.close()
    return list(folder.records().values())


@door
async def a_kept_reply(bad: str, path: Path) -> Any:
    store = ReplyStore(path / "cache.sqlite")
    body = request_body("m", [HumanMessage(bad)], [bad], {"extra": {bad: bad}})
    store.keep(key_of(body), body, AIMessage(bad, additional_kwargs={bad: bad}), None)
    store.keep_refusal("other", body, bad)
    found = store.find(key_of(body))
    store.close()
    return found.message.model_dump() if found else None


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("name", DOORS)
async def test_text_that_is_none_passes_every_door(name: str, bad: str, tmp_path: Path) -> None:
    left = await DOORS[name](bad, tmp_path)
    texts = list(texts_of(left))
    assert texts
    for text in texts:
        assert text.encode().decode() == text
        assert "\0" not in text


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        yield from texts_of(value.model_dump())
    elif isinstance(value, dict):
        yield from texts_of([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)


def test_there_are_enough_doors() -> None:
    assert len(DOORS) * len(BAD) >= 100


anything = st.text(st.characters() | st.sampled_from("\0\ud83d\ude00\udcff\n\u2028"), max_size=40)


@settings(max_examples=60, deadline=None)
@given(anything, anything)
def test_any_text_in_files_of_answers_and_records(one: str, other: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "q.jsonl").write_text(json.dumps({"id": one, "question": f"q{other}"}))
        for item in read_questions(path / "q.jsonl").items:
            with Answers(path / "a.jsonl") as answers:
                answers.add(item, {"question": item.question, "answer": other, one: other, "error": None})
            with Answers(path / "a.jsonl") as answers:
                assert answers.has(item)
        file = RunFolder(path).appending()
        file.add(Record(system=one, fingerprint="f", id=other, reply=one, extra={other: one}, error=other).line)
        file.close()
        assert len(RunFolder(path).records()) == 1
        (path / "a.jsonl").read_bytes().decode()
        (path / "records.jsonl").read_bytes().decode()


@settings(max_examples=40, deadline=None)
@given(anything, anything)
def test_any_text_in_checkpoints(name: str, text: str) -> None:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as opened:
        graph = planner(says("Ada"), says("Ada"), [tool()], checkpointer=SqliteSaver(opened))
        config: Any = {"configurable": {"thread_id": f"t{name}"}}
        kept = {"messages": [HumanMessage(text, name=name)], "asked": text, "question": "q?"}
        graph.update_state(config, kept, as_node="gate")
        values = graph.get_state(config).values
        assert values["messages"][0].text == values["asked"] == whole_characters(text)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=anything)
def test_any_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str, text: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    err = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    print_json({"answer": text, text: [text]})
    (line,) = out.buffer.getvalue().decode(encoding).rstrip("\n").split("\n")
    assert json.loads(line)["answer"] == whole_characters(text)
    print_answer(text)
    complain(f"error: {text}")
    LineView(error_console()).note(text)
    LiveView(error_console()).note(text)
    assert err.buffer.getvalue()
