"""Chat models in their roles, and the one way they are called: with usage counted and failures typed."""

import asyncio
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp
from pydantic import SecretStr

from anabranch.addresses import masked, split_login, without_login
from anabranch.agents.adapters import Role, adapter_folder, model_and_adapter
from anabranch.agents.answering import UNOPENED, answering, heard_so_far, unstreamed
from anabranch.agents.drafts import overheard
from anabranch.agents.final_answer import Reading
from anabranch.agents.images import has_images
from anabranch.agents.ledger import Ledger, current
from anabranch.agents.limits import TimeIsUp, answer_limit, blocks, expected_usage, limited, usage_of, within
from anabranch.agents.listing import listed_model
from anabranch.agents.messages import orderly, without_system
from anabranch.agents.reply import ended_early, held, whole, without_thoughts
from anabranch.agents.wire import refuses_roles, words_of
from anabranch.bounds import one_line, words_of_error
from anabranch.config import Price, read_settings
from anabranch.errors import (
    AnabranchError,
    CallTimeoutError,
    ConfigurationError,
    EndpointError,
    ImagesRefusedError,
    MissingExtraError,
)
from anabranch.replies import unopened_thoughts
from anabranch.tools.calling import in_daemon_thread

NOSTREAM = "nostream"
"""LangGraph's tag that keeps a call's tokens out of `stream_mode="messages"`."""
_ADVICE = {
    "APIConnectionError": "check the address and that the server is up",
    "ConnectError": "check the address and that the server is up",
    "ConnectionError": "check the address and that the server is up",
    "APITimeoutError": "the server is too slow or away; try again",
    "TimeoutError": "the server is too slow or away; try again",
    "TimeoutException": "the server is too slow or away; try again",
    "AuthenticationError": "check the API key",
    "PermissionDeniedError": "check what the API key may do",
    "NotFoundError": "check the model's name",
    "RateLimitError": "wait, or lower the concurrency",
    "ContextOverflowError": "the prompt is too long for this model; shorten it or use another",
    "InternalServerError": "the server failed; see its log",
    "APIStatusError": "check the model's settings",
    "APIError": "the server failed; see its log",
    "JSONDecodeError": "check that the address is that of an OpenAI-compatible server",
}
_OWN_WORDS = frozenset({"APIConnectionError", "ConnectError", "ConnectionError", "TimeoutError", "TimeoutException"})
"""Errors of which no server says anything."""
_FORMS = (
    "use local, local:FILE.gguf, local:ADAPTER, hf:HUB_ID, openai:MODEL, an address such as http://host:8000/v1, or "
    "PROVIDER:MODEL"
)
LOCAL_TYPE = "anabranch-local"
"""`_llm_type` of the in-process model."""
_UNOPENED = "thoughts without a beginning"
_ON_IMAGES = re.compile(r"image|multi.?modal|vision|content\b.{0,40}\bstring", re.IGNORECASE)
"""What servers say of images that their model cannot read, or that they cannot fetch or decode."""
_NO_SYSTEM = "no system messages"
_READ_SECONDS = 120.0


@dataclass(frozen=True)
class RoleModel:
    """A chat model and what the planner should know of it.

    Attributes:
        chat: the model.
        price: what it costs; None if not known.
        small: too small for arithmetic in its head, for JSON without a grammar and for joining answers. Then
            tools compute, generation is constrained, and the last answer of a plan is taken as it is.
        refused: call arguments that its server turned down, and that it is not sent again.
        habits: what was seen of its replies and is minded in those to come.
        too_many: numbers of tokens for a reply that its server turned down; as many are not asked for again.
    """

    chat: BaseChatModel = field(repr=False)
    price: Price | None = None
    small: bool = False
    refused: set[str] = field(default_factory=set, compare=False, repr=False)
    habits: set[str] = field(default_factory=set, compare=False, repr=False)
    too_many: set[int] = field(default_factory=set, compare=False, repr=False)


