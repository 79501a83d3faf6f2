"""The options of commands, and how a thread remembers them. Light: no pydantic, no LangGraph."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from typing import Any, Self

from anabranch.addresses import without_login
from anabranch.folders import Folder
from anabranch.options import Declared, PlannerSettings

THREADS = "threads.sqlite"
"""The file in the cache folder that keeps threads where no other is named."""
_OPTIONS_KEY = "anabranch_options"
_OLD_NAMES = {"timeout": "step_timeout"}
"""Names in threads that earlier versions wrote."""


@dataclass(frozen=True, kw_only=True)
class Options(PlannerSettings):
    """What a planner is built from, as the command line gives it."""

    @classmethod
    def of(cls, values: Mapping[str, Any], said: Callable[[Declared], str] = attrgetter("flag")) -> Self:
        """The options among a command's parameters, as `PlannerOptions.of`; errors name them as they are written."""
        return super().of(values, said)

    def stored(self) -> dict[str, Any]:
        """The options as JSON-ready data for a thread: paths hold from any working directory, logins are left out."""
        paths = {
            "docs": [Folder.of(text).absolute() for text in self.docs],
            "mcp": [Folder(path).absolute() for path in self.mcp],
        }
        models = {name: value and without_login(value) for name, value in self._models().items()}
        return asdict(self) | {"tool": list(self.tool), **paths, **models}

    def recalled(self, stored: Mapping[str, Any], given: Collection[str]) -> "Options":
        """These options, with those from `stored` in place of what was not `given` on the command line."""
        before = Options.of({_OLD_NAMES.get(name, name): value for name, value in stored.items()})
        kept = {field.name: getattr(before, field.name) for field in fields(self) if field.name not in given}
        # The environment may name the same address with the login that the thread does not keep.
        now = {
            name: value for name, value in self._models().items() if value and without_login(value) == kept.get(name)
        }
        return replace(self, **{**kept, **now})

    def _models(self) -> dict[str, str | None]:
        return {"decomposer": self.decomposer, "solver": self.solver, "embeddings": self.embeddings}


def remember(options: Mapping[str, Any]) -> dict[str, str]:
    """Metadata that keeps the options of a run with its thread."""
    # As text: of a run's metadata, checkpoints keep only what is not nested.
    return {_OPTIONS_KEY: json.dumps(options)}


def recalled(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The options that metadata keep; none where they keep none that can be read."""
    text = metadata.get(_OPTIONS_KEY)
    try:
        options = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}
