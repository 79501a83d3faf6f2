"""Models of an evaluation: any chat model with its replies kept, or one that is served in batches.

The wrapper is itself a chat model, so every system, the planner's graph included, runs on it unchanged. Where there is
no reply and no live model, the question is left for the next wave.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from anabranch.addresses import without_login
from anabranch.agents.adapters import Role
from anabranch.agents.decomposer import Decomposer, Grammar, LineDecomposer
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.reply import ending, whole
from anabranch.agents.resolve import resolve_decomposer
from anabranch.agents.served import structured_outputs
from anabranch.agents.wire import SERVED_TYPE
from anabranch.config import Price
from anabranch.errors import ConfigurationError, EndpointError, MissingReplyError
from anabranch.evals.replies import ReplyStore, key_of, request_body
from anabranch.scope import holding

BATCH = "batch:"
_WRITERS = re.compile(r"(lines|examples|small):(.+)", re.DOTALL)
_LABEL = re.compile(r"([\w.+ -]+)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A model call: who, what it took, and whether the reply was kept from before."""

    role: str
    input_tokens: int
    output_tokens: int
    seconds: float | None
    kept: bool
    cut_off: bool


_calls: ContextVar[list[Call] | None] = ContextVar("anabranch_eval_calls", default=None)


def noting(calls: list[Call]) -> AbstractContextManager[list[Call]]:
    """Notes all model calls made inside, those of tasks started inside too."""
    return holding(_calls, calls)


class KeptChatModel(BaseChatModel):
    """A chat model whose replies are kept.

    Attributes:
        inner: the live model; None for one that is served in batches.
        served: its name in requests.
        role: `decomposer` or `solver`, for the bill.
        store: where replies are kept.
        defaults: call arguments where the caller names none.
        adapter: that of the live in-process model; a trained one is shown no examples.
    """

    inner: BaseChatModel | None = None
    served: str
    role: str
    store: Any
    defaults: dict[str, Any]
    adapter: Path | None = None

    @property
    def _llm_type(self) -> str:
        # The planner tells by this and by the name what a model is: in-process, behind an address, a distilled one.
        return self.inner._llm_type if self.inner else SERVED_TYPE

    @property
    def max_tokens(self) -> int | None:
        """Most tokens of a reply where the caller names no limit; part of what replies are kept by."""
        most: int | None = self.defaults.get("max_tokens")
        return most

    @property
    def model_name(self) -> str:
        """The model's name on its server."""
        return str(getattr(self.inner, "model_name", None) or self.served)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        """Offers tools, in OpenAI's form."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise ConfigurationError("models of an evaluation run asynchronously; use ainvoke")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        arguments = {**self.defaults, **kwargs}
        body = request_body(self.served, messages, stop, arguments)
        key, store = key_of(body), self._store
        found = store.find(key)
        if found:
            message, seconds = found.message, found.seconds
        elif self.inner is None:
            store.wanted[key] = body
            raise MissingReplyError(f"{self.served} has no reply to this prompt yet; answer requests.jsonl, import it")
        else:
            started = time.monotonic()
            message = whole(await _ask(self.inner, messages, stop, arguments))
            seconds = time.monotonic() - started
            store.keep(key, body, message, seconds)
        self._note(message, seconds, kept=found is not None)
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def _store(self) -> ReplyStore:
        store: ReplyStore = self.store
        return store

    def _note(self, message: AIMessage, seconds: float | None, *, kept: bool) -> None:
        calls = _calls.get()
        if calls is None:
            return
        used = message.usage_metadata
        tokens = (used["input_tokens"], used["output_tokens"]) if used else (0, 0)
        cut = ending(message) == "cut"
        calls.append(Call(self.role, *tokens, seconds=seconds, kept=kept, cut_off=cut))


class KeptOpenAIChatModel(KeptChatModel):
    """One with OpenAI's API: the planner knows by this field that it takes `response_format`."""

    openai_api_base: str | None = None


async def _ask(
    model: BaseChatModel, messages: list[BaseMessage], stop: list[str] | None, arguments: Mapping[str, Any]
) -> AIMessage:
    given = {name: value for name, value in arguments.items() if name != "tools"}
    runnable = model.bind_tools(arguments["tools"]) if arguments.get("tools") else model
    message = await runnable.ainvoke(messages, stop=stop, **given)
    if not isinstance(message, AIMessage):
        raise EndpointError(f"a model returned {type(message).__name__} instead of a chat message; check the model")
    return message


