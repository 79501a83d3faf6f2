"""Prompts of baselines that the product does not use, and their version.

Chain of thought and guided solving take the product's own, from `anabranch.agents.prompts`.
"""

import hashlib
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from anabranch.agents.prompts import GUIDED_CLOSING, GUIDED_INSTRUCTION, name_slots
from anabranch.batch.examples import Paragraph
from anabranch.plan import Plan

DIRECT_INSTRUCTION = """\
Answer the question in at most five words, without any reasoning or explanation. \
If the answer is a number, give the number alone."""
"""The paper's single stage (arXiv 2402.15000, section 3), in our words: it forbids reasoning."""

DECOMPOSE_INSTRUCTION = """\
Break the question down into the sub-questions that help most to answer it, three at most, one a line, without \
answering them."""
"""The paper's first stage, in our words; three sub-questions did best there.

The paper's also allows "No decomposition"; a 1.5B model took that way out for every question.
"""

DECOMPOSE_CLOSING = "Do not answer it yet. Write the sub-questions only, one a line."
"""Ends the first stage's request: with the question last, a 1.5B model answered it, yes-or-no questions above all."""

TWO_STAGE_INSTRUCTION = """\
Answer the sub-questions one by one, and then the question. End with the final answer alone on the last line, \
after "Answer:"."""
"""The paper's second stage, in our words."""

PROGRAM_INSTRUCTION = """\
Write one short Python program that computes the answer to the question and prints it, and nothing else. Name the \
quantities, then compute. Only the standard modules math, re, datetime, itertools and collections are there; no files, \
no network, no input. Reply with the program in one ```python block."""

PROGRAM_GUIDE = "Let these sub-questions be the steps of the program:"

REACT_INSTRUCTION = """\
Answer the question. Use the tools to look up what you need, one thing at a time; do not answer from memory. When you \
know the answer, write it on the last line after "Answer:", short and complete."""
"""Without "think step by step": told that, a 1.5B model tells of look-ups in place of making them."""

IRCOT_INSTRUCTION = """\
Answer the question step by step from the passages, one sentence at a time. Write the next sentence only: a fact that \
leads to the answer, or what has to be looked up next. When you know the answer, write "So the final answer is:" and \
the answer."""
"""In our words; the paper (arXiv 2212.10509) shows worked examples of the datasets instead."""

SELF_ASK_INSTRUCTION = """\
Answer the last question as the examples do: ask follow-up questions one at a time, whose answers you are given, and \
then give the final answer, short. Write the next line only."""

FOLLOW_UP, INTERMEDIATE, FINAL = "Follow up:", "Intermediate answer:", "So the final answer is:"
"""The form of self-ask (arXiv 2210.03350)."""

SELF_ASK_EXAMPLES = """\
Question: Who was born first, the architect of the Torvik Bridge or the painter of "Grey Harbour"?
Follow up: Who was the architect of the Torvik Bridge?
Intermediate answer: Signe Aldahl
Follow up: When was Signe Aldahl born?
Intermediate answer: 1871
Follow up: Who painted "Grey Harbour"?
Intermediate answer: Ivo Brandt
Follow up: When was Ivo Brandt born?
Intermediate answer: 1864
So the final answer is: Ivo Brandt

Question: In which country is the town where the founder of the Kessler Works died?
Follow up: Who founded the Kessler Works?
Intermediate answer: Johann Kessler
Follow up: Where did Johann Kessler die?
Intermediate answer: Brunnfeld
Follow up: In which country is Brunnfeld?
Intermediate answer: Austria
So the final answer is: Austria"""
"""Of our own; nothing in them exists."""

PASSAGES = "Passages:"


def version() -> str:
    """Short hash of these prompts."""
    texts = [f"{name}={value!r}" for name, value in sorted(globals().items()) if name.isupper()]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def direct_messages(question: str) -> list[BaseMessage]:
    """The answer alone, without reasoning."""
    return [SystemMessage(DIRECT_INSTRUCTION), HumanMessage(question)]


def unguided_messages(question: str) -> list[BaseMessage]:
    """The product's guided prompt without its plan: what the form of the prompt does by itself."""
    return [SystemMessage(GUIDED_INSTRUCTION), HumanMessage(f"{question}\n\n{GUIDED_CLOSING}")]


def decompose_messages(question: str) -> list[BaseMessage]:
    """The paper's first stage."""
    return [SystemMessage(DECOMPOSE_INSTRUCTION), HumanMessage(f"Question: {question}\n\n{DECOMPOSE_CLOSING}")]


def two_stage_messages(question: str, steps: Sequence[str]) -> list[BaseMessage]:
    """The paper's second stage."""
    listed = "\n".join(steps)
    return [SystemMessage(TWO_STAGE_INSTRUCTION), HumanMessage(f"{question}\n\nSub-questions:\n{listed}")]


def program_messages(question: str, plan: Plan) -> list[BaseMessage]:
    """One program, along the plan if there is one."""
    guide = "\n".join(f"{step.id}. {name_slots(step.text)}" for step in plan.sub_questions)
    request = f"{question}\n\n{PROGRAM_GUIDE}\n{guide}" if guide else question
    return [SystemMessage(PROGRAM_INSTRUCTION), HumanMessage(request)]


def ircot_messages(question: str, thoughts: Sequence[str]) -> list[BaseMessage]:
    """The next sentence of a chain of thought over the passages so far."""
    said = "\n".join(["Reasoning so far:", *thoughts]) + "\n\n" if thoughts else ""
    return [SystemMessage(IRCOT_INSTRUCTION), HumanMessage(f"{question}\n\n{said}Next sentence:")]


def self_ask_messages(question: str, told: Sequence[tuple[str, str]], *, last: bool) -> list[BaseMessage]:
    """The next follow-up question, or the final answer; the first question is begun for the model.

    Args:
        question: the question.
        told: the follow-up questions so far, with their answers.
        last: whether the answer has to come now.
    """
    lines = [line for asked, answer in told for line in (f"{FOLLOW_UP} {asked}", f"{INTERMEDIATE} {answer}")]
    begun = [FINAL] if last else [FOLLOW_UP][len(told) :]
    shown = "\n".join([f"Question: {question}", *lines, *begun])
    return [SystemMessage(SELF_ASK_INSTRUCTION), HumanMessage(f"{SELF_ASK_EXAMPLES}\n\n{shown}")]


def with_passages(question: str, passages: Sequence[Paragraph]) -> str:
    """A question with passages before it."""
    listed = "\n\n".join(f"[{n}] {passage.title}: {passage.text}" for n, passage in enumerate(passages, 1))
    return f"{PASSAGES}\n\n{listed}\n\n{question}" if listed else question
