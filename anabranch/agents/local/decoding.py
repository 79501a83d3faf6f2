"""The parts of the generation loop: grammar, choice of the next token, guesses at the tokens after it, prefix cache."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from anabranch.agents.local.llama import Cache, Shape
from anabranch.errors import ConfigurationError, ModelError

_MATCHERS = 16


class Grammars:
    """Compiles grammars, and keeps the last ones.

    Args:
        tokenizer: the model's tokenizer in llguidance's form.
    """

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: OrderedDict[str, LLMatcher] = OrderedDict()

    def matcher(self, pattern: str | None, json_schema: Mapping[str, Any] | None) -> LLMatcher | None:
        """A fresh matcher for a regular expression or a JSON schema; None for neither.

        Raises:
            ConfigurationError: both are given, or the grammar cannot be compiled.
        """
        if pattern is not None and json_schema is not None:
            raise ConfigurationError("give either pattern or json_schema, not both")
        if pattern is not None:
            grammar = LLMatcher.grammar_from_regex(pattern)
        elif json_schema is not None:
            # As json.dumps writes it; free white space would let a small model write nothing else.
            options = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(json_schema), overrides=options)
        else:
            return None
        if grammar not in self._known:
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
            if matcher.is_error():
                raise ConfigurationError(f"the grammar cannot be used: {matcher.get_error()}")
            self._known[grammar] = matcher
        self._known.move_to_end(grammar)
        while len(self._known) > _MATCHERS:
            self._known.popitem(last=False)
        return self._known[grammar].deep_copy()


class Chooser:
    """Chooses the next token: the most probable one the grammar allows, or one drawn at a temperature.

    Args:
        matcher: the grammar, or None.
        temperature: 0 for the most probable token.
        seed: makes drawing repeatable.
    """

    def __init__(self, matcher: LLMatcher | None, temperature: float, seed: int | None) -> None:
        self._matcher = matcher
        self._temperature = temperature
        self._random = torch.Generator()
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed)

    def choose(self, logits: Tensor) -> int:
        """The next token, given the logits of one position."""
        if self._temperature > 0:
            allowed = logits if self._matcher is None else logits.masked_fill(_forbidden(self._matcher), -torch.inf)
            return int(torch.multinomial((allowed / self._temperature).softmax(-1), 1, generator=self._random))
        best = int(logits.argmax())
        # The best of all tokens is the best of the allowed ones if it is allowed; a mask takes a millisecond.
        if self._matcher is None or self._matcher.validate_tokens([best]):
            return best
        return int(logits.masked_fill(_forbidden(self._matcher), -torch.inf).argmax())


def _forbidden(matcher: LLMatcher) -> Tensor:
    forbidden = torch.frombuffer(bytearray(matcher.compute_logit_bias()), dtype=torch.uint8) == 0
    if matcher.is_error():
        raise ModelError(f"the grammar gave up: {matcher.get_error()}")
    return forbidden


class Lookup:
    """Guesses what comes next: what followed the last few tokens when they last occurred.

    Sub-questions repeat the question's words, so many guesses are right; a wrong one costs little, as reading a few
    tokens takes as long as reading one.
    """

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}

    def extend(self, tokens: Sequence[int]) -> None:
        """Takes the tokens of the prompt, and later those that were written."""
        for token in tokens:
            for size in _NGRAMS:
                if len(self._tokens) >= size:
                    self._after[tuple(self._tokens[-size:])] = len(self._tokens)
            self._tokens.append(token)

    def guess(self) -> list[int]:
        """The tokens that may come next; empty without a precedent."""
        for size, length in _NGRAMS.items():
            place = self._after.get(tuple(self._tokens[-size:]))
            if place is not None:
                return self._tokens[place : place + length]
        return []


_NGRAMS = {3: 7, 2: 4, 1: 3}


class PrefixCache:
    """Keys and values of the last few sequences, for prompts that begin like one of them.

    Args:
        shape: the model's shape.
        sequences: most sequences kept.
        positions: most positions kept, over all sequences but the last used.
    """

    def __init__(self, shape: Shape, sequences: int = 4, positions: int = 8192) -> None:
        self._shape = shape
        self._sequences = sequences
        self._positions = positions
        self._entries: list[tuple[str | None, Cache]] = []

    def take(self, adapter: str | None, tokens: Sequence[int]) -> Cache:
        """A cache that holds the longest known beginning of these tokens, all but the last at most.

        The entry is changed in place where most of it is that beginning, and copied where it holds much else.
        """
        best, length = None, 0
        for number, (name, cache) in enumerate(self._entries):
            common = _common(cache.tokens, tokens[:-1]) if name == adapter else 0
            if common > length:
                best, length = number, common
        if best is None:
            cache = Cache(self._shape)
        elif 2 * length >= len(self._entries[best][1].tokens):
            cache = self._entries.pop(best)[1]
            del cache.tokens[length:]
        else:
            cache = self._entries[best][1].fork(length)
        return cache

    def put(self, adapter: str | None, cache: Cache) -> None:
        """Keeps a sequence, and forgets the ones unused for longest."""
        self._entries.append((adapter, cache))
        while len(self._entries) > 1 and (
            len(self._entries) > self._sequences or sum(len(c.tokens) for _, c in self._entries) > self._positions
        ):
            self._entries.pop(0)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    limit = min(len(one), len(other))
    return next((place for place in range(limit) if one[place] != other[place]), limit)
