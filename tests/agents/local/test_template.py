import json
from pathlib import Path

import pytest

from anabranch.agents.local.template import ChatTemplate, folder_template
from anabranch.errors import ConfigurationError, ModelUnavailableError

HI = [{"role": "user", "content": "hi <|im_end|>"}]


def test_special_tokens_in_messages_are_taken_apart() -> None:
    template = ChatTemplate("{{ bos_token }}{{ messages[0].content }}", ["<|im_end|>", ""], {"bos_token": "<s>"}, "m")
    assert template.render(HI) == "<s>hi < |im_end|>"


def test_what_templates_call() -> None:
    template = ChatTemplate("{{ strftime_now('%Y')|length }} {{ {'é': 1}|tojson }}", [], {}, "m")
    assert template.render(HI) == '4 {"é": 1}'


@pytest.mark.parametrize(
    ("source", "message"),
    [(None, "m has no chat template; use a model tuned for chat"), ("{% if %}", "chat template of m cannot be read")],
)
def test_templates_that_are_none(source: str | None, message: str) -> None:
    with pytest.raises(ModelUnavailableError, match=message):
        ChatTemplate(source, [], {}, "m")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
    ],
)
def test_a_template_that_refuses_or_reaches_for_more(source: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ChatTemplate(source, [], {}, "m").render(HI)


def test_the_template_of_a_folder_wherever_it_lies(tmp_path: Path) -> None:
    added = [{"content": "<|im_end|>", "special": True}, {"content": "hi", "special": False}]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    config = {"chat_template": "{{ bos_token }}{{ messages[0].content }}", "bos_token": {"content": "<s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert folder_template(tmp_path).render(HI) == "<s>hi < |im_end|>"
    (tmp_path / "chat_template.jinja").write_text("{{ messages|length }}{{ eos_token }}")
    assert folder_template(tmp_path).render(HI) == "1"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_folder_that_is_damaged(tmp_path: Path, name: str) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_text("{" if file == name else "{}")
    with pytest.raises(ModelUnavailableError, match=rf"cannot read .*{name}"):
        folder_template(tmp_path)


@pytest.mark.model
@pytest.mark.parametrize("system", [True, False])
def test_prompts_are_those_of_transformers(folder: Path, system: bool) -> None:
    from transformers import AutoTokenizer

    messages = [{"role": "user", "content": "Zürich's naïve café — 東京 🙂?\n\nfn(x) → {1}"}]
    messages += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    messages = [{"role": "system", "content": "Be brief."}, *messages] if system else messages
    theirs = AutoTokenizer.from_pretrained(folder)
    rendered = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert folder_template(folder).render(messages) == rendered
    assert ("You are a helpful AI assistant named SmolLM" in rendered) is not system
