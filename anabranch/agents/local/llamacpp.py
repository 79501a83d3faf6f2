"""A GGUF file as a model in this process, by llama.cpp through the package `xllamacpp`.

llama.cpp's server is called as a library. It opens a socket whatever it is told, so it gets one in a folder of this
user alone that is removed at once, or, where there are no such sockets, a port on loopback and a random key.
"""

import atexit
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Lock
from typing import Any

from anabranch.agents.local.generation import Generation, Options, StopReason, too_long
from anabranch.agents.local.grammar import grammar_of
from anabranch.agents.local.header import Header, read_header
from anabranch.agents.local.template import ChatTemplate
from anabranch.errors import MissingExtraError, ModelError, ModelUnavailableError

_PACKAGES = ("xllamacpp", "llguidance", "jinja2", "gguf", "safetensors")
_LARGE = 1_000_000_000
_STEP = 256
"""Tokens of a prompt that are read at once; between two such steps a call can be cancelled."""
_ROOM = 2048
"""Tokens for which there is memory at first; it is doubled where a call may need more, up to the whole context."""
_KEPT_MIB = 256
"""Memory for the beginnings of prompts that are not the last one."""
_AROUND = 8
"""Tokens that llama.cpp may put around a prompt, and more."""
_LAST_SECONDS = 30.0
_NAMES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_TOO_LONG = "exceed_context_size_error"
_TURN = Lock()
"""llama.cpp keeps one tokenizer for grammars in the whole process, without a lock; and models share the processors."""
_UNDER_WAY: set[Event] = set()


class LlamaCppEngine:
    """A model of one GGUF file. One generation runs at a time in a process; others wait.

    Args:
        path: the file.
        threads: CPU threads; 0 writes with half of the processors, four at most, and reads prompts with all, eight at
            most; for a model of a billion weights or more it takes what llama.cpp would.
        context: most tokens of prompt and output together; 0 takes what the model was made for.

    Attributes:
        header: what the file says of itself.
        template: its chat template.
        context: most tokens of prompt and output together.

    Raises:
        MissingExtraError: a package of the `local` extra is not installed.
        ModelUnavailableError: the file is missing, damaged, larger than the memory, or no model for chat.
    """

    def __init__(self, path: Path, *, threads: int = 0, context: int = 0) -> None:
        require_llama_cpp()
        self.path = path
        self.header = read_header(path)
        made_for = self.header.context or context
        self.context = min(context or made_for, made_for)
        self.template = _template(self.header, path)
        self._threads = threads
        self._room = min(_ROOM, self.context)
        self._server: Any = None
        _check_memory(path)

    def load(self) -> None:
        """Loads the weights now rather than on first use."""
        with _TURN:
            self._loaded(self._room)

    def generate(
        self,
        messages: Sequence[Mapping[str, str]],
        options: Options | None = None,
        *,
        on_text: Callable[[str], None] | None = None,
        cancel: Event | None = None,
    ) -> Generation:
        """Writes the reply to chat messages (see `Engine.generate`)."""
        options, cancel = options or Options(), cancel or Event()
        prompt = self._prompt(messages)
        request = {**_request(options, self.header.ends), "prompt": prompt}
        reply = _Reply(on_text, cancel)
        with _TURN, _noted(cancel):
            if cancel.is_set():
                return reply.generation()
            most = len(prompt.encode()) + _AROUND + options.max_tokens  # a token has a byte at least
            self._loaded(most).handle_completions(json.dumps(request), reply.take)
        if reply.failure is not None:
            raise reply.failure
        if reply.error is not None:
            raise self._error(reply.error)
        return reply.generation()

    def _prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        prompt = self.template.render(messages)
        # llama.cpp puts this token there itself.
        return prompt.removeprefix(self.header.token("bos")) if self.header.adds_bos else prompt

    def _error(self, error: Mapping[str, Any]) -> Exception:
        if error.get("type") == _TOO_LONG:
            more = ", or raise ANABRANCH_LOCAL_CONTEXT if the model can read more"
            return too_long(error.get("n_prompt_tokens", 0), self.context, more)
        return ModelError(f"llama.cpp failed: {str(error.get('message', error))[:300]}; try again or use another model")

    def _loaded(self, tokens: int) -> Any:
        """llama.cpp with room for so many tokens; the prompts that were kept are lost where it has to be made."""
        if self._room < (wanted := min(tokens, self.context)):
            self._server = None  # before the next one: both may not fit into the memory
            while self._room < wanted:
                self._room = min(2 * self._room, self.context)
        if self._server is None:
            _at_exit()
            try:
                self._server = _start(self._parameters())
            except (RuntimeError, ValueError, MemoryError) as error:
                raise ModelUnavailableError(
                    f"llama.cpp cannot load {self.path}: it is damaged, of a kind that this version does not know, or "
                    f"does not fit into the memory with {self._room:,} tokens of context; download it again, update "
                    "xllamacpp, take a smaller one, or lower ANABRANCH_LOCAL_CONTEXT"
                ) from error
        return self._server

    def _parameters(self) -> Any:
        parameters: Any = import_module("xllamacpp").CommonParams()  # untyped
        parameters.model.path = str(self.path)
        parameters.n_ctx = self._room
        parameters.n_batch = parameters.n_ubatch = _STEP
        parameters.n_parallel = parameters.n_threads_http = 1
        parameters.cache_ram_mib = _KEPT_MIB
        parameters.warmup = parameters.ui = False
        parameters.verbosity = -1
        parameters.api_keys = [secrets.token_hex(32)]
        if self._threads:
            parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = self._threads
        elif self.header.parameters < _LARGE:  # for larger ones llama.cpp's own choice serves
            parameters.cpuparams.n_threads, parameters.cpuparams_batch.n_threads = _default_threads()
        return parameters


