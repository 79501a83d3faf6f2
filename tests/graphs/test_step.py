import asyncio
import threading
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool

from anabranch.agents.models import RoleModel
from anabranch.errors import EndpointError
from anabranch.graphs.step import StepRunner, by_route
from anabranch.plan import Answer, SubQuestion
from anabranch.tools.catalogue import Catalogue
from tests.fakes import Reply, ScriptedChatModel


async def step(
    tools: list[BaseTool],
    script: list[Reply],
    text: str = "a question",
    route: str | None = None,
    *,
    seconds: float = 10,
    **inputs: Answer,
) -> Answer:
    solver = RoleModel(ScriptedChatModel(script=script))
    runner = StepRunner(by_route(solver, Catalogue(tools)), timeout=seconds, concurrency=4)
    question = SubQuestion(id=9, text=text, route=route or (tools[0].name if tools else "solve"))
    return await runner(question, {answer.id: answer for answer in inputs.values()}, asyncio.Semaphore(1))


def returning(value: Any, **options: Any) -> BaseTool:
    def give(query: str) -> Any:
        """Gives a fixed value."""
        return value

    return StructuredTool.from_function(give, name="give", **options)


async def test_solve_asks_the_solver() -> None:
    answer = await step([], [" Paris "], "Capital of France?")
    assert (answer.text, answer.status, answer.usage.calls) == ("Paris", "done", 1)


async def test_slots_are_filled_before_asking() -> None:
    answer = await step([returning("x", return_direct=True)], [], "about {1}", one=Answer(id=1, text="{2} $1"))
    assert answer.text == "x"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("When was {1} born?", "When was Ada born?"),
        ("When was {{1}} born?", "When was Ada born?"),
        ("When was { 1 } born?", "When was Ada born?"),
        ("When was this person born?", "When was this person born? (known: Who? Ada)"),
    ],
)
async def test_a_step_is_told_what_it_depends_on(text: str, asked: str) -> None:
    chat = ScriptedChatModel(script=["1815"])
    runner = StepRunner(by_route(RoleModel(chat), Catalogue()), timeout=1, concurrency=1)
    question = SubQuestion(id=2, text=text, depends_on=(1,))
    answer = await runner(question, {1: Answer(id=1, text="Ada", question="Who?")}, asyncio.Semaphore(1))
    assert answer.question == asked
    assert chat.prompts[0].endswith(asked)


async def test_a_failed_dependency_fails_it_without_a_call() -> None:
    answer = await step([], [], "about {1}", one=Answer(id=1, status="failed", error="x"))
    assert answer.error == "sub-question 1, which it needs, failed"


async def test_evidence_is_kept_beside_the_answer_read_from_it() -> None:
    answer = await step([returning("Paris is the capital of France.")], ["Paris"])
    assert (answer.text, answer.evidence) == ("Paris", "Paris is the capital of France.")


@pytest.mark.parametrize(("value", "text"), [(12, "12"), ({"a": 1}, '{"a": 1}'), ([1, 2], "[1, 2]"), ("é ✓", "é ✓")])
async def test_whatever_a_tool_returns_becomes_text(value: Any, text: str) -> None:
    answer = await step([returning(value, return_direct=True)], [])
    assert answer.text == text


@pytest.mark.parametrize("value", ["", "   \n", None, []])
async def test_an_empty_result_is_a_failure(value: Any) -> None:
    answer = await step([returning(value, return_direct=True)], [])
    assert answer.status == "failed"
    assert answer.error


async def test_of_an_enormous_result_what_fits_is_read() -> None:
    lines = [f"Room {number} is {'yellow' if number == 731 else 'grey'}." for number in range(2_000)]
    answer = await step([returning("\n".join(lines))], ["Room 731"], "Which room is yellow?")
    assert "Room 731 is yellow." in (answer.evidence or "")
    assert len(answer.evidence or "") <= 8_000


async def test_a_tool_may_say_how_much_of_its_result_is_read() -> None:
    answer = await step([returning("grey " * 100, metadata={"max_chars": 100})], ["grey"])
    assert len(answer.evidence or "") <= 100


async def test_not_found_is_a_failure() -> None:
    answer = await step([returning("nothing of use")], ["NOT FOUND."])
    assert (answer.status, answer.error) == ("failed", "the tool's result does not hold the answer")


@pytest.mark.parametrize("error", [ValueError("bad\nvalue"), KeyError("k"), RecursionError(), TypeError("t")])
async def test_whatever_a_tool_raises_is_a_failure_in_one_line(error: Exception) -> None:
    @tool
    def broken(query: str) -> str:
        """Fails."""
        raise error

    answer = await step([broken], [])
    assert answer.status == "failed"
    assert answer.error
    assert "\n" not in answer.error


async def test_a_hanging_sync_tool_times_out_and_leaves_no_thread_that_blocks_exit() -> None:
    released, threads = threading.Event(), list[threading.Thread]()

    @tool
    def hang(query: str) -> str:
        """Hangs."""
        threads.append(threading.current_thread())
        released.wait(60)
        return "late"

    answer = await step([hang], [], seconds=0.2)
    released.set()  # only now: the step has not waited for it
    assert answer.error == "no answer within 0.2 s"
    assert threads[0].daemon


async def test_a_hanging_async_tool_is_cancelled() -> None:
    cancelled = []

    @tool
    async def hang(query: str) -> str:
        """Hangs."""
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "late"

    answer = await step([hang], [], seconds=0.2)
    assert answer.error == "no answer within 0.2 s"
    assert cancelled


async def test_a_solver_that_is_away_stops_the_run_instead() -> None:
    with pytest.raises(EndpointError):
        await step([], [ConnectionError("away")])


async def test_the_solver_writes_arguments_where_the_text_does_not_fit() -> None:
    @tool(return_direct=True)
    def power(base: float, exponent: float) -> float:
        """Raises to a power."""
        return float(base**exponent)

    answer = await step([power], ['Sure: {"base": 2, "exponent": 10}'], "two to the tenth")
    assert answer.text == "1024.0"


async def test_arguments_that_do_not_fit_the_tool_are_a_failure() -> None:
    @tool(return_direct=True)
    def power(base: float, exponent: float) -> float:
        """Raises to a power."""
        return float(base**exponent)

    answer = await step([power], ['{"base": "two"}'], "two to the tenth")
    assert answer.status == "failed"
