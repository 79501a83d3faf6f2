"""The environment of reinforcement: plans run over one corpus with a frozen solver, static, without replanning.

It asks what the planner would ask, by the same prompts, but without a graph around each plan, and each prompt once: the
plans of a question share most of their look-ups, and so do the rounds.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool, StructuredTool, ToolException

from anabranch.agents import prompts
from anabranch.agents.joiner import join_last
from anabranch.batch.examples import Example, Paragraph, read_examples
from anabranch.batch.files import read_rows
from anabranch.batch.jobs import Ask, Job, Sampling
from anabranch.bounds import MAX_EVIDENCE_CHARS
from anabranch.codecs import decode_lines
from anabranch.distill.records import MAX_SUB_QUESTIONS
from anabranch.distill.render import as_messages
from anabranch.distill.rewards import Outcome
from anabranch.errors import ConfigurationError, EndpointError, ModelError, PlanError
from anabranch.graphs.step import told
from anabranch.plan import SOLVE, Answer, Plan, SubQuestion
from anabranch.replies import final_answer, says_not_found, short_reply
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.results import MAX_CHARS, fitted

SOLVING = Sampling(max_tokens=256)
"""How the solver is asked: greedily."""


class Asking:
    """A model that is asked each prompt once.

    Args:
        ask: the way to the model.
        concurrency: prompts under way at a time.

    Attributes:
        calls: prompts that were sent.
    """

    def __init__(self, ask: Ask, concurrency: int) -> None:
        self._ask, self._gate = ask, asyncio.Semaphore(concurrency)
        self._replies: dict[bytes, asyncio.Future[str]] = {}
        self.calls = 0

    async def __call__(self, messages: Sequence[BaseMessage]) -> str:
        """The reply.

        Raises:
            EndpointError: the model could not be reached, refused, or failed.
        """
        key = hashlib.sha256("\0".join(str(message.text) for message in messages).encode()).digest()
        if key not in self._replies:
            self._replies[key] = asyncio.ensure_future(self._asked(messages))
        try:
            return await asyncio.shield(self._replies[key])
        except EndpointError:
            self._replies.pop(key, None)
            raise

    async def _asked(self, messages: Sequence[BaseMessage]) -> str:
        async with self._gate:
            self.calls += 1
            replies = await self._ask(Job(id=str(self.calls), messages=as_messages(messages)), SOLVING)
        return replies.texts[0]


class Environment:
    """Runs plans over one corpus.

    Args:
        solver: who reads, reasons and joins.
        search: the search over the corpus.
        small: whether the solver is an embedded model, whose last answer is taken as the final one.
    """

    def __init__(self, solver: Asking, search: BaseTool, *, small: bool = False) -> None:
        assert isinstance(search, StructuredTool) and search.func is not None  # noqa: PT018, S101 - document_search's
        self._solver, self._search, self._small = solver, search.func, small
        self.cards = Catalogue([search]).cards
        self.route = search.name

    def prompt(self, question: str) -> list[dict[str, str]]:
        """The decomposer's prompt for a question."""
        return as_messages(prompts.lines_messages(question, self.cards))

    async def run(self, example: Example, reply: str, *, finished: bool = True) -> Outcome:
        """Reads a decomposer's reply and runs the plan in it.

        Args:
            example: the question.
            reply: what the decomposer wrote.
            finished: whether it ended by itself; what was cut off is no plan.

        Raises:
            EndpointError: the solver could not be reached, refused, or failed.
        """
        if not finished:
            return Outcome(example, None, problem="the reply was cut off")
        try:
            plan = decode_lines(reply)
            plan.check([self.route], MAX_SUB_QUESTIONS)
        except PlanError as error:
            return Outcome(example, None, problem=str(error))
        if plan.is_direct:
            answer = final_answer(await self._solver(prompts.direct_messages(example.question)))
            return Outcome(example, plan, answer=answer, last=answer)
        found: dict[str, None] = {}
        answers = await self._answers(plan, found)
        last = answers[plan.sub_questions[-1].id]
        answer = await self._joined(example.question, plan, answers)
        return Outcome(example, plan, answer=answer, last=last.text, found=tuple(found))

    async def _answers(self, plan: Plan, found: dict[str, None]) -> dict[int, Answer]:
        """All answers; `found` gets the titles of the passages."""
        tasks: dict[int, asyncio.Future[Answer]] = {}

        async def answer(step: SubQuestion) -> Answer:
            inputs = {id_: await tasks[id_] for id_ in step.depends_on}
            return await self._answer(step, inputs, found)

        for step in plan.sub_questions:
            tasks[step.id] = asyncio.ensure_future(answer(step))
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return {id_: task.result() for id_, task in tasks.items()}

    async def _answer(self, step: SubQuestion, inputs: Mapping[int, Answer], found: dict[str, None]) -> Answer:
        if lost := [answer for answer in inputs.values() if not answer.ok]:
            return _failed(step, "what it needs failed", not_found=all(answer.not_found for answer in lost))
        try:
            text = told(step, inputs)
        except ModelError as error:
            return _failed(step, str(error))
        if step.route == SOLVE:
            said = short_reply(await self._solver(prompts.step_messages(text)))
            return _done(step, text, said) if said else _failed(step, "the answer was empty")
        try:
            shown, passages = self._search(text)
        except ToolException as error:
            return _failed(step, str(error), not_found=True)
        found.update(dict.fromkeys(passage.metadata["title"] for passage in passages))
        evidence = await fitted(shown, text, min(MAX_CHARS, MAX_EVIDENCE_CHARS))
        reply = await self._solver(prompts.read_messages(text, evidence))
        if says_not_found(reply):
            return _failed(step, "the tool's result does not hold the answer", not_found=True)
        return _done(step, text, short_reply(reply))

    async def _joined(self, question: str, plan: Plan, answers: Mapping[int, Answer]) -> str:
        if self._small or all(answer.not_found for answer in answers.values()):
            return join_last(plan, answers).text
        messages = prompts.join_messages(question, plan, answers, may_replan=False, form="short")
        return final_answer(await self._solver(messages))


