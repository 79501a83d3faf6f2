"""Systems under evaluation. Where the system is anabranch, it is the product itself: `create_planner`."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, ToolException

from anabranch.agents import prompts as product
from anabranch.agents.decomposer import Decomposer, GivenPlan, PlanRequest, decompose
from anabranch.agents.models import RoleModel, call
from anabranch.batch.examples import PASSAGES, Example, Paragraph, index_over
from anabranch.errors import ConfigurationError, DocumentError
from anabranch.evals import prompts
from anabranch.grading import normalize, numbers
from anabranch.graphs.edges import in_one_step
from anabranch.graphs.events import hearing_events
from anabranch.graphs.planner import Planner as Graph
from anabranch.graphs.planner import create_planner
from anabranch.options import PlanningMode
from anabranch.options import Protocol as RunProtocol
from anabranch.plan import Answer, Plan, SubQuestion, escape
from anabranch.replies import final_answer
from anabranch.tools import Catalogue, python_sandbox
from anabranch.tools.calling import call_tool
from anabranch.tools.passage_index import PassageIndex
from anabranch.tools.search import DocumentSearch, index_search

_LISTED = re.compile(r"(?:\d+[.):]|[-*•])\s*\w")
SEARCH = "search"
SAMPLING_TEMPERATURE = 0.7


class Case:
    """One question as systems get it: with the form of the answer, the context, and tools of its own.

    Args:
        example: the question.
        hint: the form of the answer.
        tools: tools for all questions.
        corpus: more than the question's own paragraphs, see `corpus_of`.

    Attributes:
        question: the question with its context and the form of its answer.
        asked: the question alone: a small model takes "yes or no" in it for what it is asked next.
    """

    def __init__(
        self, example: Example, hint: str = "", tools: Sequence[BaseTool] = (), corpus: PassageIndex | None = None
    ) -> None:
        self.example = example
        parts = [example.context or "", f"{example.question} {hint}".strip()]
        self.question = "\n\n".join(part for part in parts if part)
        self.asked = example.question
        self.retrieved: list[str] = []
        self._index = corpus or (index_over(example.paragraphs) if example.paragraphs else None)
        search = [_noted(index_search(self._index, k=PASSAGES), self.retrieved)] if self._index else []
        self.tools: list[BaseTool] = [*tools, *search]

    def look_up(self, query: str, most: int = PASSAGES) -> list[Paragraph]:
        """The passages that fit a query, for systems without a search tool; none where there is no context.

        Args:
            query: what is looked up.
            most: how many passages there may be.
        """
        found = self._index.search(query, most) if self._index else []
        self.retrieved += [document.metadata["title"] for document in found]
        return [Paragraph(title=each.metadata["title"], text=each.page_content) for each in found]

    def read(self, most: int = PASSAGES) -> str:
        """The question with the passages that one search finds."""
        return prompts.with_passages(self.question, self.look_up(self.asked, most))

    def human_plan(self) -> Plan:
        """The person's sub-questions.

        Raises:
            DocumentError: there are none.
        """
        plan = self.example.human_plan(SEARCH if self._index else None)
        if plan is None:
            raise DocumentError("the example has no human sub-questions; use another system or data with them")
        return plan


def corpus_of(examples: Iterable[Example]) -> PassageIndex:
    """The paragraphs of all questions, each paragraph once.

    Raises:
        ConfigurationError: there are none.
    """
    paragraphs = dict.fromkeys(paragraph for example in examples for paragraph in example.paragraphs)
    if not paragraphs:
        raise ConfigurationError("--one-corpus needs questions whose context is a list of paragraphs; leave it out")
    return index_over(paragraphs)


def _noted(tool: DocumentSearch, retrieved: list[str]) -> BaseTool:
    """The search tool, noting the titles of what it finds."""
    search: Any = tool.func

    def noting(query: str) -> Any:
        text, found = search(query)
        retrieved.extend(document.metadata["title"] for document in found)
        return text, found

    return tool.model_copy(update={"func": noting})


@dataclass(frozen=True)
class Outcome:
    """What a system made of a question.

    Attributes:
        reply: the whole reply.
        answer: the final answer in it.
        plan: its plan, if the system plans.
        answers: answers to sub-questions.
        problems: what was wrong with plans that were thrown away, and what else the planner says of them.
        rounds: how often a plan was asked for, not counting repairs.
        extra: what else there is to show, such as a program.
    """

    reply: str
    answer: str
    plan: Plan | None = None
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    rounds: int = 1
    extra: Mapping[str, str] = field(default_factory=dict)


class System(Protocol):
    """Answers questions."""

    async def __call__(self, case: Case) -> Outcome:
        """Answers one."""


def _outcome(reply: str, **more: Any) -> Outcome:
    return Outcome(reply, final_answer(reply), **more)


def direct(solver: RoleModel, passages: int = PASSAGES) -> System:
    """The answer alone, without reasoning: the paper's single stage.

    Args:
        solver: who answers.
        passages: most passages of one search that it reads.
    """

    async def run(case: Case) -> Outcome:
        prompt = prompts.direct_messages(case.read(passages))
        return _outcome(str((await call(solver, prompt, role="solver")).text).strip())

    return run


def chain_of_thought(solver: RoleModel) -> System:
    """The product's own prompt for answering without a plan, which reasons step by step."""

    async def run(case: Case) -> Outcome:
        return _outcome(str((await call(solver, product.direct_messages(case.read()), role="solver")).text).strip())

    return run


