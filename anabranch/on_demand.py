"""A plan written freely, and held to the grammar only where it has to be: what to ask a model, reply after reply.

A trained decomposer nearly always writes plans by itself, and what is held to a grammar takes the time of all others on
a busy server: xgrammar, which vLLM takes for regular expressions, spends about a millisecond of the engine's core on
each token with a vocabulary of 150,000, in step with the whole batch. So only the line that fits no plan is written
anew under the grammar, and the model goes on freely after it. Should it go wrong a second time, all the rest is held.
"""

from collections.abc import Generator
from dataclasses import dataclass

from anabranch.codecs import LineGrammar

Reply = tuple[str, bool]
"""What a model wrote, and whether it was cut off at its limit of tokens."""


@dataclass(frozen=True)
class Ask:
    """One request to a model.

    Attributes:
        begun: what it has written already and goes on after; empty for the first reply.
        pattern: regular expression for the whole reply; None for a free one, which is to be stopped where the
            grammar's `one_too_many` begins.
    """

    begun: str = ""
    pattern: str | None = None


def asks(grammar: LineGrammar, *, rest: bool = False) -> Generator[Ask, Reply, Reply]:
    """Yields what to ask for, is sent the reply to each, and returns the plan.

    At temperature 0 it is the plan that a model would write under the grammar from the beginning, but for models that
    join the end of a line and its break in one token. It takes one request nearly always, and four at most.

    Args:
        grammar: all valid plans.
        rest: hold all the rest from the first line that fits no plan: two requests at most.
    """
    text, cut = yield Ask()
    for last in (True,) if rest else (False, True):
        if grammar.matches(text, cut=cut):
            break
        lines = grammar.fitting(text)
        following = grammar.following(len(lines))
        if following is None:  # as many lines as allowed; what came after them is no part of the plan
            return "\n".join(lines), False
        begun = "".join(f"{line}\n" for line in lines)
        reply, cut = yield Ask(begun, (following if last else following.one_line).pattern)
        text = begun + reply
        if last or cut or reply == grammar.empty or grammar.following(len(lines) + 1) is None:
            break
        reply, cut = yield Ask(text)
        text += reply
    return text, cut
