import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import APIConnectionError, APIError

from anabranch.agents.chunks import Chunks, joined, library


class Stream:
    """The client's stream, over bytes that come a piece at a time."""

    def __init__(self, pieces: Sequence[bytes], *, fails: Exception | None = None, waits: bool = False) -> None:
        self.response = SimpleNamespace(request=library().Request("POST", "http://m"), aiter_bytes=self._bytes)
        self.pieces = pieces
        self.fails = fails
        self.waits = waits
        self.closed = False
        self.stopped = False

    async def _bytes(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
            if self.waits:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.stopped = True
            raise
        if self.fails:
            raise self.fails

    async def close(self) -> None:
        self.closed = True


def delta(text: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": None}
    return {"choices": [{**choice, **more}]}


def event(data: Any, end: str = "\n\n") -> bytes:
    return f"data: {data if isinstance(data, str) else json.dumps(data)}{end}".encode()


async def read(stream: Any) -> list[dict[str, Any]]:
    async with Chunks(stream) as chunks:
        return [chunk async for chunk in chunks]


def text_of(chunks: Sequence[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_what_comes_at_once_is_one_chunk_and_what_is_more_than_text_is_not_joined() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 1}}
    sent = [delta("a"), delta("b"), delta("c", finish_reason="length"), usage]
    stream = Stream([b"".join(map(event, sent)) + event("[DONE]")])
    found = await read(stream)
    assert found == [delta("ab"), delta("c", finish_reason="length"), usage]
    assert stream.closed


async def test_the_first_chunk_does_not_wait_for_the_next() -> None:
    stream: Any = Stream([event(delta("a"))], waits=True)
    chunks = Chunks(stream).__aiter__()
    assert text_of([await asyncio.wait_for(anext(chunks), 5)]) == "a"


async def test_halves_of_characters_are_read() -> None:
    found = await read(Stream([event(delta("\ud83d"), "\n\n"), event(delta("\ude00")), event("[DONE]")]))
    assert text_of(found[:2]) == "\ud83d\ude00"


@given(st.data())
async def test_events_may_be_cut_anywhere_and_end_their_lines_in_any_way(data: Any) -> None:
    words = data.draw(st.lists(st.text(max_size=4), min_size=1, max_size=6))
    end = data.draw(st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]))
    lines = [event(delta(word), end) for word in words]
    whole = f": ping{end}".encode() + b"".join(lines) + event(delta(finish_reason="stop"), end) + event("[DONE]", end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = await read(Stream(pieces))
    assert text_of(found) == "".join(words)
    assert found[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("last", "reason"),
    [(event("[DONE]"), "stop"), (b"data: [DONE]", "stop"), (b"", None), (b'data: {"choices": [{"del', None)],
)
async def test_a_stream_that_says_it_is_done_ends_with_a_reason(last: bytes, reason: str | None) -> None:
    found = await read(Stream([event(delta("a")) + last]))
    assert text_of(found) == "a"
    assert found[-1]["choices"][0]["finish_reason"] == reason


async def test_a_stream_that_says_nothing_has_no_end_of_ours() -> None:
    assert await read(Stream([event("[DONE]")])) == []


@pytest.mark.parametrize("told", ["out of memory", {"message": "out of memory"}])
async def test_an_error_in_a_stream_is_raised(told: Any) -> None:
    with pytest.raises(APIError, match="out of memory"):
        await read(Stream([event({"error": told})]))


async def test_a_connection_that_breaks_is_an_error_of_the_client() -> None:
    with pytest.raises(APIConnectionError):
        await read(Stream([event(delta("a"))], fails=library().ReadError("gone")))


async def test_whoever_leaves_ends_the_reading() -> None:
    stream = Stream([event(delta("a"))], waits=True)
    reading = asyncio.create_task(read(stream))
    await asyncio.sleep(0.03)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stream.stopped
    assert stream.closed


def test_choices_and_tools_are_not_joined() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "b"}}]}
    tool = {"choices": [{"index": 0, "delta": {"content": "b", "tool_calls": [{"index": 0}]}}]}
    sent = [delta("a"), other, delta("c"), tool, delta("d", logprobs={"content": []})]
    assert list(joined(sent)) == sent
