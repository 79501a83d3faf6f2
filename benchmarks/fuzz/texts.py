"""Targets for what reads replies, expressions, documents and the bodies of requests and replies."""

import asyncio
import io
import json
import re
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args

from langchain_core.documents import Document
from langchain_core.tools import ToolException
from pydantic import TypeAdapter, ValidationError

from anabranch import grading, replies
from anabranch.agents import final_answer, grounding, wire
from anabranch.errors import AnabranchError, DocumentError
from anabranch.serving.conversation import Conversation
from anabranch.serving.protocol import ChatRequest, PlansRequest
from anabranch.serving.responses_input import turns_of
from anabranch.serving.responses_kept import KeptResponses
from anabranch.serving.responses_protocol import ResponsesRequest
from anabranch.serving.tool_turns import ToolTurns
from anabranch.tools.calculator import calculate, find_expression
from anabranch.tools.documents import split_passages
from anabranch.tools.expressions import filled_expression, span_in
from anabranch.tools.readers import read
from anabranch.tools.terms import tokenize

_CONTROLS = re.compile(r"[\x1c-\x1f]")


def reply(text: str) -> None:
    """A reply is read in all ways, and streamed in pieces it is the same answer."""
    replies.json_values(text)
    replies.replan_reason(text)
    replies.says_not_found(text)
    replies.short_reply(text)
    grading.numbers(text)
    grading.normalize(text)
    grounding.out_of_thin_air(text, [text[::2]])
    tags = replies.TAG.findall(text)
    loose = 2 * sum(tag.startswith("</") for tag in tags) > len(tags)
    for reading in get_args(final_answer.Reading):
        whole = final_answer.read(text, reading)
        stream = final_answer.AnswerStream(reading)
        size = 1 + len(text) // 7
        shown = "".join(stream.take(text[start : start + size]).content for start in range(0, len(text), size))
        delta, ended = stream.end()
        assert ended == whole, reading
        assert (shown + delta.content).endswith(whole.answer), (reading, shown, delta, whole)
        if reading != "joined" and not whole.unopened and not _CONTROLS.search(text) and not loose:
            # Where more tags end than begin, or a joiner says late that it wants another plan, only the end tells; and
            # the two libraries of regular expressions do not agree on which controls are white space.
            assert shown + delta.content == whole.answer, (reading, shown, delta, whole)


def expression(text: str) -> None:
    """An expression has a value or is refused; answers are put into one, or not."""
    for expected in (text, text[:60]):
        with suppress(ToolException):
            assert calculate(expected)
    question, _, answer = text.partition("\x1e")
    find_expression(question)
    filled_expression("What is {1} + 2?", {1: text})
    if filled := filled_expression(question, {1: answer, 2: answer[::-1]}):
        span_in(filled, {1: answer})


def document(suffix: str, data: bytes) -> None:
    """A document is read or refused, and its passages are no longer than it."""
    try:
        content = read(Path(f"name{suffix}"), data)
    except DocumentError:
        return
    assert content.title
    for page in content.pages:
        passages = split_passages([Document(page.text, metadata={"source": f"name{suffix}"})])
        assert sum(len(passage.page_content) for passage in passages) <= 2 * len(page.text) + 100
        tokenize(page.text[:2000], indexing=True)


def word_document(data: bytes) -> None:
    """The bytes are the text of a Word document within an archive that is whole; or else the archive itself."""
    if data[:2] != b"PK":
        archive = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(empty_word_document())) as known, zipfile.ZipFile(archive, "w") as made:
            for name in known.namelist():
                made.writestr(name, data if name == "word/document.xml" else known.read(name))
        data = archive.getvalue()
    document(".docx", data)


@cache
def empty_word_document() -> bytes:
    """A Word document without text."""
    import docx

    file = io.BytesIO()
    docx.Document().save(file)
    return file.getvalue()


_BODIES: tuple[TypeAdapter[Any], ...] = tuple(map(TypeAdapter, (ChatRequest, ResponsesRequest, PlansRequest)))


def request(data: bytes) -> None:
    """The body of a request is one, or refused."""
    for body in _BODIES:
        try:
            found = body.validate_json(data)
        except ValidationError as error:
            error.json(include_context=False, include_input=False)
            continue
        with suppress(AnabranchError):
            asyncio.run(_conversation(found))


async def _conversation(found: Any) -> None:
    if isinstance(found, ResponsesRequest):
        before, given = await turns_of(found, KeptResponses())
        await Conversation.of([*before, *given], ToolTurns())
    elif isinstance(found, ChatRequest):
        await Conversation.of(found.messages, ToolTurns())


def server_reply(data: bytes) -> None:
    """A model server's reply is put right, or left as it is."""
    wire.error_status(data)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict):
        wire.error_in(found)
        wire.refusal_in(found)
        with suppress(ValueError):
            found = wire.put_right(found)
        json.dumps(found)
