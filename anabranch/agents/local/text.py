"""Between text and tokens: the chat template, encoding, and decoding piece by piece.

`tokenizers` is used directly, as importing transformers takes seconds. A test holds it to what transformers makes of
the same folder.
"""

import codecs
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from llguidance import LLTokenizer
from tokenizers import Tokenizer

from anabranch.agents.local.lora import read_json
from anabranch.agents.local.template import ChatTemplate
from anabranch.errors import ModelUnavailableError


class ChatTokenizer:
    """The tokenizer and chat template of a model folder.

    Args:
        folder: the model folder.
        vocab: rows of the model's output, which can be more than the tokenizer has tokens.

    Attributes:
        stops: tokens that end a turn.
        grammars: the tokenizer as llguidance needs it; it takes most of a second to build and is built aside.
    """

    def __init__(self, folder: Path, vocab: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the tokenizers package raises bare Exception
            raise ModelUnavailableError(f"cannot read {folder / 'tokenizer.json'} ({error})") from error
        config = read_json(folder / "tokenizer_config.json")
        added = self._tokenizer.get_added_tokens_decoder()
        self.special = {number: str(token) for number, token in added.items() if token.special}
        self._template = ChatTemplate(
            _template(folder, config), self.special.values(), _special_names(config), str(folder)
        )
        self.stops = self._stops(folder)
        self.grammars: Future[LLTokenizer] = Future()
        Thread(target=self._build, args=(vocab,), daemon=True, name="anabranch-tokenizer").start()

    def _build(self, vocab: int) -> None:
        try:
            self.grammars.set_result(LLTokenizer(self._tokenizer.to_str(), n_vocab=vocab, eos_token=list(self.stops)))
        except BaseException as error:
            self.grammars.set_exception(error)

    def _stops(self, folder: Path) -> tuple[int, ...]:
        path = folder / "generation_config.json"
        found = (read_json(path) if path.is_file() else {}).get("eos_token_id")
        if found is None:
            found = read_json(folder / "config.json").get("eos_token_id")
        if found is None:
            raise ModelUnavailableError(f"{folder} names no eos_token_id in generation_config.json or config.json")
        return tuple(found) if isinstance(found, list) else (int(found),)

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt for a reply to these messages (see `ChatTemplate.render`)."""
        return self._template.render(messages)

    def encode(self, prompt: str) -> list[int]:
        """The tokens of a rendered prompt."""
        ids: list[int] = self._tokenizer.encode(prompt, add_special_tokens=False).ids
        return ids

    def decoder(self, stop: Sequence[str] = ()) -> "TextDecoder":
        """A decoder for one output."""
        return TextDecoder(self, stop)


class TextDecoder:
    """Turns tokens into text as they come. What it gives out is never taken back.

    Held back are the bytes of a character that is not complete, and the beginning of what may become a stop string.

    Attributes:
        text: all that was given out.
        stopped: whether a stop string was reached; it is not part of the text.
    """

    def __init__(self, tokenizer: ChatTokenizer, stop: Sequence[str]) -> None:
        self.text = ""
        self.stopped = False
        self._tokenizer = tokenizer
        self._stop = [word for word in stop if word]
        self._bytes = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def push(self, token: int) -> str:
        """Takes one token; returns the text that is now certain."""
        if token in self._tokenizer.special or self.stopped:
            return ""
        self._held += self._bytes.decode(self._tokenizer.grammars.result().decode_bytes([token]))
        found = [place for word in self._stop if (place := self._held.find(word)) >= 0]
        if found:
            self.stopped = True
            return self._give(min(found))
        return self._give(len(self._held) - max(map(self._overlap, self._stop), default=0))

    def finish(self) -> str:
        """Returns what was held back, at the end of the output."""
        if self.stopped:
            return ""
        self._held += self._bytes.decode(b"", final=True)
        return self._give(len(self._held))

    def _overlap(self, word: str) -> int:
        longest = min(len(word) - 1, len(self._held))
        return next((size for size in range(longest, 0, -1) if self._held.endswith(word[:size])), 0)

    def _give(self, length: int) -> str:
        piece, self._held = self._held[:length], self._held[length:]
        self.text += piece
        return piece


def _template(folder: Path, config: Mapping[str, Any]) -> object:
    file = folder / "chat_template.jinja"
    return file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")


def _special_names(config: Mapping[str, Any]) -> dict[str, str]:
    names = {name: config.get(name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    return {name: token["content"] if isinstance(token, dict) else token for name, token in names.items() if token}
