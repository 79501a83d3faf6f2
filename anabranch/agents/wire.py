"""What OpenAI-compatible servers send in other forms than OpenAI, put right before LangChain reads it."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

SERVED_TYPE = "anabranch-served"
"""`_llm_type` of models behind an address."""
_NO_CHAT = re.compile(
    r"embed|rerank|whisper|moderation|transcri|speech|stable-diffusion|dall-e|gpt-image|all-mpnet|paraphrase-"
    r"|(?:^|[-_/:.])(?:tts|asr|stt|bge|gte|e5|clip|siglip|colbert|splade|minilm|flux|sdxl|kokoro)(?:$|[-_/:.]|\d)",
    re.IGNORECASE,
)
"""Names of models that embed, rank, listen, speak or draw."""
_NO_CHAT_TYPES = frozenset(
    {"embedding", "embeddings", "rerank", "reranker", "image", "audio", "moderation", "stt", "tts"}
)
MAX_TOKENS = 1e12
"""No call takes so many."""
_ERROR_KEYS = ("error", "detail", "message")
_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\{')
_ROLES = re.compile(
    r"system (?:role|message|prompt)|role.{0,40}(?:system|alternat)|alternat.{0,60}(?:user|role)|first .{0,40}\buser\b",
    re.IGNORECASE,
)


def can_chat(entry: Mapping[str, Any]) -> bool:
    """Whether a model of a server's list is one to chat with, as far as its name, or its `type` if given, tells.

    Args:
        entry: an entry of `GET /models`.
    """
    if str(entry.get("type", "")).lower() in _NO_CHAT_TYPES:
        return False
    return not _NO_CHAT.search(str(entry["id"]))


def error_status(body: bytes) -> int | None:
    """The status that a reply of status 200 should have had: some servers put an error into its body.

    Args:
        body: the reply.

    Returns:
        The code in the body if it is that of an error, else 500; None if the body is no error.
    """
    if _CHOICES.search(body) or not any(f'"{key}"'.encode() in body for key in _ERROR_KEYS):
        return None
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict) or not any(read.get(key) for key in _ERROR_KEYS):
        return None
    error = read["error"] if isinstance(read.get("error"), dict) else read
    code = str(error.get("code") or error.get("status") or "")
    return int(code) if re.fullmatch(r"[45]\d\d", code) else 500


def words_of(error: Exception) -> str:
    """What a server says of an error, where its body has it in another form than OpenAI's and the client drops it."""
    body = getattr(error, "body", None)
    told = next((body[key] for key in _ERROR_KEYS if body.get(key)), "") if isinstance(body, dict) else body
    words = " ".join((told if isinstance(told, str) else json.dumps(told, default=str)).split()) if told else ""
    return "" if words in str(error) else words


def refuses_roles(error: Exception) -> bool:
    """Whether a server refused a prompt for the roles in it, as the chat templates of some models do."""
    return getattr(error, "status_code", None) in (400, 422, 500) and bool(_ROLES.search(str(error)))


def error_in(chunk: Mapping[str, Any]) -> str:
    """What a chunk of a stream says of an error in another form than OpenAI's; empty if it is none."""
    if chunk.get("choices") or not (told := next((chunk[key] for key in _ERROR_KEYS if chunk.get(key)), "")):
        return ""
    words = told if isinstance(told, str) else json.dumps(told, default=str)
    return " ".join(words.split())[:300]


def refusal_in(chunk: Mapping[str, Any]) -> str:
    """The piece of a refusal that a chunk of a stream has, which LangChain drops."""
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    delta = first.get("delta") if isinstance(first, Mapping) else None
    refused = delta.get("refusal") if isinstance(delta, Mapping) else None
    return refused if isinstance(refused, str) else ""


def put_right(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply, or a chunk of one, in OpenAI's form; changes it in place.

    Of a chunk, only what belongs to the first choice is kept: LangChain would join those of all to one text.

    Ids become texts. Arguments become the text of a JSON object; what is JSON but no object becomes a text that is no
    JSON, so that LangChain takes the call for an invalid one instead of failing.

    Raises:
        ValueError: it has another form altogether.
    """
    try:
        return _put_right(reply)
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"the server's reply has another form than OpenAI's: {str(reply)[:200]}") from error


def _put_right(reply: dict[str, Any]) -> dict[str, Any]:
    if "usage" in reply:
        reply["usage"] = whole_usage(reply["usage"])
    if any(choice.get("index") and "delta" in choice for choice in reply.get("choices") or []):
        reply["choices"] = [choice for choice in reply["choices"] if not choice.get("index")]
    for choice in reply.get("choices") or []:
        if "delta" not in choice:
            message = choice["message"] = choice.get("message") or {"content": choice.get("text")}
            message["role"] = "assistant"
        message = choice.get("message") or choice.get("delta") or {}
        if (legacy := message.pop("function_call", None)) and not message.get("tool_calls"):
            message["tool_calls"] = [{"index": 0, "id": None, "type": "function", "function": legacy}]
        for call in message.get("tool_calls") or []:
            if call.get("type") not in (None, "function"):
                continue
            if "delta" in choice:
                # Without one, LangChain drops the calls of the whole chunk.
                call.setdefault("index", None)
            if call.get("id") is not None:
                call["id"] = str(call["id"])
            function = call.get("function") or {}
            call["function"] = function
            function["name"] = str(function["name"]) if function.get("name") else function.get("name")
            if not isinstance(function.get("arguments", ""), str):
                function["arguments"] = json.dumps(function["arguments"] or {})
            if "message" in choice:
                function["name"] = function["name"] or ""
                function["arguments"] = object_text(function.get("arguments") or "{}")
    return reply


def object_text(arguments: str) -> str:
    """The text of a JSON object, out of one that may be encoded more than once; no JSON if it is no object."""
    read: Any = arguments
    while isinstance(read, str):
        arguments = read
        try:
            read = json.loads(read, strict=False)
        except (ValueError, RecursionError):
            return arguments
    if read is None:
        return "{}"
    return arguments if isinstance(read, dict) else f"no object: {arguments}"


def whole_usage(usage: Any) -> dict[str, Any] | None:
    """A usage without what is no number of tokens; fractions are rounded up. None if nothing is left."""
    if not isinstance(usage, Mapping):
        return None
    read = {
        name: whole_usage(value) if str(name).endswith("_details") else whole_number(value)
        for name, value in usage.items()
    }
    return {name: value for name, value in read.items() if value is not None} or None


def whole_number(value: Any) -> int | None:
    """A number of tokens out of what a server wrote for one: `2.5` and `"3"` are, `-1`, `true` and `NaN` are not."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return math.ceil(number) if 0 <= number < MAX_TOKENS else None
