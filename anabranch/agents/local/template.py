"""The chat template of a model: from messages to the text of a prompt.

`jinja2` is used directly, as importing transformers takes seconds. A test holds prompts to what transformers makes.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from anabranch.agents.local.model_folder import read_json, token_text, tokenizer_config
from anabranch.errors import ConfigurationError, ModelUnavailableError


class ChatTemplate:
    """A chat template, in the form of transformers.

    Args:
        source: its text.
        special: texts of the special tokens.
        names: what the template knows some of them as, such as `bos_token`.
        where: what it is the template of, for error messages.

    Raises:
        ModelUnavailableError: there is none, or it cannot be read.
    """

    def __init__(self, source: object, special: Collection[str], names: Mapping[str, str], where: str) -> None:
        if not isinstance(source, str):
            raise ModelUnavailableError(f"{where} has no chat template; use a model tuned for chat")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        environment.filters["tojson"] = _json
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise ModelUnavailableError(f"the chat template of {where} cannot be read: {error}") from error
        self._special = [token for token in special if token]
        self._names = names

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt for a reply to these messages, exactly as the model's chat template makes it.

        Special tokens inside the messages are taken apart (`<|im_end|>` becomes `< |im_end|>`): a question cannot end
        its own turn. Without a system message, the template of SmolLM2 puts in its default one, here as under vLLM
        or in training, so that the same messages are the same prompt everywhere; give a system message to avoid it.

        Raises:
            ConfigurationError: the template does not accept the messages, such as an order of roles.
        """
        safe = [{**message, "content": self._defuse(message["content"])} for message in messages]
        try:
            return self._template.render(messages=safe, add_generation_prompt=True, **self._names)
        except jinja2.TemplateError as error:
            raise ConfigurationError(f"the model's chat template refuses the messages: {error}") from error

    def _defuse(self, content: str) -> str:
        for token in self._special:
            if token in content:
                content = content.replace(token, f"{token[0]} {token[1:]}")
        return content


def folder_template(folder: Path) -> ChatTemplate:
    """The chat template of a transformers model folder.

    Raises:
        ModelUnavailableError: there is none, or a file of the folder is missing or damaged.
    """
    added, config = read_json(folder / "tokenizer.json").get("added_tokens", []), tokenizer_config(folder)
    special = [str(token["content"]) for token in added if token.get("special")]
    names = {name: token_text(config.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    return ChatTemplate(
        config.get("chat_template"), special, {name: text for name, text in names.items() if text}, str(folder)
    )


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
