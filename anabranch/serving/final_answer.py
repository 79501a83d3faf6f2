"""The final answer out of the raw tokens of a solver or joiner, for those who run one without the planner.

The planner streams the answer itself: see `anabranch/agents/answering.py`.
"""

from anabranch.agents.final_answer import AnswerStream, Delta, Reading, rest_of


class FinalAnswer:
    """Takes replies as they are written, message by message, and lets through what is the answer.

    Args:
        reading: how the replies are read.
    """

    def __init__(self, reading: Reading = "short") -> None:
        self._reading: Reading = reading
        self._stream = AnswerStream(reading)
        self._message: str | None = None
        self._sent = ""

    def take(self, node: str, message: str | None, text: str) -> Delta:
        """Takes a token.

        Args:
            node: who writes: `solve` or `join`.
            message: id of the message that it writes.
            text: the token.
        """
        if message != self._message:
            self._message, self._stream = message, AnswerStream(self._reading)
        delta = self._stream.take(text)
        self._sent += delta.content
        return delta if node == "solve" else Delta(delta.content)

    def rest(self, answer: str) -> str:
        """What is missing for the client to have the whole answer."""
        return rest_of(answer, self._sent)
