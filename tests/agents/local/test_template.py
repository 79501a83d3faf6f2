import pytest

from anabranch.agents.local.template import ChatTemplate
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
