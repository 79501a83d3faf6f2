"""Runs systems on questions: a few at a time, resumable, and nothing is dropped silently."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.tools import BaseTool

from anabranch.batch.examples import Example
from anabranch.batch.files import LineFile
from anabranch.batch.jobs import Streak, each, is_unwell
from anabranch.batch.kept import Call, noting
from anabranch.bounds import one_line
from anabranch.errors import AnabranchError, ConfigurationError, MissingReplyError, StorageError
from anabranch.evals.records import Described, Record, Tokens
from anabranch.evals.systems import Case, Outcome, System
from anabranch.evals.tasks.task import Task
from anabranch.tools.passage_index import PassageIndex

RAMBLING_WORDS = 60
"""A final answer of more words than this is none."""
_REFUSAL = re.compile(
    r"\b(i('m| am) (sorry|unable|not able)|i (cannot|can't|can not|won't)|as an ai\b|no answer was found)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Entrant:
    """A system that is run, and how the manifest describes it."""

    system: Described
    run: System


@dataclass
class Progress:
    """What became of the questions so far; handed out after each.

    Attributes:
        total: questions to answer now, over all systems.
        done: those that have a record.
        waiting: those left for the next wave, because a batch has to answer first.
        failed: those whose record is an error.
        score: sum of the headline grades, of the system that runs.
        graded: number of these.
        system: the label of the system that runs.
        tokens: tokens of all records.
        usd: what they cost; None where a price is not known.
    """

    total: int
    done: int = 0
    waiting: int = 0
    failed: int = 0
    score: float = 0.0
    graded: int = 0
    system: str = ""
    tokens: int = 0
    usd: float | None = 0.0

    def add(self, record: Record, system: Described, score: float) -> None:
        """Counts a record in."""
        self.done += 1
        self.failed += record.error is not None
        self.tokens += sum(part.input + part.output for part in (record.decomposing, record.solving))
        decomposing, solving = system.usd(record.decomposing, record.solving)
        known = self.usd is not None and decomposing is not None and solving is not None
        self.usd = (self.usd or 0.0) + (decomposing or 0.0) + (solving or 0.0) if known else None
        self.score += score
        self.graded += 1


@dataclass
class Engine:
    """Answers questions with systems.

    Attributes:
        task: the task.
        tools: tools for all questions.
        file: where records go.
        concurrency: questions at a time.
        on_progress: told after each question.
        corpus: what is searched in place of a question's own paragraphs.
    """

    task: Task
    tools: Sequence[BaseTool]
    file: LineFile
    concurrency: int = 8
    on_progress: Callable[[Progress], None] = field(default=lambda _progress: None)
    corpus: PassageIndex | None = None

    async def run(
        self, entrants: Sequence[Entrant], examples: Sequence[Example], done: Mapping[tuple[str, str], Record]
    ) -> Progress:
        """Runs the systems one after the other on the questions that have no record, or one of a failed backend.

        Raises:
            BackendError: too many failures in a row.
        """
        left = {each.system.label: _left(each.system.fingerprint, examples, done) for each in entrants}
        progress = Progress(sum(map(len, left.values())))
        for entrant in entrants:
            progress.system, progress.score, progress.graded = entrant.system.label, 0.0, 0
            await self._run_one(entrant, left[entrant.system.label], progress)
        return progress

    async def _run_one(self, entrant: Entrant, examples: Sequence[Example], progress: Progress) -> None:
        streak = Streak()

        async def one(example: Example) -> None:
            record = await self.answer(entrant, example)
            if record is None:
                progress.waiting += 1
                self.on_progress(progress)
                return
            self.file.add(record.line)
            progress.add(record, entrant.system, grades(self.task, record, example)[self.task.metric])
            self.on_progress(progress)
            streak.note(unwell="unwell" in record.flags, told=record.error or "")

        await each(examples, one, self.concurrency)

    async def answer(self, entrant: Entrant, example: Example) -> Record | None:
        """Answers one question; None if a batch has to answer first.

        Raises:
            ConfigurationError: the system cannot run at all.
            StorageError: the reply cannot be kept.
        """
        case = Case(example, self.task.hint, self.tools, self.corpus)
        calls, started = list[Call](), time.monotonic()
        outcome, error, unwell = Outcome("", ""), None, False
        with noting(calls):
            try:
                outcome = await entrant.run(case)
            except MissingReplyError:
                return None
            except (ConfigurationError, StorageError):
                raise
            except Exception as failure:
                error = str(failure) if isinstance(failure, AnabranchError) else one_line(failure)
                unwell = is_unwell(failure)
        times = [call.seconds for call in calls]
        timed = None if not calls or None in times else time.monotonic() - started
        # A kept reply counts with the time it took then.
        kept = sum(call.seconds or 0.0 for call in calls if call.kept)
        return Record(
            system=entrant.system.label,
            fingerprint=entrant.system.fingerprint,
            id=example.id,
            reply=outcome.reply,
            answer=outcome.answer,
            error=error,
            flags=tuple(_flags(outcome, error, unwell, calls)),
            plan=outcome.plan,
            answers=tuple(outcome.answers.values()),
            problems=outcome.problems,
            rounds=outcome.rounds,
            retrieved=tuple(dict.fromkeys(case.retrieved)),
            extra=outcome.extra,
            decomposing=_tokens(calls, decomposing=True),
            solving=_tokens(calls, decomposing=False),
            seconds=None if timed is None else round(timed + kept, 3),
        )


def grades(task: Task, record: Record, example: Example) -> dict[str, float]:
    """The grades of a record; all zero for one that is an error."""
    if record.error is not None:
        return dict.fromkeys(task.metrics, 0.0)
    given = task.grade(record.answer, record.reply, example)
    return {name: float(given[name]) for name in task.metrics}


def _left(fingerprint: str, examples: Sequence[Example], done: Mapping[tuple[str, str], Record]) -> list[Example]:
    """The examples without a record, or with one of a failed backend."""
    records = ((example, done.get((fingerprint, example.id))) for example in examples)
    return [example for example, record in records if record is None or "unwell" in record.flags]


def _tokens(calls: Sequence[Call], *, decomposing: bool) -> Tokens:
    mine = [call for call in calls if (call.role == "decomposer") == decomposing]
    return Tokens(
        calls=len(mine), input=sum(call.input_tokens for call in mine), output=sum(call.output_tokens for call in mine)
    )


def _flags(outcome: Outcome, error: str | None, unwell: bool, calls: Sequence[Call]) -> Iterator[str]:
    """What is odd about an answer: counted and listed in the report."""
    if error is not None:
        yield "error"
    if unwell:
        yield "unwell"
    if any(call.cut_off for call in calls):
        yield "cut_off"
    if "endless" in outcome.extra:
        yield "endless"
    if "program_error" in outcome.extra:
        yield "program_failed"
    if error is not None:
        return
    if not outcome.answer.strip():
        yield "empty"
    elif _REFUSAL.search(outcome.answer):
        yield "refused"
    elif len(outcome.answer.split()) > RAMBLING_WORDS:
        yield "rambling"
