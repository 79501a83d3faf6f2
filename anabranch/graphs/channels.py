"""A state channel that is typed for those who read it and plain data for whoever stores it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

from langgraph.channels import LastValue
from pydantic import TypeAdapter, ValidationError

from anabranch.errors import PlanError, VersionError


class Stored(LastValue[Any]):
    """Holds the last value, validated to its type; checkpoints see JSON-ready data.

    So any checkpointer can keep a planner's state, also one that refuses to load unknown classes
    (`LANGGRAPH_STRICT_MSGPACK`), and also when the planner is a part of somebody else's graph. Nodes write plain
    data or typed values, as they like.
    """

    def update(self, values: Sequence[Any]) -> bool:
        """Takes the new value, typed or plain."""
        return super().update([typed(self.typ, value) for value in values]) if values else False

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """A channel with the value of a checkpoint."""
        restored = super().from_checkpoint(checkpoint)
        if restored.is_available():
            try:
                restored.value = _adapter(self.typ).validate_python(restored.value)
            except (ValidationError, PlanError) as error:
                why = " ".join(str(error).split())[:200]
                raise VersionError(
                    f"what the thread keeps as {self.key!r} is none of this version's ({why}); "
                    "another version of anabranch has written it, or it is damaged: use that version, or another thread"
                ) from error
        return restored

    def checkpoint(self) -> Any:
        """The value as JSON-ready data."""
        value = super().checkpoint()
        return _adapter(self.typ).dump_python(value, mode="json") if self.is_available() else value


@lru_cache
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def typed(type_: Any, value: Any) -> Any:
    """What a channel of a type holds after a value, typed or plain, is written to it."""
    return _adapter(type_).validate_python(value)


def plain(value: Any) -> Any:
    """A model, or models by key, as JSON-ready data: what nodes return, since pending writes are stored too."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.model_dump(mode="json")
