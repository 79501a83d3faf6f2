"""Many prompts to a model at once, with the replies kept as they come.

A run that stops half-way goes on where it was: a prompt whose reply is in the file already is not sent again, unless
its text, the model or the way it is sampled has changed. Three ways to a model: an OpenAI-compatible server (`Server`),
any chat model (`chat.Chat`), or none here: `write_requests` and `read_replies` go by way of a file in OpenAI's batch
format, which `ray_batch` answers.
"""

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict

from anabranch.addresses import masked, without_login
from anabranch.agents.wire import whole_usage
from anabranch.config import CALL_SECONDS
from anabranch.distill.files import read_jsonl, write_jsonl
from anabranch.errors import BackendError, EndpointError, MissingReplyError
from anabranch.fetching import certificates, whole_body
from anabranch.private import private, private_folder

logger = logging.getLogger(__name__)

CONCURRENCY = 256
POOL = 16
"""Prompts under way in each of a server's clients: for each of them httpx looks at all of its client's connections."""
_RETRIES = 3
_PROGRESS_SECONDS = 10.0


class Job(BaseModel):
    """One prompt.

    Attributes:
        id: unique in its batch.
        messages: the prompt.
        pattern: regular expression that the reply must match, where the model can be held to one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    messages: list[dict[str, str]]
    pattern: str | None = None


class Replies(BaseModel):
    """What came back for one prompt.

    Attributes:
        id: the job's.
        texts: the samples.
        finished: says for each text that it was not cut off.
        input_tokens: read, once for all samples.
        output_tokens: written, in all samples.
        key: hash of the prompt, the model and how it was sampled; empty where that is not known.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    texts: list[str]
    finished: list[bool]
    input_tokens: int = 0
    output_tokens: int = 0
    key: str = ""


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn.

    Attributes:
        n: samples of each prompt.
        temperature: 0 takes the most probable token each time.
        max_tokens: most tokens of a reply.
        top_p: share of the probability that is drawn from.
        seed: makes sampling repeatable, as far as the model's server does.
    """

    n: int = 1
    temperature: float = 0.0
    max_tokens: int = 512
    top_p: float | None = None
    seed: int | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a request."""
        given = {name: getattr(self, name) for name in ("n", "temperature", "max_tokens", "top_p", "seed")}
        return {name: value for name, value in given.items() if value is not None and (name, value) != ("n", 1)}


Ask = Callable[[Job, Sampling], Awaitable[Replies]]
"""Gets the replies to one prompt."""


async def run_jobs(
    jobs: Sequence[Job], out: Path, ask: Ask, sampling: Sampling, *, model: str = "", concurrency: int = CONCURRENCY
) -> list[Replies]:
    """Sends all prompts that have no replies yet.

    Args:
        jobs: the prompts.
        out: file of JSON lines that the replies are added to.
        ask: the way to the model.
        sampling: how replies are drawn.
        model: the model's name: replies of another are not taken.
        concurrency: prompts under way at a time.

    Returns:
        The replies, in the order of the jobs.

    Raises:
        EndpointError: a prompt failed; what came back before, or was under way, is in `out`.
        BackendError: the file cannot be written.
    """
    keys = {job.id: _key(job, sampling, model) for job in jobs}
    done = {id_: replies for id_, replies in _read(out).items() if replies.key in ("", keys.get(id_))}
    missing = [job for job in jobs if job.id not in done]
    if missing:
        sink = Sink(out, len(missing))
        gate = asyncio.Semaphore(concurrency)

        async def one(job: Job) -> None:
            async with gate:
                if sink.failure:
                    return
                try:
                    replies = (await ask(job, sampling)).model_copy(update={"key": keys[job.id]})
                    done[job.id] = replies
                    sink.write(replies.model_dump_json())
                except Exception as error:
                    # The others that are under way are paid for: they are let finish.
                    sink.failure = sink.failure or error

        try:
            await asyncio.gather(*(one(job) for job in missing))
        finally:
            sink.close()
        sink.check()
    return [done[job.id] for job in jobs]


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
        if not self._clients:
            raise EndpointError(f"{without_login(self.url)} is closed; use the server as an async context manager")
        address, body, problem = f"{self.url.rstrip('/')}/chat/completions", _body(job, self.model, sampling), ""
        for attempt in range(_RETRIES):
            await asyncio.sleep(attempt)
            try:
                client = self._clients[next(self._turn) % len(self._clients)]
                async with asyncio.timeout(CALL_SECONDS), client.stream("POST", address, json=body) as response:
                    read = await whole_body(response)
                if response.status_code < 400:
                    return _replies(job.id, json.loads(read))
                problem = f"{response.status_code}: {read[:300].decode(errors='replace')}"
                if response.status_code in (400, 401, 403, 404, 422):
                    break
            except TimeoutError:
                problem = f"no reply within {CALL_SECONDS:g} s"
            except (EndpointError, httpx.HTTPError, ValueError, LookupError, TypeError) as error:
                problem = f"{type(error).__name__}: {error}"
        told = masked(f"prompt {job.id} failed at {address}: {problem}", self.key)
        raise EndpointError(f"{told}; check the server and run again to go on")