def _done(step: SubQuestion, text: str, said: str) -> Answer:
    return Answer(id=step.id, text=said, route=step.route, question=text)


def _failed(step: SubQuestion, reason: str, *, not_found: bool = False) -> Answer:
    return Answer(id=step.id, status="failed", route=step.route, error=reason, not_found=not_found)


def read_questions(paths: Sequence[Path]) -> list[Example]:
    """The questions of several files, each id once.

    Raises:
        DocumentError: a file is missing, or holds no question with an answer.
    """
    read = [example for path in paths for example in read_examples(path).examples]
    return list({example.id: example for example in read}.values())


def corpus(paths: Sequence[Path], questions: Iterable[Example]) -> list[Paragraph]:
    """The passages to search: those of corpus files, and else all paragraphs of the questions.

    Args:
        paths: files of JSON lines with `title` and `text`.
        questions: training and tuning questions.

    Raises:
        DocumentError: a file cannot be read.
        ConfigurationError: there are no passages.
    """
    if paths:
        rows = (row for path in paths for row in read_rows(path, {"title": str, "text": str}, {}))
        found = dict.fromkeys(Paragraph(title=row["title"], text=row["text"]) for row in rows)
        if not found:
            raise ConfigurationError(f"{paths[0]} holds no passages; give JSON lines with title and text")
        return list(found)
    found = dict.fromkeys(paragraph for question in questions for paragraph in question.paragraphs)
    if not found:
        raise ConfigurationError("the questions bring no paragraphs to search in; give --corpus")
    return list(found)


def answerable(questions: Sequence[Example], passages: Iterable[Paragraph]) -> tuple[list[Example], list[str]]:
    """The questions whose supporting passages are in the corpus, and the ids of the others.

    Questions without supporting passages stay: of them only the answers count.

    Raises:
        ConfigurationError: none is left.
    """
    titles = {passage.title for passage in passages}
    missing = [question.id for question in questions if not titles.issuperset(question.supporting)]
    if len(missing) == len(questions):
        absent = next(title for question in questions for title in question.supporting if title not in titles)
        raise ConfigurationError(
            f"the corpus holds the supporting passages of none of the {len(questions)} questions, for example not "
            f"{absent!r}; give the corpus that belongs to them, or questions with answers only"
        )
    lost = set(missing)
    return [question for question in questions if question.id not in lost], missing
