"""Replies of models by the content of what was asked, in a file: nothing is paid for twice, whatever stops a run.

A request is the body of an OpenAI chat completion; its key is a hash of that. So a reply that was bought from a live
server serves a run in batches as well, and the other way round. SQLite, since several runs may share the file.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    convert_to_messages,
    convert_to_openai_messages,
    message_to_dict,
    messages_from_dict,
)

from anabranch.agents.wire import whole_usage
from anabranch.batch.files import Answered, Body, json_lines, object_of, read_jsonl, write_requests
from anabranch.characters import whole_characters, whole_data, written_path
from anabranch.errors import ConfigurationError, EndpointError, StorageError
from anabranch.graphs.storage import is_passing, sqlite_advice
from anabranch.private import private_file, private_folder


@dataclass(frozen=True)
class Reply:
    """A kept reply: the message, the seconds it took (None out of a batch)."""

    message: AIMessage
    seconds: float | None


class ReplyStore:
    """Keeps replies in an SQLite file, and notes requests that have none.

    Args:
        path: the file; made if missing.

    Attributes:
        wanted: requests without a reply, by key.

    Raises:
        ConfigurationError: the file is something else or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.wanted: dict[str, Body] = {}
        self._path = written_path(path)
        try:
            private_folder(path.parent)
            self._file = sqlite3.connect(private_file(path), check_same_thread=False, timeout=30)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS replies "
                "(key TEXT PRIMARY KEY, request TEXT, message TEXT, error TEXT, seconds REAL, at REAL)"
            )
            with self._file:
                # A file that cannot be written is found out before anything is paid for.
                self._file.execute("INSERT OR REPLACE INTO replies (key) VALUES ('')")
                self._file.execute("DELETE FROM replies WHERE key = ''")
        except (sqlite3.Error, OSError) as error:
            advice = f"{sqlite_advice(error)} (--cache)" if is_passing(error) else "name another --cache"
            kind = StorageError if is_passing(error) else ConfigurationError
            raise kind(f"{written_path(path)} cannot keep replies ({error}); {advice}") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @contextmanager
    def at_work(self, requests: Path) -> Iterator[None]:
        """At the end, writes the requests without a reply and closes the store.

        Args:
            requests: their file, in OpenAI's batch format; there is none where no reply is missing.

        Raises:
            BackendError: the file cannot be written.
        """
        try:
            yield
        finally:
            try:
                if self.wanted:
                    write_requests(requests, self.wanted.items())
                else:
                    requests.unlink(missing_ok=True)
            finally:
                self.close()

    def find(self, key: str) -> Reply | None:
        """The reply to a request, if it is there.

        Raises:
            EndpointError: the server refused this request, for good.
        """
        with closing(self._file.execute("SELECT message, error, seconds FROM replies WHERE key = ?", (key,))) as rows:
            row = rows.fetchone()
        if row is None:
            return None
        message, error, seconds = row
        if error is not None:
            raise EndpointError(f"the batch refused this prompt: {error}; shorten it or raise the model's limits")
        try:
            restored = messages_from_dict([json.loads(message)])[0]
        except (ValueError, TypeError, LookupError):
            restored = None
        if not isinstance(restored, AIMessage):
            raise ConfigurationError(
                f"{self._path} holds something else than replies, or is damaged; restore it, or name another --cache"
            )
        return Reply(restored, seconds)

    def keep(self, key: str, body: Body, message: AIMessage, seconds: float | None) -> None:
        """Keeps a reply; safe against a kill from then on."""
        kept = json.dumps(whole_data(message_to_dict(message)), ensure_ascii=False)
        self._insert(key, body, kept, None, seconds)

    def keep_refusal(self, key: str, body: Body, error: str) -> None:
        """Keeps that a request was refused, so that it is not asked for again."""
        self._insert(key, body, None, whole_characters(error), None)

    def has(self, key: str) -> bool:
        """Whether there is a reply or a refusal."""
        with closing(self._file.execute("SELECT 1 FROM replies WHERE key = ?", (key,))) as rows:
            return rows.fetchone() is not None

    def _insert(self, key: str, body: Body, message: str | None, error: str | None, seconds: float | None) -> None:
        row = (key, canonical(body), message, error, seconds, time.time())
        try:
            with self._file:
                self._file.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error_:
            raise StorageError(f"{self._path} cannot keep replies ({error_}): {sqlite_advice(error_)}") from error_


def request_body(
    model: str, messages: Sequence[BaseMessage], stop: Sequence[str] | None, arguments: Mapping[str, Any]
) -> Body:
    """The body of a chat completion; what `extra_body` adds to it is part of it."""
    named = {name: value for name, value in arguments.items() if value is not None and name != "extra_body"}
    body = {"model": model, "messages": convert_to_openai_messages(list(messages)), **named}
    body |= arguments.get("extra_body") or {}
    whole: Body = whole_data(body | ({"stop": list(stop)} if stop else {}))
    return whole


def key_of(body: Body) -> str:
    """SHA-256 of a request's body."""
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def canonical(body: Body) -> str:
    """A body as JSON, the same for the same content."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


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


def take_in(store: ReplyStore, requests: Path, files: Sequence[Path]) -> Taken:
    """Keeps the replies of a batch.

    A request that the server refused for good (too long, say) is kept as refused; other failures are asked for again.

    Args:
        store: where they are kept.
        requests: file of the requests; none is asked for where it is missing.
        files: replies in OpenAI's batch format.

    Raises:
        DocumentError: a file cannot be read.
    """
    asked = {key_of(row["body"]): row["body"] for row in read_jsonl(requests)} if requests.exists() else {}
    taken = Taken()
    for path in files:
        for line in json_lines(path):
            row = Answered.of(object_of(path, line))
            if store.has(row.id):
                taken.known += 1
            elif row.id not in asked:
                taken.unasked += 1
            elif problem := _keep(store, asked[row.id], row, taken):
                taken.problems.append(f"{path.name}, line {line.number}: {problem}")
    taken.missing = sum(not store.has(key) for key in asked)
    return taken


def _keep(store: ReplyStore, body: Body, row: Answered, taken: Taken) -> str | None:
    """Keeps one reply; returns why it cannot be."""
    if row.error:
        text = json.dumps(row.error, ensure_ascii=False)[:300]
        if row.refused:
            store.keep_refusal(row.id, body, text)
            taken.refused += 1
        return f"no reply ({row.status}): {text}"
    try:
        message = _message(row.body)
    except (LookupError, TypeError, ValueError) as error:
        return f"not a chat completion: {type(error).__name__}: {error}"
    store.keep(row.id, body, message, None)
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
