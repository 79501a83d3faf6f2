"""Models of an evaluation, by their names on its command line; all keep their replies (`batch/kept.py`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from anabranch.addresses import without_login
from anabranch.agents.adapters import Role
from anabranch.agents.decomposer import Decomposer, Grammar, LineDecomposer
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.resolve import resolve_decomposer
from anabranch.agents.served import structured_outputs
from anabranch.batch.chat import BATCH
from anabranch.batch.kept import KeptChatModel, KeptOpenAIChatModel
from anabranch.batch.store import ReplyStore
from anabranch.config import Price
from anabranch.errors import ConfigurationError

_WRITERS = re.compile(r"(lines|examples|small):(.+)", re.DOTALL)
_LABEL = re.compile(r"([\w.+ -]+)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class ModelSpec:
    """A model as it is named on the command line: `[LABEL=][lines:|examples:|small:]MODEL`.

    Attributes:
        label: its name in the report.
        name: `batch:NAME` for a model that is served in batches, else as for `resolve_model`.
        writer: how a decomposer writes plans: `lines` (distilled), `examples` (lines, shown examples), or empty for
            what the planner takes (lines for the in-process one and for names that begin with `decomposer`, else JSON).
            A solver that is too small to join answers has `small` here (`RoleModel.small`).
    """

    label: str
    name: str
    writer: str = ""

    @classmethod
    def of(cls, text: str) -> "ModelSpec":
        """Reads a spec.

        Raises:
            ConfigurationError: there is no name in it.
        """
        labelled = _LABEL.fullmatch(text)
        label, rest = (labelled[1].strip(), labelled[2]) if labelled else ("", text)
        written = _WRITERS.fullmatch(rest)
        writer, name = (written[1], written[2]) if written else ("", rest)
        if not name.strip() or name == BATCH:
            raise ConfigurationError(f"the model {text!r} has no name; write for example batch:NAME or http://host/v1")
        # Neither the report nor the manifest is a place for a password in an address.
        shown = without_login(rest.removeprefix(f"{writer}:").removeprefix(BATCH))
        return cls(label or shown, name.strip(), writer)


@dataclass(frozen=True)
class Models:
    """Opens models for one run.

    Attributes:
        store: where replies are kept.
        max_tokens: most tokens of a reply where the caller names no limit.
        progress: told what the in-process model is doing while it is prepared.
    """

    store: ReplyStore
    max_tokens: int = 1024
    progress: Callable[[str], None] = field(default=lambda _line: None)
    _opened: dict[tuple[str, str, bool], RoleModel] = field(default_factory=dict)

    def open(self, spec: ModelSpec, role: Role, price: Price | None = None) -> RoleModel:
        """The model of a spec in a role; opened once.

        Raises:
            ConfigurationError: as `resolve_model`, or `small:` before a decomposer.
            MissingExtraError, EndpointError: as `resolve_model`.
        """
        small = spec.writer == "small"
        if small and role == "decomposer":
            raise ConfigurationError(f"small: is for solvers; name the decomposer {spec.label!r} without it")
        key = (spec.name, role, small)
        if key not in self._opened:
            opened = self._open(spec, role, price)
            self._opened[key] = replace(opened, small=True) if small else opened
        return self._opened[key]

    def _open(self, spec: ModelSpec, role: Role, price: Price | None) -> RoleModel:
        if spec.name.startswith(BATCH):
            served = spec.name.removeprefix(BATCH)
            kept = KeptOpenAIChatModel(
                served=served, role=role, store=self.store, defaults={"temperature": 0, "max_tokens": self.max_tokens}
            )
            return RoleModel(kept, price)
        live = resolve_model(spec.name, role=role, price=price, progress=self.progress)
        openai = "openai_api_base" in type(live.chat).model_fields
        known = {} if getattr(live.chat, "temperature", None) is None else {"temperature": live.chat.temperature}  # type: ignore[attr-defined]
        kept_model = (KeptOpenAIChatModel if openai else KeptChatModel)(
            inner=live.chat,
            served=_served_name(live.chat, spec.name),
            role=role,
            store=self.store,
            defaults={**known, "max_tokens": self.max_tokens},
            adapter=getattr(live.chat, "adapter", None),
            profile=live.chat.profile,
        )
        return RoleModel(kept_model, live.price, small=live.small)

    def open_decomposer(self, spec: ModelSpec, price: Price | None = None) -> Decomposer:
        """The decomposer of a spec."""
        model = self.open(spec, "decomposer", price)
        if not spec.writer or model.small:
            found = resolve_decomposer(model)
        else:
            examples = spec.writer == "examples"  # for who was not trained on lines, and needs the grammar more often
            grammar: Grammar = "always" if examples else "on_demand"
            found = LineDecomposer(model, constrain=structured_outputs, grammar=grammar, examples=examples)
        if isinstance(found, LineDecomposer) and found.grammar == "on_demand" and spec.name.startswith(BATCH):
            found.grammar = "rest"  # each call takes a batch of its own
        return found


def served_name(model: RoleModel) -> str:
    """What a model of an evaluation is called in requests."""
    return model.chat.served if isinstance(model.chat, KeptChatModel) else "unknown"


def _served_name(chat: BaseChatModel, spec: str) -> str:
    """The name in requests; in-process models have their adapter's content in it."""
    name = str(getattr(chat, "model_name", None) or without_login(spec))
    adapter: Path | None = getattr(chat, "adapter", None)
    if adapter is None:
        return name
    digest = sha256(b"".join(path.read_bytes() for path in sorted(adapter.glob("adapter_*")))).hexdigest()[:12]
    return f"{name}+{adapter.name}@{digest}"
