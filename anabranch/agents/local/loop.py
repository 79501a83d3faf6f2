"""The generation loop: greedy or sampled, under a grammar, with tokens forced by the grammar or guessed ahead.

Every step is one forward pass over the tokens that are certain but not read yet, followed by guesses. The logits after
each correct guess choose the next token as if there had been no guess, so guessing changes the speed, not the output.
"""

from collections.abc import Callable, Sequence
from threading import Event

from llguidance import LLMatcher
from torch import Tensor

from anabranch.agents.local.decoding import Chooser, Lookup
from anabranch.agents.local.generation import Generation, Options, StopReason
from anabranch.agents.local.llama import Cache, Llama
from anabranch.agents.local.text import TextDecoder
from anabranch.errors import ModelError

_CHUNK = 256


class Run:
    """One generation.

    Args:
        model: the weights.
        options: how to generate.
        matcher: the compiled grammar, if any.
        decoder: turns the tokens into text.
        stops: tokens that end the turn.
        on_text: called with each piece of text.
        cancel: checked before every step.
    """

    def __init__(
        self,
        model: Llama,
        options: Options,
        matcher: LLMatcher | None,
        decoder: TextDecoder,
        *,
        stops: Sequence[int],
        on_text: Callable[[str], None] | None,
        cancel: Event,
    ) -> None:
        self._model = model
        self._matcher = matcher
        self._decoder = decoder
        self._stops = stops
        self._on_text = on_text
        self._cancel = cancel
        self._chooser = Chooser(matcher, options.temperature, options.seed)
        self._limit = options.max_tokens
        self._lookup = Lookup() if options.lookup else None
        self._reason: StopReason | None = None
        self._written = 0

    def write(self, cache: Cache, prompt: list[int]) -> Generation:
        """Reads the prompt from where the cache ends, then writes until something ends the output."""
        cached, steps = len(cache.tokens), 0
        self._limit = min(self._limit, self._model.shape.context - len(prompt))
        pending = self._read(cache, prompt)
        if self._lookup:
            self._lookup.extend(prompt)
        pending += self._accept(self._forced())
        while self._reason is None:
            if self._cancel.is_set():
                self._reason = "cancelled"
                break
            guess = self._guess()
            logits = self._model.forward(cache, pending + guess, len(guess) + 1)
            right, pending = self._verify(logits, guess)
            del cache.tokens[len(cache.tokens) - len(guess) + right :]
            steps += 1
        self._give(self._decoder.finish())
        return Generation(self._decoder.text, len(prompt), self._written, self._reason, cached, steps)

    def _read(self, cache: Cache, prompt: list[int]) -> list[int]:
        while len(prompt) - len(cache.tokens) > _CHUNK and not self._cancel.is_set():
            start = len(cache.tokens)
            self._model.forward(cache, prompt[start : start + _CHUNK], 1)
        return prompt[len(cache.tokens) :]

    def _guess(self) -> list[int]:
        if self._lookup is None:
            return []
        guess = self._lookup.guess()[: self._limit - self._written - 1]
        if guess and self._matcher is not None:
            del guess[self._matcher.validate_tokens(guess) :]
        return guess

    def _verify(self, logits: Tensor, guess: list[int]) -> tuple[int, list[int]]:
        """Chooses tokens for as long as the guess agrees.

        Returns:
            How many guessed tokens were right, and the accepted ones that are still to be read.
        """
        right = 0
        while True:
            new = self._next(logits[right])
            agreed = 0
            while agreed < len(new) and right < len(guess) and new[agreed] == guess[right]:
                agreed, right = agreed + 1, right + 1
            if self._reason is not None or agreed < len(new):
                return right, new[agreed:]

    def _next(self, logits: Tensor) -> list[int]:
        token = self._chooser.choose(logits)
        if self._matcher is not None and not self._matcher.consume_token(token):
            raise ModelError(f"the grammar gave up: {self._matcher.get_error()}")
        return self._accept([token, *self._forced()])

    def _forced(self) -> list[int]:
        """Tokens that the grammar leaves no choice about."""
        if self._matcher is None or self._matcher.is_stopped():
            return []
        forced: list[int] = self._matcher.compute_ff_tokens()
        self._matcher.consume_tokens(forced)
        return forced

    def _accept(self, tokens: list[int]) -> list[int]:
        """Adds tokens to the output, up to the one that ends it."""
        for token in tokens:
            if self._written >= self._limit:
                self._reason = "length"
                return tokens
            self._written += 1
            self._give(self._decoder.push(token))
            if token in self._stops or self._decoder.stopped:
                self._reason = "stop"
                return tokens
        if self._matcher is not None and self._matcher.is_stopped():
            self._reason = "stop"
        elif self._written >= self._limit:
            self._reason = "length"
        if self._lookup:
            self._lookup.extend(tokens)
        return tokens

    def _give(self, piece: str) -> None:
        if piece and self._on_text:
            self._on_text(piece)
