"""What running a plan was worth: rewards, the user's own included, and advantages over plans of the same question."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from anabranch.batch.examples import Example
from anabranch.errors import ConfigurationError
from anabranch.grading import token_f1
from anabranch.plan import Plan

NO_PLAN = -0.5
"""Reward of a reply that is no valid plan."""
STEP = 0.04
"""What a sub-question costs, so that of two plans that find the same the shorter one is preferred."""
_FLAT = 0.05
"""Added to the standard deviation of a group's rewards, so that differences far below it do not drive a step."""


@dataclass(frozen=True)
class Outcome:
    """What became of one plan of a question.

    Attributes:
        example: the question, its reference answers and the titles of its supporting passages.
        plan: the plan; None where the reply is not a valid one.
        answer: the joined answer.
        last: the answer to the last sub-question; empty where it failed.
        found: titles of the passages that its look-ups found, each once.
        problem: why there is no plan.
    """

    example: Example
    plan: Plan | None
    answer: str = ""
    last: str = ""
    found: tuple[str, ...] = ()
    problem: str = ""

    @property
    def steps(self) -> int:
        """Number of sub-questions."""
        return len(self.plan.sub_questions) if self.plan else 0

    @property
    def recall(self) -> float | None:
        """Share of the supporting passages that were found; None where the question names none."""
        wanted = set(self.example.supporting)
        return len(wanted.intersection(self.found)) / len(wanted) if wanted else None

    @property
    def f1(self) -> float:
        """F1 of the joined answer, from 0 to 1."""
        return token_f1(self.answer, self.example.answers)

    @property
    def last_f1(self) -> float:
        """F1 of the last sub-question's answer, from 0 to 1."""
        return token_f1(self.last, self.example.answers)


Reward = Callable[[Outcome], float]
"""What an outcome is worth; only differences between plans of the same question count."""


def found_and_answered(outcome: Outcome) -> float:
    """Recall of the supporting passages, half of each F1, less a little for each step; `NO_PLAN` without a plan."""
    if outcome.plan is None:
        return NO_PLAN
    return (outcome.recall or 0.0) + 0.5 * outcome.f1 + 0.5 * outcome.last_f1 - STEP * outcome.steps


def reward_named(name: str | None) -> Reward:
    """The reward function that `module:function` names; modules of the working directory are found, too.

    Args:
        name: the name; None for `found_and_answered`.

    Raises:
        ConfigurationError: there is no such function.
    """
    if name is None:
        return found_and_answered
    module, _, function = name.partition(":")
    if not module or not function:
        raise ConfigurationError(f"{name!r} names no reward function; write module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), function)
    except Exception as error:  # whatever the user's module raises while it is imported
        told = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"cannot import the reward function {name}: {told}; check the name") from error
    if not callable(found):
        raise ConfigurationError(f"{name} is no function; name one that takes an outcome and returns a number")
    reward: Reward = found
    return reward


def rewards(outcomes: Sequence[Outcome], reward: Reward) -> tuple[list[float] | None, str]:
    """The rewards of a question's plans; None, with the reason, where one could not be had.

    A group is left out whole: without one of its members, its mean is that of other plans.

    Args:
        outcomes: of all plans of a question.
        reward: the reward function.
    """
    found = []
    for outcome in outcomes:
        try:
            value = float(reward(outcome))
        except Exception as error:  # it is the user's: a run of hours is not to end by it
            return None, f"the reward function raised {type(error).__name__}: {error}"
        if not math.isfinite(value):
            return None, f"the reward function returned {value}"
        found.append(value)
    return found, ""


def advantages(group: Sequence[float]) -> list[float]:
    """How much better each plan was than the mean of its group, in standard deviations.

    Source: group-relative policy optimisation (GRPO), arXiv 2402.03300, section 4.1.

    Args:
        group: the rewards of a question's plans.
    """
    mean = sum(group) / len(group)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in group) / len(group))
    return [(value - mean) / (deviation + _FLAT) if deviation else 0.0 for value in group]
