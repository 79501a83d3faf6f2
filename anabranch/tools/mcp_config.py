"""The file that names MCP servers, in the form that desktop programs and editors share."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from anabranch.addresses import masked
from anabranch.characters import written_path
from anabranch.errors import ConfigurationError

McpConfig = str | Path | Mapping[str, Any]
"""A file that names MCP servers, or what stands in it."""
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_]\w*)(?::-([^}]{0,1000}))?\}")
_MAX_BYTES = 1 << 20
_KINDS = {"streamable-http": "http", "streamable_http": "http", "streamablehttp": "http"}


class McpServer(BaseModel):
    """One server: a command to start, or an address.

    Attributes:
        command: the program to start, which speaks MCP on standard input and output.
        args: its arguments.
        env: variables of its environment, besides a few such as PATH and HOME.
        cwd: its working directory.
        url: the address of a server that runs already.
        headers: headers of each request to it.
        type: how it is spoken to: `stdio`, `http` (streamable HTTP) or `sse`; told from the rest if it is not said.
        disabled: whether it is left out.
        secrets: values that must not be shown: those of environment variables, of `env` and of `headers`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default={}, repr=False)
    cwd: str | None = None
    url: str | None = Field(default=None, repr=False)
    headers: dict[str, str] = Field(default={}, repr=False)
    type: Literal["stdio", "http", "sse"] = Field(validation_alias=AliasChoices("type", "transport"))
    disabled: bool = False
    secrets: tuple[str, ...] = Field(default=(), repr=False)

    @model_validator(mode="before")
    @classmethod
    def _told_from_the_rest(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or any(value.get(key) for key in ("type", "transport")):
            return value
        return {**value, "type": "http" if value.get("url") else "stdio"}

    @field_validator("type", mode="before")
    @classmethod
    def _other_names(cls, value: Any) -> Any:
        return _KINDS.get(value.lower(), value.lower()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "stdio" and not self.command:
            raise ValueError("a server of type stdio needs a command")
        if self.type != "stdio" and not re.match(r"https?://", self.url or ""):
            raise ValueError(f"a server of type {self.type} needs a url that begins with http:// or https://")
        return self


def read_servers(config: McpConfig) -> dict[str, McpServer]:
    """The servers of a file, by name, without those that are disabled; `${VARIABLE}` is expanded in all of its texts.

    Args:
        config: the file, or its content: `{"mcpServers": {NAME: {"command": ..., "args": [...], "env": {...}}}}` or
            `{"url": ..., "headers": {...}, "type": "http"}` for a server that runs already.

    Raises:
        ConfigurationError: it cannot be read, has another form, or names a variable that the environment lacks.
    """
    where = "the MCP servers" if isinstance(config, Mapping) else written_path(Path(config))
    content: Any = config if isinstance(config, Mapping) else _read(Path(config).expanduser(), where)
    named = next((content[key] for key in ("mcpServers", "servers") if key in content), None)
    if not isinstance(named, Mapping):
        raise ConfigurationError(
            f'{where}: the form is {{"mcpServers": {{"NAME": {{"command": ..., "args": [...]}}}}}}'
        )
    servers = {str(name): _server(str(name), given, where) for name, given in named.items()}
    return {name: server for name, server in servers.items() if not server.disabled}


def _read(path: Path, where: str) -> Any:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{where}: {error.strerror or error}; name a file of MCP servers") from error
    except ValueError as error:
        raise ConfigurationError(f"{where} is no JSON: {error}") from error
    return content if isinstance(content, Mapping) else {}


def _server(name: str, given: Any, where: str) -> McpServer:
    secrets: list[str] = []
    told = f"{where}: the MCP server {name!r}"
    if isinstance(given, Mapping) and given.get("disabled") is True:
        return McpServer(command="-", type="stdio", disabled=True)
    expanded = _expanded(given, secrets, told)
    try:
        server = McpServer.model_validate(expanded)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, detail["loc"]))
        reason = " ".join(filter(None, [place and f"{place}:", detail["msg"].removeprefix("Value error, ")]))
        raise ConfigurationError(f"{told}: {masked(reason, *secrets)}") from None
    return server.model_copy(update={"secrets": (*secrets, *server.env.values(), *server.headers.values())})


def _expanded(value: Any, secrets: list[str], told: str) -> Any:
    """A value with the variables in its texts expanded; what they stand for is added to `secrets`."""

    def replaced(found: re.Match[str]) -> str:
        known = os.environ.get(found[1], found[2])
        if known is None:
            raise ConfigurationError(f"{told} needs the environment variable {found[1]}; set it")
        secrets.append(known)
        return known

    if isinstance(value, str):
        return _VARIABLE.sub(replaced, value)
    if isinstance(value, Mapping):
        return {key: _expanded(each, secrets, told) for key, each in value.items()}
    return [_expanded(each, secrets, told) for each in value] if isinstance(value, list) else value
