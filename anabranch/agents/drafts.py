"""Drafts of plans, sub-question by sub-question while a decomposer writes them."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from langchain_core.runnables import Runnable, RunnableBinding

from anabranch.characters import WholeStream, whole_characters, whole_data
from anabranch.codecs import decode_line
from anabranch.errors import PlanError
from anabranch.plan import SubQuestion
from anabranch.scope import holding

_JSON = json.JSONDecoder()

Listener = Callable[[Sequence[SubQuestion]], None]
"""Told the sub-questions of the draft under way each time that there is another; a new draft begins with its first."""


class Reader:
    """Finds sub-questions in a text that grows: lines, or objects in JSON."""

    def __init__(self) -> None:
        self._text = ""
        self._whole = WholeStream()
        self._place = 0
        self._json: bool | None = None

    def take(self, token: str) -> list[SubQuestion]:
        """Takes a token; gives the sub-questions that are complete with it."""
        return self._take(self._whole.take(token))

    def _take(self, token: str) -> list[SubQuestion]:
        self._text += token
        if self._json is None and self._text.strip():
            self._json = not self._text.lstrip()[0].isdigit()
        found = []
        while (piece := self._object() if self._json else self._line()) is not None:
            found += _read(piece)
        return found

    def end(self, text: str) -> list[SubQuestion]:
        """Takes the whole text; gives what was not complete before: the last line, or all of it if nothing came."""
        found = self._take(whole_characters(text)[len(self._text) :])
        return found if self._json else [*found, *_read(self._text[self._place :])]

    def _line(self) -> str | None:
        end = self._text.find("\n", self._place)
        if end < 0:
            return None
        line, self._place = self._text[self._place : end], end + 1
        return line

    def _object(self) -> dict[str, Any] | None:
        """The next object inside the array of sub-questions."""
        if self._place == 0:
            start = self._text.find("[", self._text.find('"sub_questions"') + 1)
            if start < 0 or '"sub_questions"' not in self._text:
                return None
            self._place = start + 1
        start = self._text.find("{", self._place)
        if start < 0 or "]" in self._text[self._place : start]:
            return None
        try:
            value, self._place = _JSON.raw_decode(self._text, start)
            value = whole_data(value)
        except (ValueError, RecursionError):  # not complete yet
            return None
        return value if isinstance(value, dict) else None


def _read(piece: str | dict[str, Any]) -> list[SubQuestion]:
    # What cannot be read is not lost: the whole text is read again at its end, and then the reason is told.
    try:
        return [decode_line(piece) if isinstance(piece, str) else SubQuestion.model_validate(piece)]
    except (PlanError, ValueError):
        return []


class Listening(BaseCallbackHandler):
    """Listens to the calls of a decomposer, which has its model stream, and tells what it has written so far."""

    run_inline = True

    def __init__(self, tell: Listener) -> None:
        self._tell = tell
        self._reader, self._begun = Reader(), ""
        self._found: list[SubQuestion] = []

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """A reply begins; where the prompt ends with the beginning of a draft, it goes on with that."""
        last = messages[0][-1] if messages and messages[0] else None
        self._reader, self._begun = Reader(), str(last.text) if isinstance(last, AIMessage) else ""
        self._found = self._reader.take(self._begun)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Some of it is written."""
        text = chunk.message.text if isinstance(chunk, ChatGenerationChunk) else token
        self._add(self._reader.take(str(text)))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """All of it is."""
        if response.generations and response.generations[0]:
            self._add(self._reader.end(self._begun + response.generations[0][0].text))

    def _add(self, found: list[SubQuestion]) -> None:
        if found:
            self._found = [*self._found, *found]
            self._tell(self._found)

    # LangChain has a model stream where a handler has these two; they are called for streams of runnables only.
    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The stream as it is."""
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[Any]) -> Iterator[Any]:
        """The stream as it is."""
        return output


_listener: ContextVar[Listener | None] = ContextVar("anabranch_drafts", default=None)


def hearing_drafts(tell: Listener | None) -> AbstractContextManager[Listener | None]:
    """Inside, `tell` hears what decomposers write; None for nobody, so that their models need not stream."""
    return holding(_listener, tell)


def overheard(runnable: Runnable[Any, Any]) -> Runnable[Any, Any] | None:
    """A decomposer's chat model, or one with arguments bound, that is listened to; None if nobody listens."""
    tell = _listener.get()
    return None if tell is None else _with(runnable, Listening(tell))


def _with(runnable: Runnable[Any, Any], handler: Listening) -> Runnable[Any, Any]:
    if isinstance(runnable, RunnableBinding):
        return runnable.model_copy(update={"bound": _with(runnable.bound, handler)})
    if not isinstance(runnable, BaseChatModel):
        return runnable
    # In place of a call's callbacks, which would take the place of those of the run around it.
    own = runnable.callbacks
    if own is None or isinstance(own, list):
        return runnable.model_copy(update={"callbacks": [*(own or []), handler]})
    shared = own.copy()
    shared.add_handler(handler, inherit=False)
    return runnable.model_copy(update={"callbacks": shared})
