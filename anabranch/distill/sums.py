"""Small word problems, written as templates: the everyday arithmetic that a demo or a first user asks."""

import re
from collections.abc import Sequence
from random import Random

from anabranch.distill import vocabulary as words
from anabranch.distill.records import Step

_Sum = tuple[str, Sequence[tuple[str, str]]]

SUMS: Sequence[_Sum] = (
    (
        "A baker makes <a> <k> of <b> <i> and sells <s>. How many <i> are left?",
        (
            ("How many <i> are in <a> <k> of <b> <i>?", "<a> * <b>"),
            ("How many of the {1} <i> are left after <s> are sold?", "{1} - <s>"),
        ),
    ),
    (
        "<p> has <a> <k> with <b> <i> each and gives away <s>. How many <i> are left?",
        (
            ("How many <i> are in <a> <k> with <b> <i> each?", "<a> * <b>"),
            ("How many of the {1} <i> are left after giving away <s>?", "{1} - <s>"),
        ),
    ),
    (
        "A shop has <a> <k> of <b> <i> and sells <s> <i>. How many <i> does it still have?",
        (
            ("How many <i> are in <a> <k> of <b> <i>?", "<a> * <b>"),
            ("How many of the {1} <i> are left after <s> are sold?", "{1} - <s>"),
        ),
    ),
    (
        "<p> buys <a> <i> for $<b> each and pays with $<g>. How much change does <p> get?",
        (
            ("How much do <a> <i> cost at $<b> each?", "<a> * <b>"),
            ("How much change is left from $<g> after paying ${1}?", "<g> - {1}"),
        ),
    ),
    (
        "A train goes <b> km an hour for <a> hours and then <c> km an hour for <d> hours. How far does it go?",
        (
            ("How far does a train go in <a> hours at <b> km an hour?", "<b> * <a>"),
            ("How far does a train go in <d> hours at <c> km an hour?", "<c> * <d>"),
            ("How far is {1} km and {2} km together?", "{1} + {2}"),
        ),
    ),
    (
        "A cyclist rides <a> hours at <b> km per hour and <d> hours at <c> km per hour. What is the total distance?",
        (
            ("How far does the cyclist ride in <a> hours at <b> km per hour?", "<b> * <a>"),
            ("How far does the cyclist ride in <d> hours at <c> km per hour?", "<c> * <d>"),
            ("What is the total of {1} km and {2} km?", "{1} + {2}"),
        ),
    ),
    (
        "<p> earns $<b> an hour and works <a> hours a day. How much does <p> earn in <d> days?",
        (
            ("How much does <p> earn in a day of <a> hours at $<b> an hour?", "<b> * <a>"),
            ("How much is {1} dollars a day for <d> days?", "{1} * <d>"),
        ),
    ),
    (
        "<p> has <g> <i> and <q> has <b>. How many more <i> does <p> have than <q>?",
        (("How many more <i> are <g> than <b>?", "<g> - <b>"),),
    ),
    (
        "There are <g> <i>. <p> packs them into <k> of <a>. How many <k> does <p> fill?",
        (("How many <k> of <a> <i> can be filled with <g> <i>?", "<g> / <a>"),),
    ),
    (
        "<p> reads <a> pages on Monday, <b> on Tuesday and twice Monday's number on Wednesday. How many pages is that?",
        (
            ("How many pages are twice as many as <a>?", "2 * <a>"),
            ("How many pages are <a>, <b> and {1} together?", "<a> + <b> + {1}"),
        ),
    ),
    (
        "<p> had <g> <i>, lost <a> of them and then bought <b> more. How many <i> does <p> have now?",
        (
            ("How many of <g> <i> are left after losing <a>?", "<g> - <a>"),
            ("How many <i> are there after adding <b> to {1}?", "{1} + <b>"),
        ),
    ),
    (
        "A box of <i> costs $<b>. <p> and <q> share <a> boxes equally. How much does each pay?",
        (
            ("How much do <a> boxes cost at $<b> each?", "<a> * <b>"),
            ("How much does each of 2 people pay for ${1}?", "{1} / 2"),
        ),
    ),
    (
        "<p> saves $<b> every week. How many weeks until <p> has $<g>, starting with $<a>?",
        (
            ("How many dollars are missing from $<a> to $<g>?", "<g> - <a>"),
            ("How many weeks does it take to save ${1} at $<b> a week?", "{1} / <b>"),
        ),
    ),
    (
        "A theatre sells <a> tickets at $<b> and <c> tickets at $<d>. How much does it take in?",
        (
            ("How much do <a> tickets at $<b> bring in?", "<a> * <b>"),
            ("How much do <c> tickets at $<d> bring in?", "<c> * <d>"),
            ("How much are ${1} and ${2} together?", "{1} + {2}"),
        ),
    ),
    (
        "<p> pays $<b> for <i> with <t>% off. How much does <p> save?",
        (("How much is <t>% of $<b>?", "<t> / 100 * <b>"),),
    ),
    (
        "A coat costs $<g>. In the sale it is <t>% cheaper. What does it cost in the sale?",
        (
            ("How much is <t>% of $<g>?", "<t> / 100 * <g>"),
            ("What does a coat of $<g> cost after taking off ${1}?", "<g> - {1}"),
        ),
    ),
    (
        "A boat makes <a> trips a day with <b> people. How many people does it carry in <d> days?",
        (
            ("How many people does the boat carry a day with <a> trips of <b> people?", "<a> * <b>"),
            ("How many people are {1} a day for <d> days?", "{1} * <d>"),
        ),
    ),
    (
        "<p> is <a> years old. <q> is <d> times as old. How old will <q> be in <c> years?",
        (
            ("How old is someone who is <d> times as old as <a>?", "<d> * <a>"),
            ("How old will someone of {1} be in <c> years?", "{1} + <c>"),
        ),
    ),
    ("What is <a> times <b>?", (("What is <a> times <b>?", "<a> * <b>"),)),
    ("What is <g> minus <b>?", (("What is <g> minus <b>?", "<g> - <b>"),)),
    ("What is <t>% of <g>?", (("What is <t>% of <g>?", "<t> / 100 * <g>"),)),
    ("How much is <a> + <b> * <c>?", (("How much is <a> + <b> * <c>?", "<a> + <b> * <c>"),)),
    ("Compute (<g> - <b>) / <a>.", (("Compute (<g> - <b>) / <a>.", "(<g> - <b>) / <a>"),)),
)
"""Question, then text and expression of each step. `<a>` to `<d>` are small, `<g>` is large, `<s>` less than a * b."""


def sum_demonstration(random: Random) -> tuple[str, list[Step]]:
    """A question with the steps that answer it; their answers are not filled in."""
    question, steps = random.choice(SUMS)
    values = _values(random)

    def filled(text: str) -> str:
        return re.sub(r"<([a-z])>", lambda match: values[match[1]], text)

    made = [Step(text=filled(text), kind="arithmetic", expression=filled(expression)) for text, expression in steps]
    return filled(question), made


def _values(random: Random) -> dict[str, str]:
    a, b, c, d = (random.choice((random.randint(2, 12), random.randint(2, 60))) for _ in range(4))
    people = random.sample(words.FIRST, 2)
    return {
        "a": str(a), "b": str(b), "c": str(c), "d": str(d), "g": str(random.randint(70, 2000)),
        "s": str(random.randint(1, a * b)), "t": str(random.choice((5, 10, 15, 20, 25, 30, 40, 50, 75))),
        "p": people[0], "q": people[1], "i": random.choice(words.ITEMS), "k": random.choice(words.BOXES),
    }  # fmt: skip
