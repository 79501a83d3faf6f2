"""Takes in the replies of a batch: OpenAI's batch format, which vLLM's `run-batch` and `evals/offline.py` write too."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, convert_to_messages

from anabranch.agents.wire import whole_usage
from anabranch.characters import whole_data
from anabranch.errors import DocumentError
from anabranch.evals.records import RunFolder
from anabranch.evals.replies import Body, ReplyStore, key_of

_FINAL = (400, 413, 422)
"""Statuses of requests that no later try would mend, such as a prompt that is too long."""


@dataclass
class Taken:
    """What became of the replies."""

    new: int = 0
    known: int = 0
    refused: int = 0
    unasked: int = 0
    missing: int = 0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{self.new} replies taken in", f"{self.missing} requests still without one"]
        told = {"known before": self.known, "refused by the server": self.refused, "not asked for": self.unasked}
        parts += [f"{count} {what}" for what, count in told.items() if count]
        return ", ".join(parts)


def take_in(store: ReplyStore, folder: RunFolder, files: Sequence[Path]) -> Taken:
    """Keeps the replies to the prompts in `requests.jsonl`.

    A request that the server refused for good (too long, say) is kept as refused; other failures are asked for again.

    Raises:
        DocumentError: a file cannot be read.
    """
    asked = {key_of(row["body"]): row["body"] for _, row in _rows(folder.requests)} if folder.requests.exists() else {}
    taken = Taken()
    for path in files:
        for number, row in _rows(path):
            key = str(row.get("custom_id"))
            if store.has(key):
                taken.known += 1
            elif key not in asked:
                taken.unasked += 1
            elif problem := _keep(store, key, asked[key], row, taken):
                taken.problems.append(f"{path.name}, line {number}: {problem}")
    taken.missing = sum(not store.has(key) for key in asked)
    return taken


def _keep(store: ReplyStore, key: str, body: Body, row: Mapping[str, Any], taken: Taken) -> str | None:
    """Keeps one reply; returns why it cannot be."""
    response = row.get("response") or {}
    status, answer = response.get("status_code", 0), response.get("body") or {}
    error = row.get("error") or answer.get("error")
    if error or status != 200 or not answer.get("choices"):
        text = json.dumps(error or "no choices", ensure_ascii=False)[:300]
        if status in _FINAL:
            store.keep_refusal(key, body, text)
            taken.refused += 1
        return f"no reply ({status}): {text}"
    try:
        message = _message(answer)
    except (LookupError, TypeError, ValueError) as error_:
        return f"not a chat completion: {type(error_).__name__}: {error_}"
    store.keep(key, body, message, None)
    taken.new += 1
    return None


def _message(answer: Mapping[str, Any]) -> AIMessage:
    choice = answer["choices"][0]
    said = choice["message"]
    calls = {"tool_calls": said["tool_calls"]} if said.get("tool_calls") else {}
    (message,) = convert_to_messages([{"role": "assistant", "content": said.get("content") or "", **calls}])
    if not isinstance(message, AIMessage):
        raise TypeError("the message is not the assistant's")
    used = whole_usage(answer.get("usage")) or {}
    tokens = (used.get("prompt_tokens", 0), used.get("completion_tokens", 0))
    message.usage_metadata = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    message.response_metadata = {"finish_reason": choice.get("finish_reason"), "model_name": answer.get("model")}
    return message


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path} cannot be read ({error}); check the path") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = whole_data(json.loads(line))
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield number, row
        else:
            raise DocumentError(f"{path}, line {number} is not a JSON object; give replies in OpenAI's batch format")