@dataclass(frozen=True)
class ModelSpec:
    """A model as it is named on the command line: `[LABEL=][lines:|examples:|small:]MODEL`.

    Attributes:
        label: its name in the report.
        name: `batch:NAME` for a model that is served in batches, else as for `resolve_model`.
        writer: how a decomposer writes plans: `lines` (distilled), `examples` (lines, shown examples), or empty for
            what the planner takes (lines for the in-process one and for names that begin with `decomposer`, else JSON).
            A solver that is too small to join answers has `small` here (`RoleModel.small`).
    """

    label: str
    name: str
    writer: str = ""

    @classmethod
    def of(cls, text: str) -> "ModelSpec":
        """Reads a spec.

        Raises:
            ConfigurationError: there is no name in it.
        """
        labelled = _LABEL.fullmatch(text)
        label, rest = (labelled[1].strip(), labelled[2]) if labelled else ("", text)
        written = _WRITERS.fullmatch(rest)
        writer, name = (written[1], written[2]) if written else ("", rest)
        if not name.strip() or name == BATCH:
            raise ConfigurationError(f"the model {text!r} has no name; write for example batch:NAME or http://host/v1")
        # Neither the report nor the manifest is a place for a password in an address.
        shown = without_login(rest.removeprefix(f"{writer}:").removeprefix(BATCH))
        return cls(label or shown, name.strip(), writer)


@dataclass(frozen=True)
class Models:
    """Opens models for one run.

    Attributes:
        store: where replies are kept.
        max_tokens: most tokens of a reply where the caller names no limit.
        progress: told what the in-process model is doing while it is prepared.
    """

    store: ReplyStore
    max_tokens: int = 1024
    progress: Callable[[str], None] = field(default=lambda _line: None)
    _opened: dict[tuple[str, str, bool], RoleModel] = field(default_factory=dict)

    def open(self, spec: ModelSpec, role: Role, price: Price | None = None) -> RoleModel:
        """The model of a spec in a role; opened once.

        Raises:
            ConfigurationError: as `resolve_model`, or `small:` before a decomposer.
            MissingExtraError, EndpointError: as `resolve_model`.
        """
        small = spec.writer == "small"
        if small and role == "decomposer":
            raise ConfigurationError(f"small: is for solvers; name the decomposer {spec.label!r} without it")
        key = (spec.name, role, small)
        if key not in self._opened:
            opened = self._open(spec, role, price)
            self._opened[key] = replace(opened, small=True) if small else opened
        return self._opened[key]

    def _open(self, spec: ModelSpec, role: Role, price: Price | None) -> RoleModel:
        if spec.name.startswith(BATCH):
            served = spec.name.removeprefix(BATCH)
            kept = KeptOpenAIChatModel(
                served=served, role=role, store=self.store, defaults={"temperature": 0, "max_tokens": self.max_tokens}
            )
            return RoleModel(kept, price)
        live = resolve_model(spec.name, role=role, price=price, progress=self.progress)
        openai = "openai_api_base" in type(live.chat).model_fields
        known = {} if getattr(live.chat, "temperature", None) is None else {"temperature": live.chat.temperature}  # type: ignore[attr-defined]
        kept_model = (KeptOpenAIChatModel if openai else KeptChatModel)(
            inner=live.chat,
            served=_served_name(live.chat, spec.name),
            role=role,
            store=self.store,
            defaults={**known, "max_tokens": self.max_tokens},
            adapter=getattr(live.chat, "adapter", None),
            profile=live.chat.profile,
        )
        return RoleModel(kept_model, live.price, small=live.small)

    def open_decomposer(self, spec: ModelSpec, price: Price | None = None) -> Decomposer:
        """The decomposer of a spec."""
        model = self.open(spec, "decomposer", price)
        if not spec.writer or model.small:
            found = resolve_decomposer(model)
        else:
            examples = spec.writer == "examples"  # for who was not trained on lines, and needs the grammar more often
            grammar: Grammar = "always" if examples else "on_demand"
            found = LineDecomposer(model, constrain=structured_outputs, grammar=grammar, examples=examples)
        if isinstance(found, LineDecomposer) and found.grammar == "on_demand" and spec.name.startswith(BATCH):
            found.grammar = "rest"  # each call takes a batch of its own
        return found


def served_name(model: RoleModel) -> str:
    """What a model of an evaluation is called in requests."""
    return model.chat.served if isinstance(model.chat, KeptChatModel) else "unknown"


def _served_name(chat: BaseChatModel, spec: str) -> str:
    """The name in requests; in-process models have their adapter's content in it."""
    name = str(getattr(chat, "model_name", None) or without_login(spec))
    adapter: Path | None = getattr(chat, "adapter", None)
    if adapter is None:
        return name
    digest = sha256(b"".join(path.read_bytes() for path in sorted(adapter.glob("adapter_*")))).hexdigest()[:12]
    return f"{name}+{adapter.name}@{digest}"
