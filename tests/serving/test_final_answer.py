from hypothesis import given
from hypothesis import strategies as st

from anabranch.replies import final_answer
from anabranch.serving.final_answer import FinalAnswer

WORDS = st.sampled_from(
    ["Answer:", "answer", "**Answer:**", "\n", " ", "x", "42", "**", "final answer: ", "\\boxed{3}", ":", "：", "שלום"]
)


@given(st.lists(WORDS, min_size=1, max_size=12), st.sampled_from(["solve", "join"]))
def test_raw_tokens_give_the_final_answer(tokens: list[str], node: str) -> None:
    final, answer = FinalAnswer(), final_answer("".join(tokens).strip())
    content = "".join(final.take(node, "m", token).content for token in tokens)
    assert content + final.rest(answer) == answer


def test_each_message_begins_anew() -> None:
    final = FinalAnswer("whole")
    assert [final.take("join", id_, "It is").content for id_ in ("a", "b")] == ["It is", "It is"]
