"""How far a plan is, out of the events that the planner tells while it runs."""

from collections.abc import Mapping
from typing import Any, Literal

# Of the package and not of `typing`: on Python 3.11, pydantic makes JSON schemas of no other.
from typing_extensions import TypedDict

from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.slots import fill


class Todo(TypedDict):
    """A sub-question, in the form of LangChain's todo lists, which user interfaces draw.

    Attributes:
        content: its text.
        status: `in_progress` while it is looked up; `completed` when it has an answer; `pending` where it waits or
            failed, so that it is left to others.
    """

    content: str
    status: Literal["pending", "in_progress", "completed"]


class Progress:
    """A plan, and which of its sub-questions have begun and have answers.

    Args:
        plan: the plan so far.
        answers: what has an answer already.

    Attributes:
        plan: the plan.
        answers: answers by sub-question id, failed ones included.
    """

    def __init__(self, plan: Plan | None = None, answers: Mapping[int, Answer] | None = None) -> None:
        self.plan = plan or Plan()
        self.answers = dict(answers or {})
        self._started: set[int] = set()

    def heard(self, event: Mapping[str, Any]) -> bool:
        """Takes an event of `stream_mode="custom"`; whether the todos have changed."""
        if event["type"] == "plan":
            self.plan = Plan.model_validate(event["plan"])
        elif event["type"] == "sub_question" and event["status"] == "started":
            self._started.add(event["id"])
        elif event["type"] == "sub_question":
            self.answers[event["id"]] = Answer.model_validate({k: v for k, v in event.items() if k != "type"})
        else:
            return False
        return True

    def text(self, question: SubQuestion) -> str:
        """A sub-question's text, with the answers that it depends on filled in as far as they are known."""
        return fill(question.text, {id_: answer.text for id_, answer in self.answers.items() if answer.ok})

    def todos(self) -> list[Todo]:
        """The sub-questions as they stand."""
        return [Todo(content=self.text(each), status=self._status(each.id)) for each in self.plan.sub_questions]

    def _status(self, id_: int) -> Literal["pending", "in_progress", "completed"]:
        if id_ not in self.answers:
            return "in_progress" if id_ in self._started else "pending"
        return "completed" if self.answers[id_].ok else "pending"
