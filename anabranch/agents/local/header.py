"""What a GGUF file says of itself: shape, tokenizer, chat template, and where its tensors are.

The package `gguf` reads this, too, but takes seconds over a vocabulary, a field of NumPy at a time.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anabranch.errors import ModelUnavailableError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_CONTROL = 3
"""The type of the tokens that end turns and the like."""
_TOKENS, _TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor is.

    Attributes:
        name: its name.
        shape: its dimensions, the innermost first.
        kind: number of its type in ggml.
        offset: of its first byte after `Header.data`.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself.

    Attributes:
        values: the fields by name, without lists.
        special: texts of the control tokens, by number.
        tensors: where the tensors are.
        fields_end: the byte after the fields.
        data: first byte of the tensors.
    """

    values: Mapping[str, Any]
    special: Mapping[int, str]
    tensors: tuple[TensorInfo, ...]
    fields_end: int
    data: int

    @property
    def context(self) -> int:
        """Most tokens of prompt and output together that the model was made for; 0 if it does not say."""
        return int(self.values.get(f"{self.values.get('general.architecture')}.context_length", 0))

    @property
    def alignment(self) -> int:
        """What the places of tensors are multiples of, in bytes."""
        return int(self.values.get("general.alignment", 32))

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def adds_bos(self) -> bool:
        """Whether llama.cpp puts the token of the beginning before a prompt."""
        told = self.values.get("tokenizer.ggml.add_bos_token")
        if told is not None:
            return bool(told)
        kind, split = (self.values.get(f"tokenizer.ggml.{name}", "") for name in ("model", "pre"))
        return kind == "llama" or str(split).startswith("llama")

    @property
    def ends(self) -> tuple[int, ...]:
        """Numbers of the tokens that the file names as the end of a turn or of a text."""
        named = (self.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot"))
        return tuple(number for number in named if number is not None)

    def token(self, name: str) -> str:
        """The text of the token that the file names as `bos`, `eos`, `unknown` or `padding`; empty if none."""
        return self.special.get(self.values.get(f"tokenizer.ggml.{name}_token_id", -1), "")


def read_header(path: Path) -> Header:
    """Reads what stands before the tensors.

    Raises:
        ModelUnavailableError: the file is missing, is no GGUF file, or is cut off.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise ModelUnavailableError(
                    f"{path} is not a GGUF file; give one, such as a model's download for llama.cpp or Ollama, or what "
                    "`anabranch distill export --format gguf` writes"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Reader(data).header()
                end = header.data + max((tensor.offset for tensor in header.tensors), default=0)
                if end >= len(data):
                    raise _cut_off(path)
                return header
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise _cut_off(path) from error
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"cannot read {path} ({error}); check the name and the file") from error


def _cut_off(path: Path) -> ModelUnavailableError:
    return ModelUnavailableError(f"{path} is cut off or damaged; download or write it again")


class _Reader:
    """Goes through the bytes once."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = len(MAGIC)

    def header(self) -> Header:
        version, tensors, fields = self._take("I"), self._take("Q"), self._take("Q")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} of GGUF, not {' or '.join(map(str, _VERSIONS))}")
        values: dict[str, Any] = {}
        tokens: dict[int, str] = {}
        places: list[tuple[int, int]] = []
        for _ in range(fields):
            name, kind = self._text(), self._take("I")
            if kind != _ARRAY:
                values[name] = self._value(kind)
            elif name == _TOKENS:
                places = list(self._places())
            elif name == _TYPES:
                tokens = {number: self._at_place(places[number]) for number in self._special()}
            else:
                self._skip()
        end = self._at
        for name in ("bos", "eos", "unknown", "padding"):
            number = values.get(f"tokenizer.ggml.{name}_token_id")
            if number is not None and number < len(places):
                tokens[number] = self._at_place(places[number])
        infos = tuple(self._tensor() for _ in range(tensors))
        header = Header(values, tokens, infos, end, self._at)
        return replace(header, data=-(-self._at // header.alignment) * header.alignment)

    def _take(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return value

    def _at_place(self, place: tuple[int, int]) -> str:
        return self._data[place[0] : place[1]].decode("utf-8", "replace")

    def _text(self) -> str:
        begin, end = self._place()
        if end > len(self._data):
            raise IndexError("a text goes on behind the end")
        return self._data[begin:end].decode("utf-8")

    def _place(self) -> tuple[int, int]:
        begin = self._at + 8
        self._at = begin + int.from_bytes(self._data[self._at : begin], "little")
        return begin, self._at

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind not in _SCALARS:
            raise IndexError(f"a field of type {kind}")
        return self._take(_SCALARS[kind])

    def _places(self) -> Iterator[tuple[int, int]]:
        kind, count = self._take("I"), self._take("Q")
        if kind != _STRING:
            raise IndexError("tokens that are no texts")
        for _ in range(count):
            if self._at > len(self._data):
                raise IndexError("a list goes on behind the end")
            yield self._place()

    def _special(self) -> Iterator[int]:
        form, count = _SCALARS[self._take("I")], self._take("Q")
        kinds = struct.unpack_from(f"<{count}{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{count}{form}")
        return (number for number, kind in enumerate(kinds) if kind == _CONTROL)

    def _skip(self) -> None:
        begin = self._at
        kind, count = self._take("I"), self._take("Q")
        if kind == _STRING:
            self._at = begin
            for _ in self._places():
                pass
        elif kind in _SCALARS:
            self._at += count * struct.calcsize(f"<{_SCALARS[kind]}")
        else:
            for _ in range(count):
                self._skip()

    def _tensor(self) -> TensorInfo:
        name, dimensions = self._text(), self._take("I")
        shape = tuple(self._take("Q") for _ in range(dimensions))
        return TensorInfo(name, shape, self._take("I"), self._take("Q"))
