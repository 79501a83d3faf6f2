import pytest

from anabranch.replies import (
    final_answer,
    json_values,
    replan_reason,
    says_not_found,
    split_thoughts,
    without_mark,
)


@pytest.mark.parametrize(
    ("text", "thoughts", "said"),
    [
        ("<think>It is red.</think>Red", "It is red.", "Red"),
        ("<THINKING>\nIt is red.\n</THINKING>\n\nRed", "It is red.", "Red"),
        ("It is red, I guess.\n</think>\n\nRed", "It is red, I guess.", "Red"),
        ("<think>a</think>\n<think>b</think> c", "a\n\nb", "c"),
        ("<think>It goes on and", "It goes on and", ""),
        ("Well.\n<think>Hm.</think>\nRed", "Hm.", "Well.\n\nRed"),
        ("Answer: <reasoning>Hm.</reasoning> Red", "Hm.", "Answer: Red"),
        ("the <think> tag", "", "the <think> tag"),
        ("between <think> and </think> it thinks", "", "between <think> and </think> it thinks"),
        ("```xml\n<think>a</think>\n```", "", "```xml\n<think>a</think>\n```"),
        ("1 < 2", "", "1 < 2"),
        ("", "", ""),
    ],
)
def test_thoughts_are_told_from_what_is_said(text: str, thoughts: str, said: str) -> None:
    assert split_thoughts(text) == (thoughts, said)


# The answer in a reply


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 42", "42"),
        ("6 times 7.\nAnswer: 42", "42"),
        ("Answer: 41. No.\nAnswer: 42", "42"),
        ("answer: 42", "42"),
        ("ANSWER : 42", "42"),
        ("The final answer: 42", "42"),
        ("**Answer:** 42", "42"),
        ("**Answer**: 42", "42"),
        ("**Answer: 42**", "42"),
        ("Answer: **42**", "42"),
        ("### Final Answer:\n42\n", "42"),
        ("Answer:\n\n- one\n- two", "- one\n- two"),
        ("答案 Answer：42", "42"),
        ("Answer: ratio 3:4", "ratio 3:4"),
        ("So the total is \\(\\boxed{41}\\), no: \\(\\boxed{42}\\).", "42"),
        ("It is \\boxed{41}.\nAnswer: 42", "42"),
        ("Answer: \\(\\boxed{42}\\)", "42"),
        ("Answer: $\\boxed{42}$", "42"),
        ("So John has \\[\\boxed{42 \\text{ dollars}}.\\]", "42 dollars"),
        ("Answer: John has \\(\\boxed{42}\\) dollars.", "John has 42 dollars."),
        ("Answer: \\$42, that is 50\\%", "$42, that is 50%"),
        ("Answer: 42$", "42$"),
        ("Answer: \\frac{1}{2}", "\\frac{1}{2}"),
        ("It costs \\$5", "It costs \\$5"),
        ("Answer: a * b ** 2", "a * b ** 2"),
        ("Answer: **a** or **b**", "**a** or **b**"),
        ("42", "42"),
        (" The answer is 42. ", "The answer is 42."),
        ("I answered that: no", "I answered that: no"),
        ("Answer:", "Answer:"),
        ("It is so.\nAnswer: ", "It is so.\nAnswer:"),
        ("", ""),
        ("\n ", ""),
        ("**", "**"),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


def test_final_answer_of_a_long_reply_is_quick() -> None:
    text = ("answer " * 20_000) + "answer" + " " * 20_000 + "Answer: 42"
    assert final_answer(text) == "42"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It is 3 m.\nAnswer: 4 m\n\n(A remark on the answer: rounded.)", "4 m\n\n(A remark on the answer: rounded.)"),
        ("```python\n# answer: 1\nx = 1\n```", "```python\n# answer: 1\nx = 1\n```"),
        (r"It is $\boxed{\frac{\sqrt{5}}{3}}$.", r"\frac{\sqrt{5}}{3}"),
        (r"An open \boxed{1", r"An open \boxed{1"),
        ("So my final answer: 4", "4"),
        ("A question-and-answer: no", "A question-and-answer: no"),
    ],
)
def test_the_mark_and_the_box_are_found_where_they_stand(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Answer: 4", "4"),
        ("**Final answer:** 4", "4"),
        ("**Answer: 4**", "4"),
        ("It is 4.\nAnswer: 4", "It is 4.\nAnswer: 4"),
        ("Answer:", "Answer:"),
        ("4", "4"),
    ],
)
def test_only_a_mark_at_the_beginning_is_dropped(text: str, bare: str) -> None:
    assert without_mark(text) == bare


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NOT FOUND", True),
        ("Not found.", True),
        ("<NOT_FOUND>", True),
        ("Answer: NOT FOUND", True),
        ("NOT FOUND (it is about cats)", True),
        ("Nothing on that; NOT FOUND.", True),
        ("Not found in 1815, but in 1816.", False),
        ("404 NOT FOUND", False),
        ("NOT FOUNDED", False),
        ("the lost and not found", False),
    ],
)
def test_not_found_in_any_form(text: str, says: bool) -> None:
    assert says_not_found(text) is says


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("REPLAN: the year", "the year"),
        ("**REPLAN:** the year", "the year"),
        ("`REPLAN: the year`", "the year"),
        ("[REPLAN] the year", "the year"),
        ("Replan: the year", "the year"),
        ("Answer: REPLAN: the year", "the year"),
        ("That is not enough.\n\nREPLAN: the\nyear", "the year"),
        ("REPLAN", "the answers are not enough"),
        ("Replanning the town took years.", None),
        ("They had to replan: it rained.", None),
        ("In 1815.", None),
    ],
)
def test_a_wish_for_a_new_plan_in_any_form(text: str, reason: str | None) -> None:
    assert replan_reason(text) == reason


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ('Use {a}: {"a": {"b": [1]}} and {b}.', [{"a": {"b": [1]}}]),
        ('{} then [{"a": 1}]', [{}, [{"a": 1}]]),
        ('```json\n{"a": "x\ny"}\n```', [{"a": "x\ny"}]),
        ('<think>{"a": 1}</think>{"a": 2}', [{"a": 2}]),
        ("{'a': None, 'b': 'it is',}", [{"a": None, "b": "it is"}]),
        ('"{\\"a\\": 1}"', [{"a": 1}]),
        ("{1, 2} and {a}", []),
        ('{"a": ' + "9" * 5000 + "}", []),
        ('{"a":' * 50_000, []),
        ("{'a':" * 50_000, []),
        ("{" * 100_000, []),
    ],
)
def test_json_is_found_in_a_reply(text: str, values: list[object]) -> None:
    assert json_values(text) == values


@pytest.mark.timeout(60)  # quadratic time would take longer
@pytest.mark.parametrize(
    "text",
    ["Answer: " + "<think>\n" * 25_000, "Answer:\n```\n```\n" * 12_000, "<think>\n</think>\n" * 12_000],
)
def test_replies_of_200_kb_with_many_marks_are_read_in_time(text: str) -> None:
    split_thoughts(text)
    final_answer(text)
    json_values(text)


def test_blocks_of_thoughts_in_other_letters_and_unclosed_ones() -> None:
    assert split_thoughts("So:\n<thoughtſ>x</THOUGHTS> a\n<think>b\n<reasoning>c</reasoning>d") == (
        "x\n\nc",
        "So:\na\n<think>b\nd",
    )
