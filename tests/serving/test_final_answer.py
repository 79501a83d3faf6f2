import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.agents.solver import final_answer
from anabranch.serving.final_answer import FinalAnswer

WORDS = st.sampled_from(
    [
        "Answer:",
        "answer",
        "**Answer:**",
        "\n",
        " ",
        "  ",
        "x",
        "42",
        "**",
        "*",
        "final answer: ",
        "\\boxed{3}",
        ":",
        "：",
        "שלום",
    ]
)


def shown(node: str, tokens: list[str], answer: str) -> tuple[list[str], str]:
    """What a client sees as content, piece by piece and with the rest, and the reasoning."""
    final, pieces, reasoning = FinalAnswer(), [], ""
    for token in tokens:
        delta = final.take(node, "m", token)
        pieces += [delta.content] if delta.content else []
        reasoning += delta.reasoning
    rest = final.rest(answer)
    return [*pieces, rest] if rest else pieces, reasoning


@pytest.mark.parametrize(
    ("tokens", "pieces", "reasoning"),
    [
        (["So", " it", " is.\nAns", "wer:", " 4", "2", " apples"], ["4", "2", " apples"], "So it is.\nAnswer:"),
        (["Answer: ", "**", "42", "**"], ["42"], "Answer: "),
        (["**Answer:** ", "yes"], ["yes"], "**Answer:** "),
        (["no mark ", "at all"], ["no mark at all"], "no mark at all"),
        (["the answer: is", " 4"], ["is 4"], "the answer: is 4"),
        (["Answer: 5? No.", "\nAnswer: 6"], ["5? No.", "\nAnswer: 6"], "Answer: "),
        (["Answer: a ", "\n", " \n", "b"], ["a", " \n \nb"], "Answer: "),
    ],
)
def test_a_solver(tokens: list[str], pieces: list[str], reasoning: str) -> None:
    assert shown("solve", tokens, final_answer("".join(tokens))) == (pieces, reasoning)


@pytest.mark.parametrize(
    ("tokens", "answer", "pieces"),
    [
        (["The", " end", "."], "The end.", ["The", " end", "."]),
        (["RE", "PLAN", ": more"], "another", ["another"]),
        (["RE", "AD it"], "READ it", ["READ it"]),
        (["\n", " x"], "x", ["x"]),
        (["Ans", "wer", ": ", "4", "2"], "42", ["4", "2"]),
        (["**", "Final answer", ":** ", "**42**"], "42", ["42"]),
        (["Answer:", " REPLAN: more"], "another", ["another"]),
        (["Answers", " differ."], "Answers differ.", ["Answers", " differ."]),
        (["It was 42.", "\nAnswer: 42"], "42", ["It was 42.", "\nAnswer: 42"]),
    ],
)
def test_a_joiner(tokens: list[str], answer: str, pieces: list[str]) -> None:
    assert shown("join", tokens, answer) == (pieces, "")


def test_an_answer_no_model_wrote() -> None:
    assert shown("solve", [], "1952") == (["1952"], "")


@given(st.lists(WORDS, min_size=1, max_size=12))
def test_whatever_a_solver_writes_the_client_has_the_answer(tokens: list[str]) -> None:
    answer = final_answer("".join(tokens).strip())
    assert "".join(shown("solve", tokens, answer)[0]).endswith(answer)


@given(st.lists(WORDS | st.sampled_from(["REPLAN", "RE"]), min_size=1, max_size=12))
def test_whatever_a_joiner_writes_the_client_has_the_answer(tokens: list[str]) -> None:
    answer = final_answer("".join(tokens).strip())
    assert "".join(shown("join", tokens, answer)[0]).endswith(answer)
