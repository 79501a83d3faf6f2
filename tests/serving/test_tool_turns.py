"""Plans that wait for tools: kept for a while, a bounded number of them, and in stores that outlive the process."""

import asyncio
import stat
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.errors import BackendError, ConfigurationError, UnknownToolCallError
from anabranch.plan import Answer
from anabranch.serving.kept import open_store
from anabranch.serving.tool_turns import Carried, ToolTurns, call_id, read_call_id
from tests.postgres import postgres
from tests.strategies import any_text, plans


@st.composite
def carried(draw: st.DrawFn) -> Carried:
    plan = draw(plans().filter(lambda plan: plan.sub_questions))
    answers = {}
    for id_ in draw(st.sets(st.sampled_from(plan.ids))):
        text = draw(any_text)
        answers[id_] = Answer(id=id_, text=text) if draw(st.booleans()) else Answer(id=id_, status="failed", error=text)
    arguments = draw(st.dictionaries(st.sampled_from(plan.ids), st.dictionaries(any_text, any_text, max_size=2)))
    return Carried(plan=plan, answers=answers, arguments=arguments, replans=draw(st.integers(0, 5)))


@given(carried())
async def test_what_is_kept_is_found_again_and_again(sent: Carried) -> None:
    turns = ToolTurns()
    key = await turns.keep(sent)
    assert await turns.find(key) == sent
    assert await turns.find(key) == sent


async def test_ids_are_new_each_time_and_fit_into_openai_s_forty_characters() -> None:
    turns = ToolTurns()
    keys = {await turns.keep(Carried()) for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert read_call_id(call_id(999_999, key)) == (999_999, key)
        assert len(call_id(999_999, key)) <= 40


@pytest.mark.parametrize(
    "id_", ["", "call_1_0123abcd", "call_0_" + "a" * 22, "call_1_" + "a" * 23, "toolu_" + "a" * 22]
)
def test_ids_of_others_are_told_apart(id_: str) -> None:
    assert read_call_id(id_) is None


async def test_the_oldest_go_first() -> None:
    turns = ToolTurns(most=3)
    keys = [await turns.keep(Carried()) for _ in range(5)]
    for key in keys[:2]:
        with pytest.raises(UnknownToolCallError):
            await turns.find(key)
    for key in keys[2:]:
        await turns.find(key)


async def test_their_sizes_are_limited_in_all() -> None:
    turns = ToolTurns(most_chars=2_500)
    keys = [await turns.keep(Carried(question="x" * 1_000)) for _ in range(5)]
    for key in keys[:3]:
        with pytest.raises(UnknownToolCallError):
            await turns.find(key)
    for key in keys[3:]:
        await turns.find(key)


async def test_they_are_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("anabranch.serving.kept.time.time", lambda: now)
    turns = ToolTurns(seconds=60)
    key = await turns.keep(Carried())
    now += 59
    await turns.find(key)
    now += 2
    with pytest.raises(UnknownToolCallError, match="1 minutes"):
        await turns.find(key)


async def test_another_server_finds_them_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "turns.sqlite"
    async with AsyncExitStack() as stack:
        key = await ToolTurns(await open_store(stack, str(path))).keep(Carried(question="Why?"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with AsyncExitStack() as one, AsyncExitStack() as two:
        first, second = ToolTurns(await open_store(one, str(path))), ToolTurns(await open_store(two, str(path)))
        assert (await first.find(key)).question == "Why?"
        later = await first.keep(Carried(question="How?"))
        assert (await second.find(later)).question == "How?"


@pytest.mark.slow
async def test_another_server_finds_them_in_a_database() -> None:
    with postgres() as server:
        async with AsyncExitStack() as one, AsyncExitStack() as two:
            stores = await asyncio.gather(open_store(one, server.address), open_store(two, server.address))
            first, second = map(ToolTurns, stores)
            key = await first.keep(Carried(question="Why?\u2028"))
            assert (await second.find(key)).question == "Why?\u2028"
            server.stop()
            with pytest.raises(BackendError, match="--threads"):
                await second.find(key)
            server.start()
            assert (await second.find(key)).question == "Why?\u2028"
        async with AsyncExitStack() as stack:
            with pytest.raises(ConfigurationError) as refused:
                await open_store(stack, server.address.replace("s3cret", "Wr0ng"))
        assert "Wr0ng" not in str(refused.value)


async def test_many_processes_may_begin_at_once(tmp_path: Path) -> None:
    async def opened() -> None:
        async with AsyncExitStack() as stack:
            await ToolTurns(await open_store(stack, str(tmp_path / "turns.sqlite"))).keep(Carried())

    await asyncio.gather(*(opened() for _ in range(8)))


async def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "turns.sqlite"
    path.write_text("no database, but long enough to be read as the head of one" * 20)
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigurationError, match="--threads"):
            await open_store(stack, str(path))


async def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        turns = ToolTurns(await open_store(stack, str(tmp_path / "turns.sqlite")))
        key = await turns.keep(Carried())
    with pytest.raises(BackendError, match="--threads"):
        await turns.find(key)
    with pytest.raises(BackendError, match="--threads"):
        await turns.keep(Carried())