def resolve_model(
    spec: str | BaseChatModel | RoleModel,
    *,
    role: Role = "solver",
    price: Price | None = None,
    progress: Callable[[str], None] | None = None,
) -> RoleModel:
    """Finds the chat model a name stands for.

    Args:
        spec: a LangChain chat model (a `ChatOpenAI` is used as an `EndpointChatModel`), or a name: `local`,
            `local:FOLDER_OR_HUB_ID` or `local:FILE.gguf` for an in-process model by llama.cpp,
            `hf:FOLDER_OR_HUB_ID` for one by transformers, either with `+ADAPTER` after it or with an adapter's name in
            its place, `http://host:8000/v1` or `http://host:8000/v1#MODEL` for an OpenAI-compatible server,
            `openai:MODEL`, or `PROVIDER:MODEL` for what `langchain.chat_models.init_chat_model` knows.
        role: what it is for; decides which adapter the in-process model wears, and which of a server's models is
            taken where none is named: a decomposer is one whose name begins so, otherwise the first that chats.
        price: what the model costs; the in-process model costs nothing.
        progress: told in one line what the in-process model is doing while it is prepared.

    Raises:
        ConfigurationError: the name has none of these forms.
        MissingExtraError: the package that serves this provider is not installed.
        EndpointError: the server does not tell which models it has.
    """
    if isinstance(spec, RoleModel):
        return spec
    if isinstance(spec, BaseChatModel):
        local = spec._llm_type == LOCAL_TYPE
        return RoleModel(
            _put_right(spec), Price(input=0, output=0) if local else price, small=local and _is_small(spec)
        )
    if in_process(spec):
        kind, _, name = spec.partition(":")
        return _local(name, role, progress) if kind == "local" else _hf(name, progress)
    if re.match(r"https?://", spec):
        return RoleModel(_served(spec, role), price)
    provider, _, name = spec.partition(":")
    if provider == "openai" and name:
        return RoleModel(_openai(name), price)
    if provider and name:
        return RoleModel(_from_langchain(spec), price)
    raise ConfigurationError(f"unknown model {without_login(spec)!r}; {_FORMS}")


def in_process(spec: str) -> bool:
    """Whether a name stands for a model in this process."""
    return spec == "local" or spec.startswith(("local:", "hf:"))


async def call(
    model: RoleModel,
    messages: Sequence[BaseMessage],
    *,
    role: str,
    reading: Reading | None = None,
    stream: bool = True,
    runnable: Runnable[Any, Any] | None = None,
) -> AIMessage:
    """Calls a model once and books what it took on the current ledger; thoughts are taken out of the reply's text.

    Args:
        model: the model; its price turns tokens into cost.
        messages: the prompt; its system messages are joined at the beginning.
        role: who calls, for traces and error messages: `decomposer`, `solver` or `joiner`.
        reading: how the user's answer is read out of the reply; its text, and what is streamed of it in
            `stream_mode="messages"`, is then the answer. None if the reply is not for the user.
        stream: whether a reply for the user is streamed; otherwise the planner's node gives it in the end.
        runnable: `model.chat` with arguments bound, if it needs any.

    Raises:
        BudgetExceededError: the budget was used up before the call, or its time was up before the reply was there.
        CallTimeoutError: the call took longer, in all, than `Budget.call_timeout`.
        EndpointError: the model could not be reached, refused, or failed.
    """
    ledger, prompt = current() or Ledger(), [whole(message) for message in orderly(messages)]
    pictured = has_images(prompt)
    if pictured:
        check_reads_images(model, role)
    shown = reading is not None and stream
    config: RunnableConfig = {"tags": [f"anabranch:{role}", *([] if shown else [NOSTREAM])], "run_name": role}
    asked = runnable or model.chat
    with ledger.calling(lambda: expected_usage(prompt, model.price)):
        left, most = ledger.seconds_left(), ledger.budget.call_timeout
        try:
            heard = overheard(asked) if role == "decomposer" else None
            silent = asked if shown else unstreamed(asked)
            asking = _reply(model, heard or silent, reading, prompt, config, ledger)
            message = await within(asking, min(left, most))
        except TimeIsUp:
            ledger.add(role, usage_of(AIMessage(heard_so_far()), model.price, prompt))
            raise (ledger.time_is_up() if left <= most else _too_slow(role, most)) from None
        except asyncio.CancelledError:
            ledger.add(role, usage_of(AIMessage(heard_so_far()), model.price, prompt))
            raise
        except (AnabranchError, GraphBubbleUp):
            raise
        except Exception as error:
            if (message := ended_early(error)) is None:
                refused = pictured and _refuses_images(error)
                raise _own(error) or (_no_images(role) if refused else _failure(model, role, error)) from error
        if not isinstance(message, AIMessage):
            kind = type(message).__name__
            raise EndpointError(f"the {role} returned {kind} instead of a chat message; check the model")
        ledger.add(role, usage_of(message, model.price, prompt))
    if message.additional_kwargs.get(UNOPENED) or unopened_thoughts(str(message.text)):
        model.habits.add(_UNOPENED)
    message = held(whole(message))
    return message if reading else without_thoughts(message)


