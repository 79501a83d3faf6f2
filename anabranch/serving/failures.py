"""What went wrong, as a status and OpenAI's error body. Nobody is told more than an error's one line.

Source: https://platform.openai.com/docs/guides/error-codes
"""

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from anabranch.characters import whole_data
from anabranch.errors import (
    AnabranchError,
    BackendError,
    BudgetExceededError,
    DeadlineError,
    ImagesRefusedError,
    ModelError,
    OverloadError,
    PlanError,
    UnknownResponseError,
    UnknownToolCallError,
    UserError,
)
from anabranch.serving.protocol import ErrorReply

log = logging.getLogger("anabranch.serving")

_INVALID = "invalid_request_error"
_BY_CLASS: tuple[tuple[type[AnabranchError], int, str, str], ...] = (
    # Not 409, which OpenAI's clients send again by themselves, nor 404, which they take for an unknown model.
    (UnknownToolCallError, 400, _INVALID, "tool_call_not_found"),
    (UnknownResponseError, 400, _INVALID, "previous_response_not_found"),
    (UserError, 400, _INVALID, "invalid_value"),
    (PlanError, 400, _INVALID, "invalid_plan"),
    (ImagesRefusedError, 400, _INVALID, "images_not_supported"),
    (BudgetExceededError, 400, _INVALID, "budget_exceeded"),
    (OverloadError, 429, "requests", "server_busy"),
    (DeadlineError, 504, "server_error", "timeout"),
    (ModelError, 502, "server_error", "model_misbehaved"),
    (BackendError, 503, "server_error", "model_unavailable"),
)
_BY_STATUS = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_too_slow",
    413: "request_too_large",
    421: "unknown_host",
    429: "rate_limit_exceeded",
}


class Failure(HTTPException):
    """A refusal with a code and, if it is about one, a parameter."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(status, message)
        self.code = code
        self.param = param


def body_of(message: str, *, kind: str = _INVALID, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    body: dict[str, Any] = whole_data({"error": {"message": message, "type": kind, "param": param, "code": code}})
    return body


def describe(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Status and body for an exception; those that nobody foresaw are logged and not shown."""
    for class_, status, kind, code in _BY_CLASS:
        if isinstance(error, class_):
            return status, body_of(getattr(error, "public", str(error)), kind=kind, code=code)
    log_unforeseen(error)
    return 500, body_of("the server failed; its log says where", kind="server_error", code="internal_error")


def log_unforeseen(error: BaseException) -> None:
    """Logs an exception by its class and where it was raised, without its message: that may quote a question."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    log.error("unforeseen", extra={"fields": {"error": type(error).__name__, "at": places}})


def reply(error: BaseException, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response for an exception."""
    status, body = describe(error)
    given = dict(headers or {})
    if isinstance(error, OverloadError):
        given["Retry-After"] = str(error.retry_after)
    return JSONResponse(body, status, given)


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response for a request that is refused at the door."""
    kind = "requests" if status == 429 else _INVALID
    return JSONResponse(body_of(message, kind=kind, code=_BY_STATUS.get(status)), status, dict(headers or {}))


def handle_failures(app: FastAPI) -> None:
    """Makes every error reply of the app one of OpenAI's form."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Of a value that may have several forms, the one in which it got furthest is the one that was meant.
        first = max(error.errors(), key=lambda each: len(each["loc"]))
        # Without the input: it is the user's, and may not even be UTF-8. Without names of types, which are ours.
        place = [str(part) for part in first["loc"] if part != "body" and "[" not in str(part)]
        if first["type"] == "json_invalid":
            return refusal(400, "the body is not JSON; check its syntax")
        param = ".".join(place) or None
        message = f"{param or 'the body'}: {first['msg'].removeprefix('Value error, ')}"
        return JSONResponse(body_of(message, code="invalid_value", param=param), 400)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            # Starlette names the methods of one route alone, and a path may have several.
            path = getattr(request.scope.get("route"), "path", request.url.path)
            methods = sorted(map(str.upper, request.app.openapi()["paths"].get(path, ())))
            headers |= {"Allow": ", ".join(methods)} if methods else {}
        code = error.code if isinstance(error, Failure) else _BY_STATUS.get(error.status_code)
        param = error.param if isinstance(error, Failure) else None
        return JSONResponse(body_of(str(error.detail), code=code, param=param), error.status_code, headers)

    @app.exception_handler(AnabranchError)
    async def failed(_: Request, error: AnabranchError) -> JSONResponse:
        return reply(error)


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorReply, "description": "Refused: the request, the key, the size or the rate will not do."},
    "5XX": {"model": ErrorReply, "description": "A model behind the server is away, too slow or misbehaves."},
}
