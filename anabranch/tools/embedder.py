"""Embeddings as a search uses them: by name, within limits of time, and without harm where they fail."""

import importlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.embeddings import Embeddings

from anabranch.addresses import masked, without_login
from anabranch.bounds import words_of_error
from anabranch.errors import ConfigurationError, EndpointError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
logger = logging.getLogger(__name__)
STATIC = "static"
FORMS = "static, http://host:8000/v1#MODEL, openai:MODEL or PROVIDER:MODEL"
QUERY_SECONDS = 5.0
"""Seconds that a query's embedding may take."""
BATCH_SECONDS = 60.0
"""Seconds that those of a batch of passages may take."""
PAUSE_SECONDS = 30.0
"""Seconds in which embeddings that have failed are not asked for again."""
BATCH = 64
"""Passages that are embedded by one call."""
_NAMING = ("model", "model_name", "model_id", "deployment", "dimensions", "openai_api_base", "base_url")


class Embedder:
    """Embeddings that a search can do without.

    Where they fail, or take too long, that is told once, and for a while they are not asked for again.

    Args:
        model: the embeddings, or a name of some (see `embeddings_of`).
        tell: told in one line why there are none.

    Attributes:
        name: tells embeddings apart, as far as they say what they are: by class, model, dimensions and address.

    Raises:
        ConfigurationError, MissingExtraError: as `embeddings_of`.
    """

    def __init__(self, model: Embeddings | str, tell: Callable[[str], None] = logger.warning) -> None:
        self._model = embeddings_of(model) if isinstance(model, str) else model
        told = (getattr(self._model, name, None) for name in _NAMING)
        kind = type(self._model)
        self.name = " ".join([f"{kind.__module__}.{kind.__qualname__}", *(str(t) for t in told if _names(t))])
        self._tell = tell
        self._rests_until = 0.0

    def passages(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """The embeddings of passages, each of length 1; shape (texts, dimensions).

        Raises:
            EndpointError: they cannot be had.
        """
        try:
            return _units(_within(BATCH_SECONDS, lambda: self._model.embed_documents(list(texts))), len(texts))
        except Exception as error:
            raise EndpointError(f"the embeddings fail ({_reason(error, BATCH_SECONDS)})") from error

    def query(self, text: str, dimensions: int) -> "NDArray[np.float32] | None":
        """The embedding of a query, of length 1; None if it cannot be had, or says nothing.

        Args:
            text: the query.
            dimensions: how many numbers it is to have.
        """
        if time.monotonic() < self._rests_until:
            return None
        try:
            (found,) = _units(_within(QUERY_SECONDS, lambda: [self._model.embed_query(text)]), 1, dimensions)
        except Exception as error:
            self._rests_until = time.monotonic() + PAUSE_SECONDS
            self._tell(f"the embeddings fail ({_reason(error, QUERY_SECONDS)}), so passages are found by words alone")
            return None
        return found if found.any() else None


def embeddings_of(spec: str) -> Embeddings:
    """The embeddings that a name stands for.

    Args:
        spec: `static` (in this process), `http://host:8000/v1#MODEL` for an OpenAI-compatible server, whose key, if it
            wants one, is in ANABRANCH_API_KEY, `openai:MODEL`, or `PROVIDER:MODEL` for what
            `langchain.embeddings.init_embeddings` knows.

    Raises:
        ConfigurationError: the name has none of these forms, or its provider refuses it.
        MissingExtraError: the package that it needs is not installed.
    """
    if spec == STATIC:
        from anabranch.tools.static_embeddings import StaticEmbeddings

        return StaticEmbeddings()
    provider, _, name = spec.partition(":")
    try:
        if re.match(r"https?://", spec):
            address, _, name = spec.partition("#")
            if name:
                key = os.environ.get("ANABRANCH_API_KEY", "none")
                return _openai(model=name, base_url=address, api_key=key, check_embedding_ctx_length=False)
        elif provider == "openai" and name:
            return _openai(model=name)
        elif provider and name:
            made: Embeddings = importlib.import_module("langchain.embeddings").init_embeddings(spec)
            return made
    except ImportError as error:
        raise MissingExtraError(f"the embeddings {without_login(spec)!r} need another package: {error}") from error
    except Exception as error:  # each provider has its own errors for an unknown name or a missing key
        shown = masked(f"{without_login(spec)!r} cannot be used: {words_of_error(error, 300)}")
        raise ConfigurationError(f"the embeddings {shown}; use {FORMS}") from error
    raise ConfigurationError(f"unknown embeddings {without_login(spec)!r}; use {FORMS}")


def _openai(**options: Any) -> Embeddings:
    from langchain_openai import OpenAIEmbeddings

    return OpenAIEmbeddings(timeout=BATCH_SECONDS, **options)


def _names(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _units(vectors: Any, count: int, dimensions: int | None = None) -> "NDArray[np.float32]":
    """Vectors of length 1, or of zeros.

    Raises:
        ValueError: they are no vectors of numbers, one for each text, or have other dimensions.
    """
    import numpy as np

    found = np.asarray(vectors, np.float32)
    if found.ndim != 2 or len(found) != count or not np.isfinite(found).all():
        raise ValueError(f"they are no {count} vectors of numbers")
    if dimensions not in (None, found.shape[1]):
        raise ValueError(f"they have {found.shape[1]} dimensions, those of the passages {dimensions}")
    units: NDArray[np.float32] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-9))
    return units


def _within(seconds: float, work: Callable[[], T]) -> T:
    """What work gives; a thread that is too late is left alone, and does not hold up the end of the process.

    Raises:
        TimeoutError: it takes longer.
        Exception: what it raises.
    """
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=do, name="anabranch-embeddings", daemon=True).start()
    return done.result(seconds)


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {seconds:g} s"
    return masked(words_of_error(error, 300)) or type(error).__name__