def check_reads_images(model: RoleModel, role: str) -> None:
    """Refuses images for a model that is known to read none.

    Raises:
        ImagesRefusedError: it reads none.
    """
    if model.chat._llm_type == LOCAL_TYPE or (model.chat.profile or {}).get("image_inputs") is False:
        raise _no_images(role)


def _refuses_images(error: Exception) -> bool:
    told = f"{words_of_error(error, 1000)} {words_of(error)[:1000]}"
    return getattr(error, "status_code", 0) in (400, 404, 415, 422, 500, 501) and bool(_ON_IMAGES.search(told))


def _no_images(role: str) -> ImagesRefusedError:
    return ImagesRefusedError(
        f"the {role}'s model does not take these images; send none, others, or name a {role} that reads images"
    )


async def _reply(
    model: RoleModel,
    runnable: Runnable[Any, Any],
    reading: Reading | None,
    prompt: list[BaseMessage],
    config: RunnableConfig,
    ledger: Ledger,
) -> Any:
    """A reply of at most as many tokens as the ledger has for it, as far as the model can be told."""

    async def ask(asked: Runnable[Any, Any]) -> Any:
        told = answering(asked, reading, thinks=_UNOPENED in model.habits) if reading else asked
        sent = without_system(prompt) if _NO_SYSTEM in model.habits else prompt
        try:
            if blocks(asked):
                # In a thread of its own: one that hangs must neither hold up others nor the end of the process.
                return await in_daemon_thread(lambda: told.invoke(sent, config))
            return await told.ainvoke(sent, config)
        except Exception as error:
            if _NO_SYSTEM in model.habits or not refuses_roles(error):
                raise
        model.habits.add(_NO_SYSTEM)
        return await ask(asked)

    most = answer_limit(runnable, ledger.budget.max_answer_tokens, ledger.tokens_left())
    if most is None or most >= min(model.too_many, default=math.inf):
        return await ask(runnable)
    try:
        return await ask(limited(runnable, most, at_call=_takes_max_tokens(model.chat)))
    except Exception as error:
        if getattr(error, "status_code", None) not in (400, 422) or "token" not in str(error).lower():
            raise
    # More than its server lets anybody ask for, such as more than its context has room for; or it is not known there.
    reply = await ask(runnable)
    model.too_many.add(most)
    return reply


def _takes_max_tokens(chat: BaseChatModel) -> bool:
    return chat._llm_type == LOCAL_TYPE or "openai_api_base" in type(chat).model_fields


def _failure(model: RoleModel, role: str, error: Exception) -> EndpointError:
    secret = getattr(model.chat, "openai_api_key", None)
    keys = [secret.get_secret_value()] if isinstance(secret, SecretStr) else []
    told = explain(role, error, *keys)
    if not _OWN_WORDS.isdisjoint(_names(error)):
        return EndpointError(told)
    return EndpointError(told, public=f"the {role} model failed: {type(error).__name__} ({_advice(error)})")


def explain(role: str, error: Exception, *secrets: str) -> str:
    """One line on why a model call failed and what to do, without these secrets."""
    told = " - ".join(filter(None, [one_line(error, *secrets), masked(words_of(error), *secrets)[:300]]))
    return f"the {role} model failed: {told} ({_advice(error)})"


def _advice(error: Exception) -> str:
    return next((_ADVICE[name] for name in _names(error) if name in _ADVICE), "check the model's settings")


