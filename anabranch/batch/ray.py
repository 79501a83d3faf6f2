"""Answers a file of prompts in OpenAI's batch format with Ray Data, on all machines of a Ray cluster.

```
python -m anabranch.batch.ray requests.jsonl replies.jsonl --url http://host:8000/v1 --workers 4
python -m anabranch.batch.ray requests.jsonl replies.jsonl --model MODEL --workers 2
```

With `--url`, workers ask a server that is there already; with `--model`, each is a vLLM engine on a GPU of the cluster
(`pip install 'ray[llm]'`). Batches, their places, and replacing workers that died are Ray's. Both files are on this
machine. A run that stops goes on where it was, and a prompt that failed is asked again by the next run.
The engines were tried with vLLM's CPU build only, where Ray was told of a GPU; they have NOT been run on a real one.
Source: https://docs.ray.io/en/latest/data/working-with-llms.html
"""

import argparse
import asyncio
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from anabranch.batch.files import Answered, LineFile, read_requests, read_rows
from anabranch.batch.jobs import Counter
from anabranch.errors import BackendError, ConfigurationError, MissingExtraError, MissingReplyError, as_script

BATCH = 64
"""Prompts that are sent, and kept, together. A worker has one batch at a time, an engine up to eight."""
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 512, "seed": 0, "structured_outputs": None}
"""What an engine is told where a request says nothing. A missing number would make floats of its column's integers."""
Row = Mapping[str, Any]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """Who answers: a server at `url`, or else engines of `model`.

    Attributes:
        url: up to `/v1`; its key, if it wants one, is in ANABRANCH_API_KEY.
        model: hub id, or a folder that each machine has.
        workers: processes that ask the server, or most engines.
        engine: engine arguments of vLLM.
    """

    url: str | None = None
    model: str | None = None
    workers: int = 1
    engine: dict[str, Any] = field(default_factory=dict)


def answer(requests: Path, replies: Path, way: Way) -> None:
    """Gets a reply to each request that has none.

    Args:
        requests: JSON lines with `custom_id` and `body`, a chat completion's; other lines are reported and left out.
        replies: gets JSON lines with `custom_id` and `response` (`status_code`, `body`), as they come.
        way: who answers.

    Raises:
        DocumentError, ConfigurationError: the requests cannot be read, or none can be used.
        MissingExtraError, BackendError: Ray is not installed or gave up, or the replies cannot be written.
        MissingReplyError: requests failed; their lines in `replies` say why. The others are answered.
    """
    bad: dict[str, list[str]] = {}
    wanted = read_requests(requests, bad)
    for reason, places in bad.items():
        logger.warning("%d requests left out, %s: %s", len(places), reason, ", ".join(places[:5]))
    if not wanted:
        raise ConfigurationError(f"no line of {requests} can be used; it wants custom_id and body.messages in each")
    rows = read_rows(replies, {"custom_id": str, "response": dict}, {}) if replies.is_file() else ()
    done = {row["custom_id"] for row in rows if row["response"].get("status_code") == 200}
    left = {id_: body for id_, body in wanted.items() if id_ not in done}
    logger.info("%d requests, %d answered before", len(wanted), len(wanted) - len(left))
    if lacking := _ask(left, replies, way) if left else {}:
        id_, problem = next(iter(lacking.items()))
        told = f"{len(lacking)} of {len(wanted)} requests have no reply in {replies}, such as {id_} ({problem})"
        raise MissingReplyError(f"{told}; see to it and run again: only these are asked")


def _ask(left: Mapping[str, Row], replies: Path, way: Way) -> dict[str, str]:
    """Asks, and writes what comes; returns what is wrong with those that have no reply in the end."""
    lacking, told = dict.fromkeys(left, "nothing came back"), Counter(replies.name, len(left))
    with LineFile(replies) as file:
        for id_, status, body in _replies(left, way):
            file.add(Answered(id_, status, body).line())
            told.count()
            lacking[id_] = f"{status}: {json.dumps(body, ensure_ascii=False)[:300]}"
            if status == 200:
                del lacking[id_]
    return lacking


def _replies(left: Mapping[str, Row], way: Way) -> Iterator[tuple[str, int, Any]]:
    """Id, status and body of each reply, in the order in which Ray brings them."""
    parts: dict[str, list[Row]] = {}
    try:
        import ray

        answering = processor(way)  # before Ray starts: it says what is not installed
        rows = [row for id_, body in left.items() for row in _rows(id_, body, each_sample=not way.url)]
        data = ray.data.from_items(rows, override_num_blocks=math.ceil(len(rows) / BATCH))
        for row in answering(data).iter_rows():
            id_ = row["custom_id"]
            samples, mine = left[id_].get("n") or 1, parts.setdefault(id_, [])
            mine.append(row)
            if way.url or len(mine) == samples:
                yield id_, *merged(parts.pop(id_), samples)
    except ImportError as error:
        extra = "'anabranch[scale]'" if way.url else "'anabranch[scale]' 'ray[llm]'"
        raise MissingExtraError(f"answering with Ray Data needs: pip install {extra} ({error})") from error
    except Exception as error:
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BackendError(f"Ray gave up ({told}); see its log, and run again to go on: what came is kept") from error


def _rows(id_: str, body: Row, *, each_sample: bool) -> Iterator[Row]:
    """A request as a row, or as one for each sample: Ray's engines return no more than one.

    Bodies are text. As columns, a field that only some of them have would become null in the others.
    """
    for sample in range(body.get("n") or 1) if each_sample else ():
        yield {"custom_id": id_, "body": json.dumps({**body, "seed": (body.get("seed") or 0) + sample})}
    if not each_sample:
        yield {"custom_id": id_, "body": json.dumps(body)}


