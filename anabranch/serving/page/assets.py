"""The page's own files, with the headers under which a browser runs them and nothing else."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/page/"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_POLICY = {
    # Nothing from elsewhere, no script in the markup, and no text that becomes markup (Trusted Types).
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@cache
def assets() -> Mapping[str, tuple[bytes, str, str]]:
    """The files by their path on the server: content, media type and tag."""
    found = {}
    for file in files(__package__).joinpath("assets").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind:
            data = file.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            found["/" if file.name == "index.html" else PREFIX + file.name] = (data, kind, tag)
    return found


def paths() -> frozenset[str]:
    """The paths of all files; they hold nothing that a key protects."""
    return frozenset(assets())


async def asset(request: Request) -> Response:
    """One of the files, or that the browser has it."""
    data, kind, tag = assets()[request.url.path]
    headers = {**HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)