def unguided(solver: RoleModel) -> System:
    """The guided prompt without a plan: tells what a plan does from what the form of its prompt does."""

    async def run(case: Case) -> Outcome:
        return _outcome(str((await call(solver, prompts.unguided_messages(case.read()), role="solver")).text).strip())

    return run


def self_consistency(solver: RoleModel, samples: int) -> System:
    """Chain of thought several times, and the answer given most often: what the same tokens buy without a plan.

    Source: Wang et al. 2023, arXiv 2203.11171. Ties go to the answer given first.
    """

    async def sample(question: str, seed: int) -> str:
        drawn = solver.chat.bind(temperature=SAMPLING_TEMPERATURE, seed=seed)
        message = await call(solver, product.direct_messages(question), role="solver", runnable=drawn)
        return str(message.text).strip()

    async def run(case: Case) -> Outcome:
        question = case.read()
        drawn = (sample(question, seed) for seed in range(1, samples + 1))
        # All are awaited, so that a batch gets all of them at once.
        results = await asyncio.gather(*drawn, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[0]
        replies = [str(result) for result in results]
        votes = Counter(vote_of(final_answer(reply)) for reply in replies)
        chosen = next(reply for reply in replies if votes[vote_of(final_answer(reply))] == max(votes.values()))
        return _outcome(chosen, extra={"votes": ", ".join(f"{vote or '(none)'}: {n}" for vote, n in votes.items())})

    return run


def vote_of(answer: str) -> str:
    """What two answers must share to be the same vote: their one number, else their normalized words."""
    figures = set(numbers(answer))
    return f"{figures.pop():g}" if len(figures) == 1 else normalize(answer)


def two_stage(solver: RoleModel, decomposer: RoleModel) -> System:
    """The paper's two stages: sub-questions in free text, and one call that answers them one by one."""

    async def run(case: Case) -> Outcome:
        question = case.read()
        listed = str((await call(decomposer, prompts.decompose_messages(question), role="decomposer")).text)
        lines = [line.strip() for line in listed.split("\n")]
        steps = [line for line in lines if "?" in line] or [line for line in lines if _LISTED.match(line)]
        messages = prompts.two_stage_messages(question, steps) if steps else prompts.direct_messages(question)
        reply = str((await call(solver, messages, role="solver")).text).strip()
        texts = (escape(step.lstrip("0123456789.)-* ")) for step in steps)
        plan = Plan(sub_questions=tuple(SubQuestion(id=n, text=text) for n, text in enumerate(texts, 1)))
        return _outcome(reply, plan=plan)

    return run


def program(solver: RoleModel, plan_of: "PlanOf | None" = None) -> System:
    """One Python program, along a plan if there is one, run in the sandbox; its output is the answer."""
    sandbox = python_sandbox()

    async def run(case: Case) -> Outcome:
        plan, problems = await plan_of(case) if plan_of else (Plan(), ())
        messages = prompts.program_messages(case.read(), plan)
        code = str((await call(solver, messages, role="solver")).text).strip()
        shown = {"plan": plan if plan_of else None, "problems": problems, "extra": {"program": code}}
        try:
            output = (await call_tool(sandbox, {"code": code})).text.strip()
        except ToolException as error:
            return Outcome("", "", **{**shown, "extra": {"program": code, "program_error": str(error)}})  # type: ignore[arg-type]
        return Outcome(output, output, **shown)  # type: ignore[arg-type]

    return run


PlanOf = Callable[[Case], Awaitable[tuple[Plan, tuple[str, ...]]]]
"""Gives a plan, and what was wrong with drafts that were thrown away."""


def written_plan(decomposer: Decomposer, max_sub_questions: int) -> PlanOf:
    """Plans of a decomposer, outside the planner's graph."""

    async def plan_of(case: Case) -> tuple[Plan, tuple[str, ...]]:
        request = PlanRequest(case.question, Catalogue(case.tools).cards, "static", max_sub_questions)
        draft = await decompose(decomposer, request)
        return draft.plan, (*draft.notes, *draft.problems)

    return plan_of


def human_plan() -> PlanOf:
    """The plans of people that come with the data."""

    async def plan_of(case: Case) -> tuple[Plan, tuple[str, ...]]:
        return case.human_plan(), ()

    return plan_of


@dataclass(frozen=True)
class Planner:
    """anabranch, as users get it.

    Attributes:
        solver: who answers.
        decomposer: who plans; None for the plans of people that come with the data.
        mode: `static` or `dynamic`.
        protocol: `auto`, `guided` or `per_node`.
        gate: `auto`, or `always` to plan for every question.
        max_sub_questions: most sub-questions in a plan.
        sequential: answer sub-questions one after the other, also those that do not need each other.
    """

    solver: RoleModel
    decomposer: Decomposer | None
    mode: PlanningMode = "static"
    protocol: RunProtocol = "auto"
    gate: Literal["auto", "always"] = "auto"
    max_sub_questions: int = 8
    sequential: bool = False

    def over(self, case: Case, **options: Any) -> Graph:
        """The planner over a question's tools."""
        more: dict[str, Any] = {"max_concurrency": 1} if self.sequential else {}
        return create_planner(
            decomposer=self.decomposer or GivenPlan(case.human_plan()),
            solver=self.solver,
            tools=case.tools,
            mode=self.mode,
            gate=self.gate,
            protocol=self.protocol,
            max_sub_questions=self.max_sub_questions,
            answer_form="short",
            **more,
            **options,
        )

    async def __call__(self, case: Case) -> Outcome:
        """Plans and answers."""
        planner = self.over(case)
        told: list[dict[str, Any]] = []
        with hearing_events(told.append), in_one_step("plan", "solve"):
            state: Mapping[str, Any] = await planner.ainvoke({"messages": [HumanMessage(case.question)]})
        plans = [event for event in told if event["type"] == "plan"]
        problems = tuple(problem for plan in plans for problem in plan["problems"])
        last = state["messages"][-1]
        reply = str(last.additional_kwargs.get("working") or last.text)
        answer = final_answer(state["answer"])
        return Outcome(reply, answer, state["plan"], state["answers"], problems, len(plans))
