"""The in-process model: one load of the weights, adapters beside them, and a generation loop made for plans."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

import torch
from llguidance import LLMatcher

from anabranch.agents.local.checkpoint import merge_lora, read_weights
from anabranch.agents.local.decoding import Grammars, PrefixCache
from anabranch.agents.local.generation import Generation, Options
from anabranch.agents.local.llama import Cache, Llama, Shape
from anabranch.agents.local.loop import Run
from anabranch.agents.local.lora import read_json
from anabranch.agents.local.text import ChatTokenizer
from anabranch.errors import ConfigurationError, QuestionError


class LocalEngine:
    """A model in this process. One generation runs at a time; others wait.

    Args:
        folder: a transformers model folder (see `weights.prepare`).
        threads: CPU threads; 0 takes half of those of torch, four at most.

    Attributes:
        folder: the model folder.
        shape: the model's shape; its `context` is the most tokens of prompt and output together.
        tokenizer: its tokenizer and chat template.
        threads: CPU threads used while it works.

    Raises:
        ModelUnavailableError: the folder is incomplete or damaged.
        ConfigurationError: the model is of a family that is not supported.
    """

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        self.folder = folder
        self.threads = threads or _default_threads()
        self.shape = Shape.of(read_json(folder / "config.json"))
        self.tokenizer = ChatTokenizer(folder, self.shape.vocab)
        self._adapters: dict[str, Path] = {}
        self._models: dict[str | None, Llama] = {}
        self._grammars: Grammars | None = None
        self._prefixes = PrefixCache(self.shape)
        self._lock = Lock()

    def add_adapter(self, name: str, folder: Path) -> None:
        """Makes a LoRA adapter known under a name. It is merged into a copy of the weights on first use.

        Raises:
            ConfigurationError: another folder already has this name.
        """
        if self._adapters.setdefault(name, folder) != folder:
            raise ConfigurationError(f"the adapter name {name!r} is taken by {self._adapters[name]}; use another")

    def load(self, adapter: str | None = None) -> None:
        """Loads the weights now rather than on first use."""
        with self._lock, _threads(self.threads):
            self._model(adapter)

    def generate(
        self,
        messages: Sequence[Mapping[str, str]],
        options: Options | None = None,
        *,
        on_text: Callable[[str], None] | None = None,
        cancel: Event | None = None,
    ) -> Generation:
        """Writes the reply to chat messages.

        Args:
            messages: dicts with `role` and `content`.
            options: how to generate.
            on_text: called with each piece of text; the pieces together are the whole text.
            cancel: checked before every step; once set, what was written so far is returned.

        Raises:
            QuestionError: the messages are longer than the model's context.
            ConfigurationError: unknown adapter, or a grammar that cannot be compiled.
        """
        options = options or Options()
        prompt = self.tokenizer.encode(self.tokenizer.render(messages))
        if len(prompt) >= self.shape.context:
            raise QuestionError(
                f"the prompt has {len(prompt):,} tokens and the model reads {self.shape.context - 1:,} at most; "
                "shorten the question, or put long material into documents"
            )
        with self._lock, _threads(self.threads), torch.inference_mode():
            model = self._model(options.adapter)
            decoder = self.tokenizer.decoder(options.stop)
            stops, cancel = self.tokenizer.stops, cancel or Event()
            run = Run(model, options, self._matcher(options), decoder, stops=stops, on_text=on_text, cancel=cancel)
            if not options.reuse:
                return run.write(Cache(self.shape), prompt)
            cache = self._prefixes.take(options.adapter, prompt)
            try:
                return run.write(cache, prompt)
            finally:
                self._prefixes.put(options.adapter, cache)

    def _matcher(self, options: Options) -> LLMatcher | None:
        if options.pattern is None and options.json_schema is None:
            return None
        if self._grammars is None:
            self._grammars = Grammars(self.tokenizer.grammars.result())
        return self._grammars.matcher(options.pattern, options.json_schema)

    def _model(self, adapter: str | None) -> Llama:
        if adapter not in self._models:
            if adapter is not None and adapter not in self._adapters:
                raise ConfigurationError(f"unknown adapter {adapter!r}; add it with add_adapter() first")
            weights = read_weights(self.folder)
            if adapter is not None:
                weights = merge_lora(weights, self._adapters[adapter])
            with torch.inference_mode():
                self._models[adapter] = Llama(self.shape, weights, next(iter(self._models.values()), None))
        return self._models[adapter]


def _default_threads() -> int:
    # Threads that multiply small matrices wait for each other thousands of times a second. On two cores of which
    # another process used one, two threads took five times as long as one; on two free cores they saved a fifth.
    return max(1, min(4, torch.get_num_threads() // 2))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
