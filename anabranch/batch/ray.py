"""Answers a file of prompts in OpenAI's batch format: from a server, or with Ray Data on all machines of a cluster.

```
python -m anabranch.batch.ray requests.jsonl replies.jsonl --url http://host:8000/v1 --workers 4
python -m anabranch.batch.ray requests.jsonl replies.jsonl --model MODEL --workers 2
```

With `--url`, a server that is there already is asked, without Ray; with `--model`, each worker is a vLLM engine on a
GPU of the cluster (`pip install 'ray[llm]'`). Batches, their places, and replacing workers that died are Ray's. Both
files are on this machine. A run that stops goes on where it was, and a prompt that failed is asked again by the next.
The engines were tried with vLLM's CPU build only, where Ray was told of a GPU; they have NOT been run on a real one.
Source: https://docs.ray.io/en/latest/data/working-with-llms.html
"""

import argparse
import asyncio
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anabranch.batch.files import Answered, LineFile, read_requests, read_rows
from anabranch.batch.jobs import Counter, each
from anabranch.errors import BackendError, ConfigurationError, MissingExtraError, MissingReplyError, as_script

BATCH = 64
"""Prompts that are sent together: a server has so many under way for each worker, an engine up to eight times that."""
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
        workers: how many times `BATCH` prompts are under way at the server; or most engines.
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

        def keep(id_: str, status: int, body: Any) -> None:
            file.add(Answered(id_, status, body).line())
            told.count()
            lacking[id_] = f"{status}: {json.dumps(body, ensure_ascii=False)[:300]}"
            if status == 200:
                del lacking[id_]

        if way.url:
            asyncio.run(_ask_server(left, way.url, keep, BATCH * way.workers))
        else:
            for id_, status, body in _engines(left, way):
                keep(id_, status, body)
    return lacking


async def _ask_server(
    left: Mapping[str, Row], url: str, keep: Callable[[str, int, Any], None], concurrency: int
) -> None:
    from anabranch.batch.chat import Server

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each request
    async with Server(url, "", os.environ.get("ANABRANCH_API_KEY", "none")) as server:

        async def one(item: tuple[str, Row]) -> None:
            keep(item[0], *await server.post(item[1]))

        await each(left.items(), one, concurrency)


def _engines(left: Mapping[str, Row], way: Way) -> Iterator[tuple[str, int, Any]]:
    """Id, status and body of each reply, in the order in which Ray brings them."""
    parts: dict[str, list[Row]] = {}
    try:
        import ray

        answering = processor(way)  # before Ray starts: it says what is not installed
        rows = [row for id_, body in left.items() for row in _samples(id_, body)]
        data = ray.data.from_items(rows, override_num_blocks=math.ceil(len(rows) / BATCH))
        for row in answering(data).iter_rows():
            id_ = row["custom_id"]
            mine = parts.setdefault(id_, [])
            mine.append(row)
            if len(mine) == (left[id_].get("n") or 1):
                yield id_, *merged(parts.pop(id_))
    except ImportError as error:
        raise MissingExtraError(f"engines need: pip install 'anabranch[scale]' 'ray[llm]' ({error})") from error
    except Exception as error:
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BackendError(f"Ray gave up ({told}); see its log, and run again to go on: what came is kept") from error


def _samples(id_: str, body: Row) -> Iterator[Row]:
    """A request as a row for each sample, as Ray's engines return no more than one.

    Bodies are text. As columns, a field that only some of them have would become null in the others.
    """
    for sample in range(body.get("n") or 1):
        yield {"custom_id": id_, "body": json.dumps({**body, "seed": (body.get("seed") or 0) + sample})}


def merged(parts: Sequence[Row]) -> tuple[int, Any]:
    """Status and body of a reply from what engines gave, one part for each sample."""
    if error := next((part["__inference_error__"] for part in parts if part.get("__inference_error__")), None):
        return 500, {"error": {"message": error}}
    bodies = [json.loads(part["body"]) for part in parts]
    written = sum(body["usage"]["completion_tokens"] for body in bodies)
    usage = {**bodies[0]["usage"], "completion_tokens": written}
    return 200, {**bodies[0], "choices": [choice for body in bodies for choice in body["choices"]], "usage": usage}


def processor(way: Way) -> Any:
    """Ray's processor: rows with `custom_id` and `body` in; with `custom_id` and `body` out."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    config = vLLMEngineProcessorConfig(
        model_source=way.model,
        engine_kwargs=dict(way.engine),
        concurrency=way.workers,
        batch_size=BATCH,
        should_continue_on_error=True,
        log_engine_metrics=False,  # they need Ray Serve in each engine's environment
    )
    return build_processor(config, preprocess=to_engine, postprocess=from_engine)


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
    return {"custom_id": row["custom_id"], "body": json.dumps(body)}


def main() -> None:
    """Reads a command line: `... REQUESTS REPLIES --url ADDRESS`, or `--model MODEL`."""
    parser = argparse.ArgumentParser(description="Answers requests in OpenAI's batch format.")
    parser.add_argument("requests", type=Path)
    parser.add_argument("replies", type=Path, help="added to; what it has a reply to is not asked again")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--url", help="address of an OpenAI-compatible server, up to /v1")
    who.add_argument("--model", help="hub id or folder of a model, to run with vLLM on the cluster's GPUs")
    parser.add_argument(
        "--workers", type=int, default=1, help=f"times {BATCH} prompts under way at a time; or most engines"
    )
    parser.add_argument("--engine", type=json.loads, default={}, metavar="JSON", help="engine arguments of vLLM")
    given = vars(parser.parse_args())
    requests, replies = given.pop("requests"), given.pop("replies")
    as_script(lambda: answer(requests, replies, Way(**given)))


if __name__ == "__main__":
    main()
