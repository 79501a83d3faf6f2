"""The arguments of the HTTP app in `serve.yaml`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from anabranch.options import PlannerSettings
from anabranch.serving.options import Limits


@dataclass(frozen=True, kw_only=True)
class AppArguments(Limits, PlannerSettings):
    """What the replicas of the HTTP app are built from. API keys come from ANABRANCH_SERVER_KEY on each machine.

    Attributes:
        tools: another name of `tool`.
        documents: another name of `docs`, for one folder, at the same place on every machine.
        max_concurrency: most questions one replica works on; Ray's own queue is before `max_queue`.
        threads: address of a PostgreSQL database that keeps the plans which wait for tools of clients; without one,
            each replica knows only its own, and a client's next request may reach another.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    tools: tuple[str, ...] = ()
    documents: str | None = None
    max_concurrency: int = 16
    threads: str | None = None

    @classmethod
    def read(cls, arguments: Mapping[str, Any]) -> "AppArguments":
        """The arguments of a file.

        Raises:
            ValidationError: an unknown name, or a value of another type.
        """
        return TypeAdapter(cls).validate_python(arguments)

    def settings(self) -> PlannerSettings:
        """The planner's part.

        Raises:
            ConfigurationError: a value that no planner can be built from.
        """
        docs = (*self.docs, *([self.documents] if self.documents else []))
        return PlannerSettings.of({**asdict(self), "tool": (*self.tool, *self.tools), "docs": docs})
