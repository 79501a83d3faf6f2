"""What a task is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anabranch.batch.examples import Example
from anabranch.batch.hub import Hub

Scores = Mapping[str, float]
"""Grades between 0 and 1, by the name of the metric."""
Grade = Callable[[str, str, Example], Scores]
"""Takes the final answer, the whole reply and the example."""


@dataclass(frozen=True)
class Task:
    """A kind of question and how it is graded.

    Attributes:
        name: its name on the command line.
        title: its name in reports.
        metric: the headline metric.
        metrics: all metrics, in the order of the report's columns.
        grade: grades an answer.
        paper_grade: the lenient grade of the paper's released code, where it has one.
        hint: added to every question, for all systems alike: the form of the answer.
        hub: the data set it corresponds to on the Hugging Face hub.
    """

    name: str
    title: str
    metric: str
    metrics: tuple[str, ...]
    grade: Grade
    paper_grade: Callable[[str, Example], bool] | None = None
    hint: str = ""
    hub: Hub | None = None