def require_llama_cpp() -> None:
    """Checks that the packages of the extra `local` are there.

    Raises:
        MissingExtraError: one is not.
    """
    if missing := [package for package in _PACKAGES if find_spec(package) is None]:
        raise MissingExtraError(
            f"the in-process model needs {', '.join(missing)}; install with: pip install 'anabranch[local]', or name "
            "another model, such as --solver openai:MODEL"
        )


class _Reply:
    """What comes of one call, piece by piece."""

    def __init__(self, on_text: Callable[[str], None] | None, cancel: Event) -> None:
        self.error: Mapping[str, Any] | None = None
        self.failure: BaseException | None = None
        self._on_text = on_text
        self._cancel = cancel
        self._pieces: list[str] = []
        self._tokens = self._input = self._cached = 0
        self._reason: StopReason = "cancelled"

    def take(self, message: str | bytes) -> bool:
        """Takes a chunk; whether llama.cpp is to stop. Called from C++, through which no exception may go."""
        try:
            self._read(json.loads(message))
        except BaseException as error:
            self.failure = error
            return True
        return self.error is not None or self._cancel.is_set()

    def _read(self, chunk: Mapping[str, Any]) -> None:
        if "error" in chunk:
            self.error = chunk["error"]
            return
        choice = chunk["choices"][0]
        if reason := choice.get("finish_reason"):
            self._reason = "length" if reason == "length" else "stop"
            self._tokens = (chunk.get("usage") or {}).get("completion_tokens", self._tokens)
        elif progress := chunk.get("prompt_progress"):
            self._input, self._cached = progress["total"], progress["cache"]
        else:
            self._tokens += 1
        if piece := choice.get("text"):
            self._pieces.append(piece)
            if self._on_text:
                self._on_text(piece)

    def generation(self) -> Generation:
        """The whole; of what was cancelled, only the tokens that were given out are counted."""
        return Generation("".join(self._pieces), self._input, self._tokens, self._reason, self._cached)


def _request(options: Options, ends: tuple[int, ...]) -> dict[str, Any]:
    """A call of llama.cpp; what a file says about sampling does not count, so that 0 is greedy for all models."""
    grammar = grammar_of(options, ends)
    return {
        "stream": True,
        "return_progress": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": options.reuse,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "seed": -1 if options.seed is None else options.seed,
        "stop": [word for word in options.stop if word],
        **({"grammar": grammar} if grammar else {}),
    }


def _template(header: Header, path: Path) -> ChatTemplate:
    names = {name: header.token(ours) for name, ours in _NAMES.items()}
    source = header.values.get("tokenizer.chat_template")
    return ChatTemplate(source, header.special.values(), names, str(path))


def _default_threads() -> tuple[int, int]:
    """Threads for writing and for reading prompts."""
    # Threads that multiply small matrices wait for each other thousands of times a second. On two cores of which
    # another process used one, two threads took five times as long as one to write; on two free cores they saved a
    # fifth. A prompt is read in large steps: there two threads take 0.55 of the time of one, or 1.5 of it beside such
    # a process.
    cores = os.cpu_count() or 1
    return max(1, min(4, cores // 2)), min(8, cores)


def _check_memory(path: Path) -> None:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return
    size = path.stat().st_size
    if size > memory:
        raise ModelUnavailableError(
            f"{path} has {size / 1e9:,.1f} GB, more than this machine's memory ({memory / 1e9:,.1f} GB); take a "
            "smaller model or one of fewer bits a weight, or serve it elsewhere and name its address"
        )


def _start(parameters: Any) -> Any:
    server = import_module("xllamacpp").Server
    if os.name != "posix":
        parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        return server(parameters)
    with tempfile.TemporaryDirectory(prefix="anabranch-") as folder:
        parameters.hostnames = [f"{folder}/llama.sock"]
        return server(parameters)


@contextmanager
def _noted(cancel: Event) -> Iterator[None]:
    _UNDER_WAY.add(cancel)
    try:
        yield
    finally:
        _UNDER_WAY.discard(cancel)


@lru_cache(maxsize=1)
def _at_exit() -> None:
    """Ends what is under way before the interpreter does: a thread inside llama.cpp cannot come back afterwards."""
    atexit.register(_stop_all)


def _stop_all() -> None:
    for cancel in list(_UNDER_WAY):
        cancel.set()
    _TURN.acquire(timeout=_LAST_SECONDS)
