"""Models in this process by transformers' `generate`: on a GPU, or where there is no GGUF file of a model."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Lock
from typing import Any

from anabranch.agents.local.chat import SMALL_BELOW, LocalChatModel
from anabranch.agents.local.generation import Engine, Generation, Options, StopReason, too_long
from anabranch.agents.local.grammar import grammar_of
from anabranch.agents.local.template import folder_template
from anabranch.agents.local.tensors import read_folder
from anabranch.agents.local.weights import prepare
from anabranch.errors import MissingExtraError, ModelError, ModelUnavailableError

_CONTEXT = 8192
"""Tokens of prompt and output together for models that do not say how many they were made for."""
_PACKAGES = ("torch", "transformers", "peft", "llguidance", "jinja2")


class TransformersChatModel(LocalChatModel):
    """A `LocalChatModel` that transformers runs, on a GPU where there is one.

    Attributes:
        model: a transformers folder or hub id; None takes that of the settings.
    """

    @property
    def small(self) -> bool:
        """Whether it has fewer weights than `SMALL_BELOW`; the model is prepared first to find out."""
        tensors = read_folder(prepare(self.model, progress=self.progress))
        return sum(math.prod(tensor.shape) for tensor in tensors.values()) < SMALL_BELOW

    def _require(self) -> None:
        if missing := [package for package in _PACKAGES if find_spec(package) is None]:
            raise MissingExtraError(f"hf: needs {', '.join(missing)}; install with: pip install 'anabranch[hf]'")

    def _opened(self) -> tuple[object, Callable[[], Engine]]:
        folder = prepare(self.model, progress=self.progress).resolve()
        return ("hf", folder, self.adapter), lambda: TransformersEngine(folder, self.adapter)


class TransformersEngine:
    """A model of a transformers folder. One generation runs at a time; others wait.

    Args:
        folder: the folder.
        adapter: folder of an adapter that peft can merge; None for the base weights.

    Raises:
        ModelUnavailableError: the folder is damaged, or no model for chat.
    """

    def __init__(self, folder: Path, adapter: Path | None = None) -> None:
        self._folder, self._adapter, self._lock = folder, adapter, Lock()
        self.template = folder_template(folder)

    def load(self) -> None:
        """Loads the weights now rather than on first use."""
        with self._lock:
            _ = self._model, self._tokenizer

    def generate(
        self,
        messages: Sequence[Mapping[str, str]],
        options: Options | None = None,
        *,
        on_text: Callable[[str], None] | None = None,
        cancel: Event | None = None,
    ) -> Generation:
        """Writes the reply to chat messages (see `Engine.generate`)."""
        import torch
        from transformers import GenerationConfig, StoppingCriteriaList

        options, cancel = options or Options(), cancel or Event()
        with self._lock, torch.inference_mode(), _seeded(options.seed):
            model, ends = self._model, self._ends
            prompt = self._tokenizer(self.template.render(messages), add_special_tokens=False, return_tensors="pt")
            read, context = prompt["input_ids"].shape[1], _context(model.config)
            if read >= context:
                raise too_long(read, context)
            reply = _Reply(self._tokenizer, read, options, on_text, cancel)
            held = self._held(options, read)
            if cancel.is_set():
                return reply.generation(ends)
            # All that a folder may set of sampling is set, so that 0 is greedy for all models.
            warm = {"temperature": options.temperature, "top_k": 0, "top_p": 1.0} if options.temperature > 0 else {}
            config = GenerationConfig(
                do_sample=options.temperature > 0,
                max_new_tokens=min(options.max_tokens, context - read),
                repetition_penalty=1.0,
                eos_token_id=list(ends),
                pad_token_id=ends[0],
                **warm,
            )
            model.generate(
                **prompt.to(model.device),
                generation_config=config,
                logits_processor=held,
                stopping_criteria=StoppingCriteriaList([reply]),
            )
            return reply.generation(ends)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(self._folder, dtype=dtype)
            if self._adapter is not None:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, self._adapter).merge_and_unload()
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            worn = "" if self._adapter is None else f" with {self._adapter}"
            raise ModelUnavailableError(
                f"transformers cannot load {self._folder}{worn} ({str(error)[:200]}); check it, or update transformers"
            ) from error
        return model.to(device).eval()

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """Tokens that end a turn; what else a folder sets of generation is forgotten."""
        from transformers import GenerationConfig

        told, self._model.generation_config = self._model.generation_config.eos_token_id, GenerationConfig()
        ends = told if told is not None else self._tokenizer.eos_token_id
        if ends is None:
            raise ModelUnavailableError(f"{self._folder} names no token that ends a turn; use a model tuned for chat")
        return tuple(ends) if isinstance(ends, list) else (int(ends),)

    @cached_property
    def _grammar_tokens(self) -> Any:
        from llguidance.hf import from_tokenizer

        return from_tokenizer(
            self._tokenizer, n_vocab=self._model.config.get_text_config().vocab_size, eos_token=list(self._ends)
        )

    def _held(self, options: Options, read: int) -> list[Callable[[Any, Any], Any]]:
        """What forbids the tokens that would leave the grammar; nothing without one."""
        import torch
        from llguidance import LLMatcher

        if not (grammar := grammar_of(options)):
            return []
        matcher = LLMatcher(self._grammar_tokens, grammar, log_level=0)
        known = read

        def hold(tokens: Any, scores: Any) -> Any:
            nonlocal known
            matcher.consume_tokens(tokens[0, known:].tolist())
            known = tokens.shape[1]
            allowed = torch.frombuffer(bytearray(matcher.compute_logit_bias()), dtype=torch.uint8) != 0
            if matcher.is_error():
                raise ModelError(f"the grammar gave up: {matcher.get_error()}")
            return scores.masked_fill(~allowed[: scores.shape[1]].to(scores.device), -torch.inf)

        return [hold]


class _Reply:
    """What was written so far, as transformers asks after each token whether to stop.

    What is given out is never taken back: half a character is held back, and what may become a stop string.
    """

    def __init__(
        self, tokenizer: Any, read: int, options: Options, on_text: Callable[[str], None] | None, cancel: Event
    ) -> None:
        self._tokenizer, self._read, self._on_text, self._cancel = tokenizer, read, on_text, cancel
        self._stop = [word for word in options.stop if word]
        self._tokens: list[int] = []
        self._text = ""
        self._stopped = False

    def __call__(self, tokens: Any, scores: Any, **_: Any) -> Any:
        import torch

        self._tokens = tokens[0, self._read :].tolist()
        text = self._decoded()
        found = [place for word in self._stop if (place := text.find(word)) >= 0]
        self._stopped = bool(found)
        held = max((_overlap(text, word) for word in self._stop), default=0) or (len(text) - len(text.rstrip("\ufffd")))
        self._give(text[: min(found)] if found else text[: len(text) - held])
        ended = self._stopped or self._cancel.is_set()
        return torch.full((1,), ended, dtype=torch.bool, device=tokens.device)

    def generation(self, ends: tuple[int, ...]) -> Generation:
        """The whole."""
        reason: StopReason = "stop" if self._stopped or self._tokens[-1:] in [[end] for end in ends] else "length"
        if self._cancel.is_set() and reason == "length":
            reason = "cancelled"
        if not self._stopped:
            self._give(self._decoded())
        return Generation(self._text, self._read, len(self._tokens), reason)

    def _decoded(self) -> str:
        text: str = self._tokenizer.decode(self._tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _give(self, text: str) -> None:
        piece, self._text = text[len(self._text) :], max(text, self._text, key=len)
        if piece and self._on_text:
            self._on_text(piece)


def _context(config: Any) -> int:
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or _CONTEXT)


def _overlap(text: str, word: str) -> int:
    """How much of the end of a text may be the beginning of a word."""
    longest = min(len(word) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(word[:size])), 0)


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        yield