def _names(error: Exception) -> list[str]:
    """The names of its class and the base classes: LangChain's packages derive from those of the provider's client."""
    return [class_.__name__.removeprefix("Model") for class_ in type(error).__mro__]


def _too_slow(role: str, seconds: float) -> CallTimeoutError:
    return CallTimeoutError(
        f"the {role} model did not end its reply within {seconds:g} s; raise call_timeout or ask less"
    )


def _own(error: BaseException | None) -> AnabranchError | None:
    """An error of ours behind one of the client's."""
    while error is not None and not isinstance(error, AnabranchError):
        error = error.__cause__
    return error


def _local(name: str, role: Role, progress: Callable[[str], None] | None) -> RoleModel:
    try:
        from anabranch.agents.local import LocalChatModel
    except ImportError as error:
        raise MissingExtraError(f"the in-process model needs: pip install 'anabranch[local]' ({error})") from error
    base, adapter = model_and_adapter(name or read_settings().local_model)
    chat = LocalChatModel(model=base, adapter=adapter or adapter_folder(role, base), progress=progress)
    return RoleModel(chat, Price(input=0, output=0), small=_is_small(chat))


def _hf(name: str, progress: Callable[[str], None] | None) -> RoleModel:
    try:
        from anabranch.agents.local.hf import TransformersChatModel
    except ImportError as error:
        raise MissingExtraError(f"hf: needs: pip install 'anabranch[hf]' ({error})") from error
    base, adapter = model_and_adapter(name)
    if not base:
        raise ConfigurationError("hf: names no model; write hf:HUB_ID, hf:FOLDER or hf:HUB_ID+ADAPTER")
    chat = TransformersChatModel(model=base, adapter=adapter, progress=progress)
    return RoleModel(chat, Price(input=0, output=0), small=_is_small(chat))


def _is_small(local: BaseChatModel) -> bool:
    return bool(getattr(local, "small", True))


def _openai(name: str) -> BaseChatModel:
    from anabranch.agents.endpoint import EndpointChatModel, timeouts

    try:
        return EndpointChatModel(model=name, stream_usage=True, timeout=timeouts(_READ_SECONDS))
    except Exception as error:
        raise ConfigurationError(
            f"openai:{name} cannot be used: {one_line(error, named=False)}; set OPENAI_API_KEY"
        ) from error


def _served(spec: str, role: Role) -> BaseChatModel:
    """A model behind an OpenAI-compatible address; its key, if it wants one, is in ANABRANCH_API_KEY."""
    from anabranch.agents.endpoint import EndpointChatModel, timeouts

    told, login = split_login(spec)
    address, _, name = told.partition("#")
    key = os.environ.get("ANABRANCH_API_KEY", "none")
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError("ANABRANCH_API_KEY has characters that a header cannot carry; check the key")
    chat = EndpointChatModel(
        model=name or listed_model(address, key, role, login),
        base_url=address,
        api_key=SecretStr(key),
        stream_usage=True,
        use_responses_api=False,
        temperature=0,
        timeout=timeouts(_READ_SECONDS),
    )
    chat.log_in(login)
    return chat


def _put_right(chat: BaseChatModel) -> BaseChatModel:
    """A `ChatOpenAI` with what models behind addresses have: limits, connections by loop, replies put right."""
    if (type(chat).__module__.partition(".")[0], type(chat).__name__) != ("langchain_openai", "ChatOpenAI"):
        return chat
    from anabranch.agents.endpoint import EndpointChatModel

    return EndpointChatModel.over(chat)  # type: ignore[arg-type]


def _from_langchain(spec: str) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtraError(f"{spec} needs: pip install langchain ({error})") from error
    try:
        model: BaseChatModel = init_chat_model(spec)
    except ImportError as error:
        raise MissingExtraError(f"{spec} needs another package: {error}") from error
    except Exception as error:  # each provider has its own errors for an unknown name or a missing key
        shown = without_login(f"{spec!r} cannot be used: {one_line(error, named=False)}")
        raise ConfigurationError(f"the model {shown}; {_FORMS}") from error
    return model
