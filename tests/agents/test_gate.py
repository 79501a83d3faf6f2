import pytest

from anabranch.agents.gate import auto, resolve_gate
from anabranch.errors import ConfigurationError


@pytest.mark.parametrize("question", ["hello", "Hi there!", "thanks", "ok", ""])
def test_small_talk_is_answered_directly(question: str) -> None:
    assert not auto(question)


@pytest.mark.parametrize("question", ["Who wrote the first compiler and when?", "12*3", "why?", "为什么？", "لماذا؟"])
def test_what_may_be_a_question_is_planned_for(question: str) -> None:
    assert auto(question)


def test_gates_by_name() -> None:
    assert resolve_gate("auto") is auto
    assert resolve_gate("always")("hi")


def test_a_function_is_taken_as_it_is() -> None:
    def never(_question: str) -> bool:
        return False

    assert resolve_gate(never) is never


@pytest.mark.parametrize("gate", ["never", "", None, 1])
def test_unknown_gates_are_refused(gate: object) -> None:
    with pytest.raises(ConfigurationError, match="use auto, always, or a function"):
        resolve_gate(gate)  # type: ignore[arg-type]
