"""Prompts by the hundred and thousand, a few at a time, with the replies kept as they come.

A run that stops half-way goes on where it was: a prompt whose reply is in the file already is not sent again, unless
its text, the model or the way it is sampled has changed. `chat` has the ways to a model; `write_jobs` and
`read_replies` go by way of a file in OpenAI's batch format, which `ray` and `vllm run-batch` answer.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from anabranch.agents.wire import whole_usage
from anabranch.batch.files import Answered, Body, LineFile, json_lines, read_jsonl, write_requests
from anabranch.errors import AnabranchError, BackendError, MissingReplyError

logger = logging.getLogger(__name__)

CONCURRENCY = 256
MAX_FAILURES_IN_A_ROW = 10
"""So many failures of models or servers one after the other mean that the rest would fail, too."""
_PROGRESS_SECONDS = 10.0
T = TypeVar("T")


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

    @classmethod
    def of(cls, id_: str, completion: Mapping[str, Any]) -> "Replies":
        """The samples of a chat completion.

        Raises:
            LookupError, TypeError, ValueError: it is none.
        """
        choices, usage = completion["choices"], whole_usage(completion.get("usage")) or {}
        return cls(
            id=id_,
            texts=[choice["message"]["content"] or "" for choice in choices],
            finished=[choice.get("finish_reason") != "length" for choice in choices],
            input_tokens=usage.get("prompt_tokens", 0),
            output_tokens=usage.get("completion_tokens", 0),
        )


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

    @classmethod
    def of(cls, n: int, temperature: float, max_tokens: int, seed: int) -> "Sampling":
        """Several samples at a temperature; a single one is greedy."""
        if n == 1:
            return cls(max_tokens=max_tokens)
        return cls(n, temperature, max_tokens, top_p=0.95, seed=seed)

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
        StorageError: the file cannot be written.
    """
    keys = {job.id: _key(job, sampling, model) for job in jobs}
    done = {id_: replies for id_, replies in _kept(out).items() if replies.key in ("", keys.get(id_))}
    if missing := [job for job in jobs if job.id not in done]:
        told = Counter(out.name, len(missing))
        with LineFile(out) as file:

            async def one(job: Job) -> None:
                replies = (await ask(job, sampling)).model_copy(update={"key": keys[job.id]})
                done[job.id] = replies
                file.add(replies.model_dump_json())
                told.count()

            await each(missing, one, concurrency)
    return [done[job.id] for job in jobs]


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Works on items in their order, so many at a time.

    After a failure no other is begun; those that are under way are paid for and end first.

    Raises:
        Exception: the first that `work` raised.
    """
    left, failures = iter(items), list[Exception]()

    async def go_on() -> None:
        for item in left:
            try:
                await work(item)
            except Exception as error:
                failures.append(error)
            if failures:
                return

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(go_on())
    if failures:
        raise failures[0]


@dataclass
class Streak:
    """Failures of models and servers, one after the other. What is wrong with one item says nothing about the next."""

    length: int = 0

    def note(self, *, unwell: bool, told: str = "") -> None:
        """Counts what became of an item.

        Args:
            unwell: whether a model or a server failed.
            told: how.

        Raises:
            BackendError: too many failures in a row.
        """
        self.length = self.length + 1 if unwell else 0
        if self.length >= MAX_FAILURES_IN_A_ROW:
            raise BackendError(f"stopped after {self.length} failures in a row; the last: {told}")


def is_unwell(error: Exception) -> bool:
    """Whether a model or a server failed, and not the item that was worked on."""
    return isinstance(error, BackendError) or not isinstance(error, AnabranchError)


class Counter:
    """Logs how many replies have come, now and then.

    Args:
        name: of the file they go to.
        total: how many are to come.
    """

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.come, self.said = name, total, 0, time.monotonic()

    def count(self) -> None:
        """Counts one."""
        self.come += 1
        if time.monotonic() - self.said > _PROGRESS_SECONDS or self.come == self.total:
            self.said = time.monotonic()
            logger.info("%s: %d of %d replies", self.name, self.come, self.total)


def write_jobs(path: Path, batches: Iterable[tuple[Sequence[Job], Sampling]], model: str) -> int:
    """Writes prompts in OpenAI's batch format; returns their number.

    Args:
        path: the file.
        batches: prompts, whose ids differ in all batches, and how their replies are to be drawn.
        model: its name where they are answered.

    Raises:
        BackendError: the file cannot be written.
    """
    bodies = ((job.id, body_of(job, model, sampling)) for jobs, sampling in batches for job in jobs)
    count = write_requests(path, bodies)
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
        elif not (answered := Answered.of(row)).error:
            found[answered.id] = Replies.of(answered.id, answered.body)
    missing = [job.id for job in jobs if job.id not in found]
    if missing:
        raise MissingReplyError(f"{path} lacks {len(missing)} of {len(jobs)} replies, such as {missing[0]}; add them")
    return [found[job.id] for job in jobs]


def body_of(job: Job, model: str, sampling: Sampling) -> Body:
    """The body of the chat completion that answers a prompt."""
    body = {"model": model, "messages": job.messages, **sampling.fields}
    return {**body, "structured_outputs": {"regex": job.pattern}} if job.pattern else body


def _key(job: Job, sampling: Sampling, model: str) -> str:
    text = json.dumps([job.messages, job.pattern, sampling.fields, model], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(path: Path) -> dict[str, Replies]:
    """The replies of earlier runs, by id; a line of another kind is passed over."""
    found: dict[str, Replies] = {}
    for line in json_lines(path) if path.is_file() else ():
        try:
            replies = Replies.model_validate(line.value)
        except ValidationError:
            continue
        found[replies.id] = replies
    return found
