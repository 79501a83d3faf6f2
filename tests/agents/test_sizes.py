import pytest

from anabranch.agents.sizes import size_told


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-Coder-1.5B-Instruct", 1.5e9),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 135e6),
        ("decomposer-135m", 135e6),
        ("org/7b", 7e9),
        ("org/model-0.5B@main", 0.5e9),
        ("mixtral-8x7b", None),
        ("gpt-5-mini", None),
        ("", None),
    ],
)
def test_the_size_that_a_name_tells(name: str, size: float | None) -> None:
    assert size_told(name) == size
