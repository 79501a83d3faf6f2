"""Passages in a file that is mapped into memory: each is read when it is asked for."""

import json
import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

_FILE, _ENDS = "passages.jsonl", "passages.npy"


class PassageFile(Sequence[Document]):
    """The passages that `write` wrote into a folder.

    Raises:
        OSError, ValueError: they are not there, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self._ends = np.asarray(np.load(folder / _ENDS, mmap_mode="r"))
        with (folder / _FILE).open("rb") as file:
            self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @staticmethod
    def write(folder: Path, parts: Iterable[Sequence[Document] | range], earlier: "PassageFile | None" = None) -> None:
        """Writes passages into a folder.

        Args:
            folder: where to.
            parts: passages, or the places of neighbouring ones in an earlier file, whose lines are copied.
            earlier: that file.

        Raises:
            OSError: they cannot be written.
        """
        import numpy as np

        sizes: list[Any] = []
        with (folder / _FILE).open("wb") as file:
            for part in parts:
                if not isinstance(part, range):
                    lines = [_line(passage) for passage in part]
                    file.writelines(lines)
                    sizes.append(np.array([len(line) for line in lines], np.int64))
                elif earlier is not None and part:
                    ends = earlier._ends[part.start : part.stop + 1]
                    file.write(earlier._lines[ends[0] : ends[-1]])
                    sizes.append(np.diff(ends))
        np.save(folder / _ENDS, np.cumsum(np.concatenate([np.zeros(1, np.int64), *sizes])))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: Any) -> Any:
        found = json.loads(self._lines[self._ends[place] : self._ends[place + 1]])
        return Document(found["text"], metadata=found["metadata"])


def _line(passage: Document) -> bytes:
    return json.dumps({"text": passage.page_content, "metadata": passage.metadata}).encode() + b"\n"
