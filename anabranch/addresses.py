"""Addresses with a user and a password in them, and other secrets in texts: used, but never shown or written down."""

import re
from urllib.parse import unquote

Login = tuple[str, str]
"""A user and a password."""
_LOGIN = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
_SENT = re.compile(r"\b(bearer|basic)\s+[^\s'\",;\\]+", re.IGNORECASE)
_LEAST = 6
"""Shorter secrets are words such as `none`."""


def split_login(address: str) -> tuple[str, Login | None]:
    """An address without user and password, and these."""
    found = _LOGIN.search(address)
    if found is None:
        return address, None
    user, _, password = found[0][:-1].partition(":")
    return address[: found.start()] + address[found.end() :], (unquote(user), unquote(password))


def without_login(text: str) -> str:
    """A text without the users and passwords of the addresses in it."""
    return _LOGIN.sub("", text) if "@" in text else text


def masked(text: str, *secrets: str) -> str:
    """A text without logins, without what an `Authorization` header holds, and without these secrets."""
    for secret in secrets:
        if len(secret.strip()) >= _LEAST:
            text = text.replace(secret.strip(), "***")
    return _SENT.sub(r"\1 ***", without_login(text))
