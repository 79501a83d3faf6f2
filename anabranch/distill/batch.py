"""Many prompts to an OpenAI-compatible server at once, with the replies kept as they come.

A run that stops half-way goes on where it was: prompts whose replies are in the file already are not sent again.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict

from anabranch.errors import EndpointError

logger = logging.getLogger(__name__)

CONCURRENCY = 256
_RETRIES = 3


class Job(BaseModel):
    """One prompt.

    Attributes:
        id: unique in its batch.
        messages: the prompt.
        pattern: regular expression that the reply must match (vLLM's structured outputs).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    messages: list[dict[str, str]]
    pattern: str | None = None


class Replies(BaseModel):
    """What came back for one prompt; `finished` says for each text that it was not cut off."""

    model_config = ConfigDict(frozen=True)

    id: str
    texts: list[str]
    finished: list[bool]
    input_tokens: int = 0
    output_tokens: int = 0


async def run_jobs(
    jobs: Sequence[Job],
    out: Path,
    *,
    url: str,
    model: str,
    key: str = "none",
    transport: httpx.AsyncBaseTransport | None = None,
    **sampling: Any,
) -> list[Replies]:
    """Sends all prompts that have no replies yet.

    Args:
        jobs: the prompts.
        out: file of JSON lines that the replies are added to.
        url: address of the server, up to `/v1`.
        model: the model's name on the server.
        key: the server's key.
        transport: another way to the server, for tests.
        **sampling: fields of the request, such as `n`, `temperature`, `max_tokens`, `seed`.

    Returns:
        The replies, in the order of the jobs.

    Raises:
        EndpointError: a prompt failed several times; what came back before is in `out`.
    """
    done = _read(out)
    missing = [job for job in jobs if job.id not in done]
    gate = asyncio.Semaphore(CONCURRENCY)
    limits = httpx.Limits(max_connections=CONCURRENCY)
    headers = {"Authorization": f"Bearer {key}"}
    out.parent.mkdir(parents=True, exist_ok=True)
    async with httpx.AsyncClient(timeout=300, limits=limits, headers=headers, transport=transport) as client:
        with out.open("a", encoding="utf-8") as sink:

            async def one(job: Job) -> None:
                async with gate:
                    replies = await _ask(client, f"{url.rstrip('/')}/chat/completions", job, model, sampling)
                done[job.id] = replies
                sink.write(replies.model_dump_json() + "\n")

            try:
                async with asyncio.TaskGroup() as group:
                    for job in missing:
                        group.create_task(one(job))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None
    return [done[job.id] for job in jobs]


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


async def _ask(client: httpx.AsyncClient, url: str, job: Job, model: str, sampling: Mapping[str, Any]) -> Replies:
    body = {"model": model, "messages": job.messages, **sampling}
    if job.pattern:
        body["structured_outputs"] = {"regex": job.pattern}
    problem = ""
    for attempt in range(_RETRIES):
        try:
            response = await client.post(url, json=body)
            if response.status_code < 400:
                return _replies(job.id, response.json())
            problem = f"{response.status_code}: {response.text[:300]}"
            if response.status_code in (400, 401, 403, 404, 422):
                break
        except (httpx.HTTPError, json.JSONDecodeError, LookupError, TypeError) as error:
            problem = f"{type(error).__name__}: {error}"
        await asyncio.sleep(attempt)
    raise EndpointError(f"prompt {job.id} failed at {url}: {problem}; check the server and run again to go on")


def _replies(id_: str, data: Mapping[str, Any]) -> Replies:
    choices, usage = data["choices"], data.get("usage") or {}
    return Replies(
        id=id_,
        texts=[choice["message"]["content"] or "" for choice in choices],
        finished=[choice.get("finish_reason") != "length" for choice in choices],
        input_tokens=usage.get("prompt_tokens", 0),
        output_tokens=usage.get("completion_tokens", 0),
    )
