"""What there is to see of a run, kept up to date from the planner's stream. No terminal code here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from anabranch.agents.answering import REASONING
from anabranch.plan import Answer, Plan, SubQuestion, fill

State = Literal["pending", "running", "done", "failed", "waiting"]

PLANNING = "planning"
ANSWERING = "answering"
JOINING = "joining the answers"


@dataclass
class Row:
    """A sub-question and what became of it so far."""

    question: SubQuestion
    answer: Answer | None = None
    running: bool = False

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.answer:
            return self.answer.status
        return "running" if self.running else "pending"


@dataclass
class Board:
    """The plan with its answers, and what is happening.

    Attributes:
        rows: the sub-questions by id, in plan order.
        phase: what the planner is doing.
        writing: the reasoning and the answer that a model is writing, as far as it has come.
        replans: why a new plan was asked for, by the id of the sub-question after which it was.
        question: the question as it was understood, where the user's own words leaned on earlier turns.
        news: lines about what the last part brought, for those who cannot redraw.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    phase: str = PLANNING
    writing: str = ""
    replans: dict[int, str] = field(default_factory=dict)
    question: str = ""
    news: list[str] = field(default_factory=list)
    _message: str | None = None

    @property
    def executed(self) -> bool:
        """Whether sub-questions are answered one by one, and do not just guide one answer."""
        return any(row.answer or row.running for row in self.rows.values())

    def text_of(self, row: Row) -> str:
        """A sub-question with the answers known so far in its slots."""
        known = {id_: other.answer.text for id_, other in self.rows.items() if other.answer and other.answer.ok}
        return " ".join(fill(row.question.text, known).split())

    def show(self, plan: Plan, answers: Iterable[Answer] = ()) -> None:
        """Takes a plan in place of the one there was, and answers that were given before."""
        self.rows = {q.id: self.rows.get(q.id, Row(q)) for q in plan.sub_questions}
        for question in plan.sub_questions:
            self.rows[question.id].question = question
        for answer in answers:
            if answer.id in self.rows:
                self.rows[answer.id].answer = answer

    def take(self, part: Mapping[str, Any]) -> None:
        """Takes a part of the planner's stream (version 2; modes custom, updates and messages)."""
        self.news = []
        if part["type"] == "custom":
            self._event(part["data"])
        elif part["type"] == "updates":
            self._update(part["data"])
        elif part["type"] == "messages":
            self._chunk(*part["data"])

    def _event(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "question":
            self.question = event["question"]
            self.news = [f"understood as: {self.question}"]
        elif event["type"] == "plan":
            self._planned(event)
        elif event["type"] == "replan":
            self.replans[max(self.rows, default=0)] = event["reason"]
            self.phase, self.writing = "planning again", ""
            self.news = [f"planning again: {event['reason']}"]
        elif event["type"] == "sub_question" and event["id"] in self.rows:
            self._asked(self.rows[event["id"]], event)

    def _planned(self, event: Mapping[str, Any]) -> None:
        self.show(Plan.model_validate(event["plan"]))
        self.phase = ANSWERING if event["new"] else JOINING if self.executed else "answering directly"
        self.news = [f"a plan was thrown away: {problem}" for problem in event["problems"]]
        new = [self.rows[id_].question for id_ in event["new"]]
        self.news += [f"  {q.id} [{q.route}] {q.text}" for q in new] or [self.phase]

    def _asked(self, row: Row, event: Mapping[str, Any]) -> None:
        if event["status"] == "started":
            row.running = True
            return
        answer = Answer.model_validate({key: value for key, value in event.items() if key != "type"})
        row.running, row.answer = False, answer
        outcome = answer.text if answer.ok else f"failed: {answer.error}"
        self.news = [f"  {answer.id} → {' '.join(outcome.split())} ({answer.seconds:.1f} s)"]
        if all(other.answer for other in self.rows.values()):
            self.phase = JOINING

    def _update(self, updates: Mapping[str, Any]) -> None:
        review = updates.get("review")
        if isinstance(review, Mapping) and "plan" in review:
            self.show(Plan.model_validate(review["plan"]))
            self.phase = PLANNING if review.get("feedback") else ANSWERING

    def _chunk(self, chunk: Any, metadata: Mapping[str, Any]) -> None:
        if metadata.get("langgraph_node") not in ("solve", "join"):
            return
        if chunk.id != self._message:
            self._message, self.writing = chunk.id, ""
        self.writing += str(chunk.text) or str(chunk.additional_kwargs.get(REASONING, ""))
