"""A plan written freely, and held to the grammar only where it has to be: what to ask a model, reply after reply.

A trained decomposer nearly always writes plans by itself, and what is held to a grammar takes the time of all others on
a busy server: while one sequence of a batch is held, vLLM waits for its last token before it samples the next of any,
and its engine's only busy core fills the masks of tokens. So where a line fits no plan, only the few tokens at which it
leaves the grammar are written under it (a route, the id in a slot; else the rest of the line), and the model goes on
freely after them. Should that not do, all the rest is held.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass, replace

from anabranch.codecs import LineGrammar

Reply = tuple[str, bool]
"""What a model wrote, and whether it was cut off at its limit of tokens."""
AMENDS = 3
"""How often a plan is amended before all its rest is held to the grammar."""
LONGER = 2
"""How many times the grammar's words a line may have that was written freely: it ended by itself, where the grammar has
to end lines somewhere."""


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

    At temperature 0 it is the plan that a model would write under the grammar from the beginning, but for more spaces,
    longer lines and those without an end, and for models that join what was held and what follows it in one token. It
    takes one request nearly always, and two more for each of at most three amends.

    Args:
        grammar: all valid plans.
        rest: hold all the rest from the first line that fits no plan: two requests at most.
    """
    free = replace(grammar, max_words=LONGER * grammar.max_words)
    text, cut = _tidy((yield Ask()))
    for _ in range(0 if rest else AMENDS):
        if free.matches(text, cut=cut):
            return text, cut
        lines, bad, after = _parted(free, text)
        following = free.following(len(lines))
        if following is None:  # as many lines as allowed; what came after them is no part of the plan
            return "\n".join(lines), False
        good, pattern = following.amend(bad)
        text = "\n".join([*lines, good])
        if pattern:
            held, cut = yield Ask(text, pattern)
            text += held
            if cut or text == grammar.empty:
                return text, cut
            reply, cut = yield Ask(text)
            text, cut = _tidy((text + reply, cut))
        elif after:
            text = "\n".join([text, *after])
        else:  # where the reply was cut off, it would have gone on with this line for ever
            return text, False
    if free.matches(text, cut=cut):
        return text, cut
    lines, _, _ = _parted(free, text)
    remaining = grammar.following(len(lines))
    if remaining is None:
        return "\n".join(lines), False
    begun = "".join(f"{line}\n" for line in lines)
    reply, cut = yield Ask(begun, remaining.pattern)
    return begun + reply, cut


def _tidy(reply: Reply) -> Reply:
    """Without spaces beside spaces and at the ends of lines."""
    text, cut = reply
    return re.sub(r" +(?= )| +(?=\n)" if cut else r" +(?= |\n|$)", "", text), cut


def _parted(grammar: LineGrammar, text: str) -> tuple[list[str], str, list[str]]:
    """The lines that fit, the first that does not, and those after it."""
    lines = grammar.fitting(text)
    others = text.split("\n")[len(lines) :]
    return lines, others[0] if others else "", others[1:]
