import asyncio

import pytest
from langchain_core.tools import BaseTool, StructuredTool

from anabranch.tools.effects import has_effects, max_chars, may_repeat
from anabranch.tools.results import fitted, fitting


def rooms(count: int) -> str:
    return "\n".join(f"Room {n} is {'yellow' if n == count // 2 else 'grey'}." for n in range(count))


def test_a_short_result_stays_as_it_is() -> None:
    assert fitting("  a\n\nb ", "Q?", 100) == "  a\n\nb "


def test_of_a_long_result_the_passages_that_fit_are_kept_in_their_order() -> None:
    kept = fitting(rooms(4_000), "Which room is yellow?", 3_000)
    assert "Room 2000 is yellow." in kept
    assert len(kept) <= 3_000
    numbers = [int(word) for word in kept.split() if word.isdigit()]
    assert numbers == sorted(numbers)
    assert "[…]" in kept


@pytest.mark.parametrize("text", ["x" * 50_000, "?! " * 20_000, "这是" * 20_000, "\n" * 50_000])
@pytest.mark.parametrize("limit", [50, 8_000])
def test_whatever_it_is_it_fits(text: str, limit: int) -> None:
    kept = fitting(text, "What is it?", limit)
    assert 0 < len(kept) <= limit


def tool(**metadata: object) -> BaseTool:
    return StructuredTool.from_function(lambda: "", name="a", description="A.", metadata=metadata or None)


def test_a_tool_without_metadata_says_nothing() -> None:
    assert not has_effects(tool())
    assert has_effects(tool(), "action")
    assert not may_repeat(tool())
    assert max_chars(tool(), 7) == 7


def test_what_metadata_says() -> None:
    assert may_repeat(tool(annotations={"idempotentHint": True}))
    assert has_effects(tool(readOnlyHint=None, destructiveHint=True))
    assert max_chars(tool(max_chars=9), 7) == 9
    assert max_chars(tool(max_chars="many"), 7) == 7


async def test_long_results_are_searched_beside_what_else_goes_on() -> None:
    text = "Nothing to see. " * 60_000 + "The mill was opened by Ida Brask. " + "Nothing to see. " * 20_000
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    found = await fitted(text, "Who opened the mill?")
    ticking.cancel()
    assert "Ida Brask" in found
    assert len(found) <= 8_000
    assert ticks >= 3
    assert await fitted("short", "Who?") == "short"
