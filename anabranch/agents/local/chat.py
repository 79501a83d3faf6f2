"""The in-process model as a LangChain chat model."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, Field, PrivateAttr

from anabranch.agents.local.files import ready
from anabranch.agents.local.generation import Engine, Generation, Options
from anabranch.agents.local.header import read_header
from anabranch.agents.local.llamacpp import LlamaCppEngine, require_llama_cpp
from anabranch.agents.local.weights import Progress, located, silent
from anabranch.agents.local.worker import Worker
from anabranch.agents.sizes import size_told
from anabranch.config import read_settings
from anabranch.errors import ConfigurationError, ModelError

_ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "tool"}
_PROFILE: ModelProfile = {"text_inputs": True, "text_outputs": True, "tool_calling": False, "tool_choice": False}
_WORKER = Worker("anabranch-local-model")
_ENGINES: dict[object, Engine] = {}
_ENGINES_LOCK = Lock()
SMALL_BELOW = 1_000_000_000
"""Weights under which a model is too small for arithmetic in its head and for JSON without a grammar."""

_Write = Callable[[Callable[[str], None] | None, Event], Generation]


class LocalChatModel(BaseChatModel):
    """A model in this process, run by llama.cpp: no server, no key, no network once it is prepared.

    The model is prepared and loaded on first use, or by `warm_up()`: what is no GGUF file, or wears an adapter, is
    written as one and kept. All instances over the same weights share one load of them. Generations run one at a time.

    `invoke`, `stream`, `bind` and so on take `pattern` (a regular expression for the whole output), `json_schema`,
    `max_tokens`, `temperature`, `seed` and `stop`.

    Give a system message: without one, the chat template of SmolLM2 puts in its own ("You are a helpful AI assistant
    named SmolLM ..."), here as under vLLM or in training on the same messages.

    Attributes:
        model: a GGUF file (its name ends so), or a transformers folder or hub id of the Llama or Qwen2 architecture;
            None takes that of the settings.
        adapter: folder of a LoRA adapter; None for the base weights.
        max_tokens: most tokens to write.
        temperature: 0 takes the most probable token each time.
        seed: makes sampling repeatable.
        progress: called with one line before each step of preparing the model.
    """

    model: str | None = None
    adapter: Path | None = None
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    seed: int | None = None
    progress: Progress | None = Field(default=None, exclude=True, repr=False)
    profile: ModelProfile | None = Field(default_factory=lambda: _PROFILE.copy(), exclude=True)

    _loaded: Engine | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Checks that the packages are there.

        Raises:
            MissingExtraError: one of the extra `local` is not.
        """
        super().model_post_init(context)
        self._require()

    def _require(self) -> None:
        require_llama_cpp()

    @property
    def model_name(self) -> str:
        """The model's file, hub id or folder."""
        return self.model or read_settings().local_model

    @property
    def small(self) -> bool:
        """Whether it has fewer weights than `SMALL_BELOW`, as its file or else its name says; small where neither does.

        Raises:
            ModelUnavailableError: the file cannot be read.
        """
        file = self._file
        return (read_header(file).parameters if file else size_told(self.model_name) or 0) < SMALL_BELOW

    @property
    def _file(self) -> Path | None:
        return Path(self.model_name).expanduser() if self.model_name.lower().endswith(".gguf") else None

    @property
    def _llm_type(self) -> str:
        return "anabranch-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "adapter": str(self.adapter), "seed": self.seed}

    def warm_up(self, messages: Sequence[BaseMessage] = ()) -> None:
        """Prepares and loads the model, and reads the beginning of the prompts to come.

        Args:
            messages: what they begin with, such as the system message.

        Raises:
            ModelUnavailableError: the model cannot be had.
            ConfigurationError: the adapter does not fit it, or it is of an architecture that is not known here.
        """
        self._engine().load()
        if messages:
            self.invoke(list(messages), max_tokens=1)

    def _engine(self) -> Engine:
        if self._loaded is None:
            with _ENGINES_LOCK:
                key, make = self._opened()
                self._loaded = _ENGINES[key] = _ENGINES.get(key) or make()
        return self._loaded

    def _opened(self) -> tuple[object, Callable[[], Engine]]:
        """What an engine for this model is known by, and how to make one."""
        settings, told = read_settings(), self.progress or silent
        source = (self._file or located(self.model, progress=told)).resolve()
        path = ready(source, self.adapter, settings.cache_dir.expanduser() / "models" / "gguf", progress=told)
        return path, lambda: LlamaCppEngine(path, threads=settings.threads, context=settings.local_context)

    def _writer(self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any]) -> _Write:
        unknown = given.keys() - {"pattern", "json_schema", "max_tokens", "temperature", "seed"}
        if unknown:
            raise ConfigurationError(
                f"the in-process model does not know {', '.join(sorted(unknown))}; it takes pattern, json_schema, "
                "max_tokens, temperature, seed and stop, and calls no tools"
            )
        own = {"max_tokens": self.max_tokens, "temperature": self.temperature, "seed": self.seed}
        chosen = own | {name: value for name, value in given.items() if value is not None}
        options = Options(stop=stop or (), **chosen)
        turns = [_turn(message) for message in messages]
        return lambda on_text, cancel: self._engine().generate(turns, options, on_text=on_text, cancel=cancel)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(self._writer(messages, stop, kwargs)(None, Event()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        cancel = Event()
        future = _WORKER.submit(partial(self._writer(messages, stop, kwargs), None, cancel))
        try:
            return self._result(await asyncio.wrap_future(future))
        finally:
            cancel.set()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces: SimpleQueue[str | None] = SimpleQueue()
        cancel = Event()
        future = _WORKER.submit(partial(self._writer(messages, stop, kwargs), pieces.put, cancel))
        future.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := pieces.get()) is not None:
                chunk = _chunk(piece)
                if run_manager:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            yield self._last_chunk(future.result())
        finally:
            cancel.set()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(piece: str | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        cancel = Event()
        future = _WORKER.submit(partial(self._writer(messages, stop, kwargs), put, cancel))
        future.add_done_callback(lambda _: put(None))
        try:
            while (piece := await pieces.get()) is not None:
                chunk = _chunk(piece)
                if run_manager:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            yield self._last_chunk(future.result())
        finally:
            cancel.set()

    def _result(self, generation: Generation) -> ChatResult:
        metadata = self._metadata(generation)
        message = AIMessage(content=generation.text, response_metadata=metadata, usage_metadata=_usage(generation))
        return ChatResult(generations=[ChatGeneration(message=message, generation_info=metadata)])

    def _last_chunk(self, generation: Generation) -> ChatGenerationChunk:
        metadata = self._metadata(generation)
        message = AIMessageChunk(
            content="", response_metadata=metadata, usage_metadata=_usage(generation), chunk_position="last"
        )
        return ChatGenerationChunk(message=message, generation_info=metadata)

    def _metadata(self, generation: Generation) -> dict[str, Any]:
        return {"finish_reason": generation.stop_reason, "model_name": self.model_name}

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """A runnable whose output fits a schema; the model cannot write anything else.

        Args:
            schema: a JSON schema, or a pydantic class.
            include_raw: return a dict with `raw`, `parsed` and `parsing_error` instead, and do not raise ModelError.
            **kwargs: `method` and `strict` have no effect here; others are bound to the model (`max_tokens`).

        Raises:
            ModelError: (when run) `max_tokens` was used up before the output was complete.
        """
        options = {name: value for name, value in kwargs.items() if name not in ("method", "strict")}
        json_schema = _closed(schema if isinstance(schema, dict) else convert_to_json_schema(schema))
        model = self.bind(json_schema=json_schema, **options)
        parser = RunnableLambda(partial(_parse, schema=schema))
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=_raw | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks(
            [failed], exceptions_to_handle=(ModelError,), exception_key="parsing_error"
        )


def _turn(message: BaseMessage) -> Mapping[str, str]:
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type)
    if role is None:
        raise ConfigurationError(f"the in-process model takes no {message.type} messages; use system, human and ai")
    blocks = message.content if isinstance(message.content, list) else []
    if any(isinstance(block, dict) and block.get("type") != "text" for block in blocks):
        raise ConfigurationError("the in-process model reads text only; leave out images and other content blocks")
    return {"role": role, "content": str(message.text)}


def _chunk(piece: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=piece))


def _usage(generation: Generation) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=generation.input_tokens,
        output_tokens=generation.output_tokens,
        total_tokens=generation.input_tokens + generation.output_tokens,
        input_token_details={"cache_read": generation.cached_tokens},
    )


_raw = RunnableLambda(lambda outputs: outputs["raw"])


def _closed(schema: Any) -> Any:
    """The schema without additional properties, unless it asks for them: a small model adds them without end."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed


def _parse(message: BaseMessage, schema: dict[str, Any] | type) -> Any:
    try:
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return schema.model_validate_json(message.text)
        return json.loads(message.text)
    except ValueError as error:
        cut = message.response_metadata.get("finish_reason") == "length"
        hint = "it was cut off, raise max_tokens" if cut else "try again or simplify the schema"
        raise ModelError(f"the model's output does not fit the schema: {message.text[:200]!r}; {hint}") from error