def merged(parts: Sequence[Row], samples: int) -> tuple[int, Any]:
    """Status and body of a reply from what workers gave: one part with all samples, or one for each."""
    bodies: list[dict[str, Any]] = []
    for part in parts:
        if error := part.get("__inference_error__"):
            return 500, {"error": {"message": error}}
        try:
            bodies.append(dict(json.loads(part["body"])))
        except (TypeError, ValueError):  # a proxy's page, for example
            bodies.append({"error": {"message": part["body"][:300]}})
        if part["status_code"] != 200:
            return part["status_code"], bodies[-1]
    choices = [choice for body in bodies for choice in body.get("choices") or ()]
    if len(choices) < samples:
        return 502, {"error": {"message": f"{len(choices)} of {samples} samples: {json.dumps(bodies[0])[:300]}"}}
    usages = [body.get("usage") or {} for body in bodies]
    usage = {**usages[0], "completion_tokens": sum(each.get("completion_tokens", 0) for each in usages)}
    return 200, {**bodies[0], "choices": choices, "usage": usage}


def processor(way: Way) -> Any:
    """Ray's processor: rows with `custom_id` and `body` in; with `custom_id`, `status_code` and `body` out."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor, vLLMEngineProcessorConfig

    if not way.url:
        engines = {"model_source": way.model, "engine_kwargs": dict(way.engine), "concurrency": way.workers}
        config = vLLMEngineProcessorConfig(
            **engines,
            batch_size=BATCH,
            should_continue_on_error=True,
            log_engine_metrics=False,  # they need Ray Serve in each engine's environment
        )
        return build_processor(config, preprocess=to_engine, postprocess=from_engine)
    asking = HttpRequestProcessorConfig(
        url=f"{way.url.rstrip('/')}/chat/completions",
        headers={"Authorization": f"Bearer {os.environ.get('ANABRANCH_API_KEY', 'none')}"},
        batch_size=BATCH,
        concurrency=(way.workers, way.workers),
        session_factory=Session,
        http_request_stage={"num_cpus": 0.1},  # it waits for the server
    )
    return build_processor(
        asking,
        preprocess=lambda row: {"payload": row["body"]},
        postprocess=lambda row: {"custom_id": row["custom_id"], **row["http_response"]},
    )


class Session:
    """The HTTP session of Ray's stage, with which a batch is under way at once and a failure is a reply like others.

    With aiohttp's own, the stage sends one request after the other, does not tell their statuses, and ends the run
    where one fails.
    """

    async def __aenter__(self) -> Self:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=1800, sock_connect=30)
        self.inner = aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.inner.close()

    def post(self, url: str, *, headers: Mapping[str, str], data: str) -> "asyncio.Task[Any]":
        """Sends a request: `data` is the body, as text that Ray has made JSON once more."""
        return asyncio.create_task(self._post(url, headers, json.loads(data)))

    async def _post(self, url: str, headers: Mapping[str, str], body: str) -> Any:
        import aiohttp

        status, text = 0, ""
        for attempt in range(3):
            await asyncio.sleep(attempt)
            try:
                async with self.inner.post(url, headers=headers, data=body) as response:
                    status, text = response.status, await response.text()
            except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
                status, text = 0, f"{type(error).__name__}: {error}"
            if 0 < status < 500 and status not in (408, 429):
                break

        async def told() -> dict[str, Any]:
            return {"status_code": status, "body": text}

        return nullcontext(SimpleNamespace(status=200, json=told))


def to_engine(row: Row) -> dict[str, Any]:
    """Prompt and sampling; each setting is named, as those that only other rows have would be null in this one."""
    body = json.loads(row["body"])
    sampling = {name: default if body.get(name) is None else body[name] for name, default in SAMPLING.items()}
    return {"messages": body["messages"], "sampling_params": sampling}


def from_engine(row: Row) -> dict[str, Any]:
    """A sample as a chat completion; one with as many tokens as allowed is taken for cut off, as Ray does not tell."""
    written = int(row["num_generated_tokens"])
    choice = {
        "message": {"role": "assistant", "content": row["generated_text"]},
        "finish_reason": "length" if written == json.loads(row["body"]).get("max_tokens") else "stop",
    }
    usage = {"prompt_tokens": int(row["num_input_tokens"]), "completion_tokens": written}
    body = {"object": "chat.completion", "choices": [choice], "usage": usage}
    return {"custom_id": row["custom_id"], "status_code": 200, "body": json.dumps(body)}


def main() -> None:
    """Reads a command line: `... REQUESTS REPLIES --url ADDRESS`, or `--model MODEL`."""
    parser = argparse.ArgumentParser(description="Answers requests in OpenAI's batch format with Ray Data.")
    parser.add_argument("requests", type=Path)
    parser.add_argument("replies", type=Path, help="added to; what it has a reply to is not asked again")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--url", help="address of an OpenAI-compatible server, up to /v1")
    who.add_argument("--model", help="hub id or folder of a model, to run with vLLM on the cluster's GPUs")
    parser.add_argument("--workers", type=int, default=1, help=f"processes that ask {BATCH} at a time; or most engines")
    parser.add_argument("--engine", type=json.loads, default={}, metavar="JSON", help="engine arguments of vLLM")
    given = vars(parser.parse_args())
    requests, replies = given.pop("requests"), given.pop("replies")
    as_script(lambda: answer(requests, replies, Way(**given)))


if __name__ == "__main__":
    main()
