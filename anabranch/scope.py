"""Context variables that hold a value for as long as a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def holding(variable: ContextVar[Any], value: T) -> Iterator[T]:
    """Inside, and in tasks and threads that take the context along, the variable has the value."""
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)