def write_requests(path: Path, batches: Iterable[tuple[Sequence[Job], Sampling]], model: str) -> int:
    """Writes prompts in OpenAI's batch format, which `ray_batch` and `vllm run-batch` answer; returns their number.

    Args:
        path: the file.
        batches: prompts, whose ids differ in all batches, and how their replies are to be drawn.
        model: its name where they are answered.

    Raises:
        BackendError: the file cannot be written.

    Source: https://platform.openai.com/docs/guides/batch
    """
    head = {"method": "POST", "url": "/v1/chat/completions"}
    bodies = ((job.id, _body(job, model, sampling)) for jobs, sampling in batches for job in jobs)
    count = write_jsonl(path, ({"custom_id": id_, **head, "body": body} for id_, body in bodies))
    logger.info("%d prompts in %s; answer them and give the answers as replies", count, path)
    return count


def read_replies(path: Path, jobs: Sequence[Job]) -> list[Replies]:
    """Reads the replies to prompts, in OpenAI's batch format or as `run_jobs` writes them, in the order of the jobs.

    Raises:
        DocumentError: the file cannot be read.
        MissingReplyError: some prompts have none.
    """
    found: dict[str, Replies] = {}
    for row in read_jsonl(path):
        if "custom_id" not in row:
            found[str(row.get("id"))] = Replies.model_validate({"finished": [True] * len(row.get("texts", [])), **row})
        elif (row.get("response") or {}).get("status_code") == 200:
            found[row["custom_id"]] = _replies(row["custom_id"], row["response"]["body"])
    missing = [job.id for job in jobs if job.id not in found]
    if missing:
        raise MissingReplyError(f"{path} lacks {len(missing)} of {len(jobs)} replies, such as {missing[0]}; add them")
    return [found[job.id] for job in jobs]


class Sink:
    """A file of replies, written line by line, and what there is to say of it.

    Args:
        out: the file, which is added to.
        total: how many lines are to come.

    Raises:
        BackendError: the file cannot be written.
    """

    def __init__(self, out: Path, total: int) -> None:
        self.path, self.total, self.count = out, total, 0
        self.failure: Exception | None = None
        self.said = time.monotonic()
        try:
            private_folder(out.parent)
            end = _whole(out)
            self.file = open(out, "a", encoding="utf-8", buffering=1, opener=private)  # noqa: SIM115
            self.file.write(end)
        except OSError as error:
            raise BackendError(f"cannot write {out}: {error}; make room and run again to go on") from error

    def write(self, line: str) -> None:
        """Adds a line."""
        self.file.write(line + "\n")
        self.count += 1
        if time.monotonic() - self.said > _PROGRESS_SECONDS or self.count == self.total:
            self.said = time.monotonic()
            logger.info("%s: %d of %d replies", self.path.name, self.count, self.total)

    def close(self) -> None:
        """Closes the file; `check` says whether that went well."""
        try:
            self.file.close()
        except OSError as error:
            self.failure = self.failure or error

    def check(self) -> None:
        """Raises `failure`, if there is one, as a BackendError where the file is at fault."""
        if isinstance(self.failure, OSError):
            raise BackendError(f"cannot write {self.path}: {self.failure}; make room and run again to go on")
        if self.failure:
            raise self.failure


def _whole(path: Path) -> str:
    """Cuts off the half line of a run that was killed; returns what the last line still needs."""
    if not path.is_file():
        return ""
    written = path.read_bytes()
    begin = written.rfind(b"\n") + 1
    if not written[begin:]:
        return ""
    try:
        json.loads(written[begin:])
    except ValueError:
        with path.open("r+b") as file:
            file.truncate(begin)
        return ""
    return "\n"


def _key(job: Job, sampling: Sampling, model: str) -> str:
    text = json.dumps([job.messages, job.pattern, sampling.fields, model], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Replies]:
    if not path.is_file():
        return {}
    found: dict[str, Replies] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            replies = Replies.model_validate_json(line)
        except ValueError:  # the last line of a run that was stopped may be cut
            continue
        found[replies.id] = replies
    return found


def _body(job: Job, model: str, sampling: Sampling) -> dict[str, Any]:
    body = {"model": model, "messages": job.messages, **sampling.fields}
    return {**body, "structured_outputs": {"regex": job.pattern}} if job.pattern else body


def _replies(id_: str, data: Mapping[str, Any]) -> Replies:
    choices, usage = data["choices"], whole_usage(data.get("usage")) or {}
    return Replies(
        id=id_,
        texts=[choice["message"]["content"] or "" for choice in choices],
        finished=[choice.get("finish_reason") != "length" for choice in choices],
        input_tokens=usage.get("prompt_tokens", 0),
        output_tokens=usage.get("completion_tokens", 0),
    )
