"""The way from a model's name, as everywhere in the package, to its replies to many prompts.

A server is asked without LangChain: in one request for all samples of a prompt, at half the processor time.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import convert_to_messages

from anabranch.addresses import masked, without_login
from anabranch.agents.adapters import Role
from anabranch.agents.models import LOCAL_TYPE, RoleModel, call, resolve_model
from anabranch.agents.reply import ending
from anabranch.batch.files import Body
from anabranch.batch.jobs import CONCURRENCY, Ask, Job, Replies, Sampling, body_of, read_replies, run_jobs
from anabranch.bounds import CALL_SECONDS
from anabranch.config import Price
from anabranch.errors import ConfigurationError, EndpointError
from anabranch.fetching import certificates, whole_body
from anabranch.plan import Usage

Model = str | BaseChatModel | RoleModel
Part = Role | Literal["teacher"]
BATCH = "batch:"
"""Begins the name of a model that is asked elsewhere, by way of files: `batch:NAME`."""
POOL = 16
"""Prompts under way in each of a server's clients: for each of them httpx looks at all of its client's connections."""
_RETRIES = 3


@dataclass
class Server:
    """A model behind an OpenAI-compatible address.

    Attributes:
        url: up to `/v1`.
        model: its name there.
        key: the server's key.
        transport: another way to it, for tests.
    """

    url: str
    model: str
    key: str = "none"
    transport: httpx.AsyncBaseTransport | None = None
    _clients: list[httpx.AsyncClient] = field(default_factory=list, init=False, repr=False)
    _turn: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)

    async def __aenter__(self) -> "Server":
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=2 * POOL)
        headers = {"Authorization": f"Bearer {self.key}", "Accept-Encoding": "identity"}
        verify = certificates()
        shared: Any = {"timeout": CALL_SECONDS, "limits": limits, "headers": headers, "verify": verify}
        self._clients = [httpx.AsyncClient(transport=self.transport, **shared) for _ in range(CONCURRENCY // POOL)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()
        self._clients = []

    async def __call__(self, job: Job, sampling: Sampling) -> Replies:
        """Gets the replies to one prompt.

        Raises:
            EndpointError: the server refuses, or failed several times.
        """
        status, said = await self.post(body_of(job, self.model, sampling))
        if status == 200:
            return Replies.of(job.id, said)
        problem = f"{status}: {json.dumps(said, ensure_ascii=False)[:300]}"
        told = masked(f"prompt {job.id} failed at {without_login(self.url)}: {problem}", self.key)
        raise EndpointError(f"{told}; check the server and run again to go on")

    async def post(self, body: Body) -> tuple[int, Any]:
        """Sends a request; tries again what may go better then.

        Args:
            body: a chat completion's.

        Returns:
            200 and the completion; or the status, 0 where nothing came, and the reason in OpenAI's form.

        Raises:
            EndpointError: the server is used outside its context.
        """
        if not self._clients:
            raise EndpointError(f"{without_login(self.url)} is closed; use the server as an async context manager")
        status, said = 0, dict[str, Any]()
        for attempt in range(_RETRIES):
            await asyncio.sleep(attempt)
            try:
                status, said = await self._once(body)
            except TimeoutError:
                status, said = 0, _error(f"no reply within {CALL_SECONDS:g} s")
            except (EndpointError, httpx.HTTPError) as error:
                status, said = 0, _error(f"{type(error).__name__}: {error}")
            if 0 < status < 500 and status not in (408, 429):
                break
        return status, said

    async def _once(self, body: Body) -> tuple[int, dict[str, Any]]:
        client = self._clients[next(self._turn) % len(self._clients)]
        address = f"{self.url.rstrip('/')}/chat/completions"
        async with asyncio.timeout(CALL_SECONDS), client.stream("POST", address, json=body) as response:
            read = await whole_body(response)
        return _told(response.status_code, read)


def _told(status: int, read: bytes) -> tuple[int, dict[str, Any]]:
    """Status and body of a reply; 502 for a completion that is none."""
    try:
        said = json.loads(read)
        if status == 200:
            Replies.of("", said)
        return status, dict(said)
    except (ValueError, LookupError, TypeError) as error:
        problem = _error(f"{type(error).__name__}: {read[:300].decode(errors='replace')}")
        return 502 if status == 200 else status, problem


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


@dataclass
class Chat:
    """Any chat model; the in-process one is held to a job's pattern.

    Attributes:
        model: the model.
        role: what it is asked as, for traces and error messages.
    """

    model: RoleModel
    role: str

    async def __call__(self, job: Job, sampling: Sampling) -> Replies:
        """Gets the replies to one prompt, one call for each sample.

        Raises:
            EndpointError: the model could not be reached, refused, or failed.
        """
        messages = convert_to_messages(job.messages)
        texts, finished, tokens = [], [], (0, 0)
        for number in range(sampling.n):
            options = {name: value for name, value in sampling.fields.items() if name not in ("n", "top_p")}
            if sampling.seed is not None:
                options["seed"] = sampling.seed + number
            local = self.model.chat._llm_type == LOCAL_TYPE
            if local and job.pattern:
                options["pattern"] = job.pattern
            if sampling.top_p is not None and not local:
                options["top_p"] = sampling.top_p
            reply = await call(self.model, messages, role=self.role, runnable=self.model.chat.bind(**options))
            texts.append(str(reply.text))
            finished.append(ending(reply) != "cut")
            usage = reply.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
            tokens = (tokens[0] + usage["input_tokens"], tokens[1] + usage["output_tokens"])
        return Replies(id=job.id, texts=texts, finished=finished, input_tokens=tokens[0], output_tokens=tokens[1])


async def answered(
    jobs: Sequence[Job], out: Path, model: Model, *, role: Part, sampling: Sampling, replies: Path | None = None
) -> list[Replies]:
    """Gets the replies to prompts; a run that was stopped goes on where it was.

    Args:
        jobs: the prompts.
        out: file of JSON lines that keeps the replies.
        model: a name such as `local`, `http://host:8000/v1#MODEL` or `openai:MODEL`, or a chat model.
        role: what it is for; decides which adapter the in-process model wears (as a teacher, none).
        sampling: how replies are drawn.
        replies: what the model answered elsewhere; it is not asked then.

    Raises:
        ConfigurationError, MissingExtraError: the model's name cannot be used.
        DocumentError, MissingReplyError: `replies` cannot be read, or lacks some.
        EndpointError: the model failed; what came back before is in `out`.
        BackendError: the file cannot be written.
    """
    if replies is not None:
        found = {each.id: each for each in read_replies(replies, jobs)}

        async def told(job: Job, _sampling: Sampling) -> Replies:
            return found[job.id]

        return await run_jobs(jobs, out, told, sampling, model=name_of(model))
    async with opened(model, role) as (ask, name, concurrency):
        return await run_jobs(jobs, out, ask, sampling, model=name, concurrency=concurrency)


def spent(replies: Sequence[Replies], price: Price | None = None) -> dict[str, Any]:
    """What replies took, for a manifest: prompts, tokens and, where the price is known, dollars."""
    read, written = (sum(getattr(reply, f"{way}_tokens") for reply in replies) for way in ("input", "output"))
    usage = Usage(input_tokens=read, output_tokens=written, calls=len(replies))
    cost = {"usd": round(price.of(usage), 4)} if price else {}
    return {"prompts": len(replies), "input_tokens": read, "output_tokens": written, **cost}


@asynccontextmanager
async def opened(model: Model, role: Part) -> AsyncIterator[tuple[Ask, str, int]]:
    """The way to a model, its name, and how many prompts it takes at a time; arguments and errors as for `answered`."""
    resolved = _resolved(model, role)
    chat, name = resolved.chat, name_of(resolved)
    address = getattr(chat, "openai_api_base", None)
    if isinstance(model, str) and model.startswith(("http://", "https://")) and address:
        key = getattr(chat, "openai_api_key", None)
        secret = key.get_secret_value() if key else "none"
        # One request for all samples of a prompt, which the server then reads once.
        async with Server(str(address), name, secret) as server:
            yield server, name, CONCURRENCY
        return
    yield Chat(resolved, role), name, 1 if resolved.small else 16


def elsewhere(model: Model | None) -> TypeGuard[str]:
    """Whether a model is asked elsewhere, by way of files.

    Raises:
        ConfigurationError: it has no name.
    """
    if model == BATCH:
        raise ConfigurationError(f"the model {BATCH} has no name; write for example {BATCH}qwen")
    return isinstance(model, str) and model.startswith(BATCH)


def name_of(model: Model) -> str:
    """A model's name, for manifests and file names."""
    if isinstance(model, str):
        return without_login(model.removeprefix(BATCH))
    chat = model.chat if isinstance(model, RoleModel) else model
    adapter = getattr(chat, "adapter", None)
    return str(getattr(chat, "model_name", None) or chat._llm_type) + (f"+{adapter}" if adapter else "")


def _resolved(model: Model, role: Part) -> RoleModel:
    if role != "teacher":
        return resolve_model(model, role=role)
    if isinstance(model, str) and model.partition(":")[0] == "local":
        # The shipped solver's adapter has learnt to answer in a word.
        from anabranch.agents.local import LocalChatModel

        model = LocalChatModel(model=model.partition(":")[2] or None)
    return resolve_model(model)
