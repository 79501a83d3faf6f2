"""Where a client wants its answer to end: cut here, since the answer is a part of what models write."""

from collections.abc import Sequence


class Stops:
    """Cuts an answer before the first of some sequences that is complete, whole or while it is written.

    Args:
        sequences: the sequences.

    Attributes:
        found: whether one has come.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sequences
        self._held = ""
        self.found = False

    def take(self, text: str) -> str:
        """Takes a piece; gives what is certain to stand before any sequence."""
        if not self._sequences or self.found:
            return "" if self.found else text
        text, self._held = self._held + text, ""
        if (end := self._end(text)) is not None:
            self.found = True
            return text[:end]
        held = max(self._begun(text, sequence) for sequence in self._sequences)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def cut(self, answer: str) -> str:
        """The part of a whole answer that is wanted."""
        end = self._end(answer)
        self.found = end is not None
        return answer[:end]

    def _end(self, text: str) -> int | None:
        found = [(at + len(each), at) for each in self._sequences if (at := text.find(each)) >= 0]
        return min(found)[1] if found else None

    @staticmethod
    def _begun(text: str, sequence: str) -> int:
        """Characters at the end of a text with which a sequence may begin."""
        longest = min(len(sequence) - 1, len(text))
        return next((n for n in range(longest, 0, -1) if text.endswith(sequence[:n])), 0)
