"""Whether an answer is the right one: by its number, or by its words; and whether a plan's calls are.

Distillation and evaluation grade alike.

Strict: what is graded is the final answer that `final_answer` takes out of a reply, as users see it, and no more.
Official rules are ported with their source.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from anabranch.plan import SOLVE, Plan
from anabranch.replies import final_answer

_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:\.\d+)?|\.\d+)")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)
_TOLERANCE = 1e-6


def numbers(text: str) -> list[float]:
    """All numbers in a text, without currency signs, thousands separators and per cent signs."""
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.replace("$", " ").replace("−", "-"))
    return [float(match[0]) for match in _NUMBER.finditer(plain)]


def is_number(answer: str, gold: str) -> bool:
    """Whether an answer holds the number `gold` and no other; units around it do not matter, `18.00` is 18."""
    wanted = numbers(gold)
    return len(wanted) == 1 and bool(found := numbers(answer)) and all(same_number(n, wanted[0]) for n in found)


def same_number(left: float, right: float) -> bool:
    """Whether two numbers are the same, but for rounding."""
    return abs(left - right) <= _TOLERANCE * max(1.0, abs(right))


def normalize(text: str) -> str:
    """Lower case, without punctuation, articles and extra spaces.

    Source: SQuAD's evaluate-v1.1.py, which HotpotQA, 2WikiMultihopQA and MuSiQue use too.
    """
    plain = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def right_answer(reply: str, answer: str) -> bool:
    """Whether the final answer of a reply is the answer: that one number, or else the same words."""
    given = final_answer(reply)
    try:
        float(answer.replace(",", ""))
    except ValueError:
        return bool(normalize(given)) and normalize(given) == normalize(answer)
    return is_number(given, answer)


def last_is_number(reply: str, gold: str) -> bool:
    """Whether the last number of a whole reply is `gold`: the usual lenient grade."""
    wanted, found = numbers(gold), numbers(reply)
    return len(wanted) == 1 and bool(found) and same_number(found[-1], wanted[0])


def exact_match(answer: str, golds: Iterable[str]) -> bool:
    """Whether the normalized answer is one of the normalized references."""
    return normalize(answer) in {normalize(gold) for gold in golds}


def token_f1(answer: str, golds: Sequence[str]) -> float:
    """Overlap of words with the best reference.

    Source: hotpot_evaluate_v1.py; `yes`, `no` and `noanswer` match themselves only.
    """
    return max((_f1(normalize(answer), normalize(gold)) for gold in golds), default=0.0)


def yes_or_no(answer: str) -> str | None:
    """`yes` or `no`, by the first word of an answer; None where it is neither, or where both occur."""
    words = normalize(answer).split()
    if not words:
        return None
    said = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
    opposite = {"yes": {"no", "false"}, "no": {"yes", "true"}}
    first = said.get(words[0])
    return None if first is None or opposite[first].intersection(words[1:]) else first


def tools_of(plan: Plan, names: Mapping[str, str]) -> list[str]:
    """The tools that a plan calls, in its order."""
    return [names.get(q.route, q.route) for q in plan.sub_questions if q.route != SOLVE]


def dependencies(plan: Plan, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which tools need the result of which, directly or through steps that the solver does by itself."""
    routes = {q.id: q.route for q in plan.sub_questions}
    behind: dict[int, set[int]] = {}
    links: list[tuple[str, str]] = []
    for question in plan.sub_questions:
        needed: set[int] = set()
        for id_ in question.depends_on:
            needed |= behind.get(id_, set()) if routes[id_] == SOLVE else {id_}
        behind[question.id] = needed
        if question.route != SOLVE:
            second = names.get(question.route, question.route)
            links += [(names.get(routes[id_], routes[id_]), second) for id_ in sorted(needed)]
    return links


def multiset_f1(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """F1 of two lists as multisets; 1 where both are empty."""
    if not found and not wanted:
        return 1.0
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


def _f1(answer: str, gold: str) -> float:
    closed = {"yes", "no", "noanswer"}
    if answer != gold and (answer in closed or gold in closed):
        return 0.0
    said, wanted = answer.split(), gold.split()
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)
