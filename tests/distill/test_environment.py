"""Plans run over a corpus: what is asked, found and answered, and each prompt once."""

import pytest
from langchain_core.messages import HumanMessage

from anabranch.agents.decomposer import GivenPlan
from anabranch.batch.examples import Example, Paragraph, search_over
from anabranch.batch.jobs import Job, Replies, Sampling
from anabranch.codecs import decode_lines
from anabranch.distill.environment import Asking, Environment, answerable, corpus
from anabranch.distill.rewards import NO_PLAN, Outcome, advantages, found_and_answered
from anabranch.errors import ConfigurationError, EndpointError
from anabranch.graphs.planner import create_planner
from tests.fakes import ScriptedChatModel

PASSAGES = (
    Paragraph(title="Halka", text="Halka is an opera by Stanisław Moniuszko."),
    Paragraph(title="Moniuszko", text="Stanisław Moniuszko was born in Ubiel."),
    Paragraph(title="Ubiel", text="Ubiel is a village."),
)
QUESTION = Example(
    id="q", question="Where was the composer of Halka born?", answers=("Ubiel",), supporting=("Halka", "Moniuszko")
)
PLAN = "1 [search] Who composed the opera Halka?\n2 [search] Where was {1} born?"


def said(prompt: str) -> str:
    if "sub-questions" in prompt:
        return "Reasons.\nAnswer: in Ubiel"
    if "Who composed" in prompt:
        return "Stanisław Moniuszko"
    return "Ubiel" if "Result:" in prompt and "Where was Stanisław Moniuszko born?" in prompt else "NOT FOUND"


class Solver:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def __call__(self, job: Job, sampling: Sampling) -> Replies:
        assert sampling.temperature == 0
        prompt = "\n".join(f"{message['role']}: {message['content']}" for message in job.messages)
        self.prompts.append(prompt)
        return Replies(id=job.id, texts=[said(prompt)], finished=[True])


def environment(solver: Solver) -> Environment:
    return Environment(Asking(solver, 4), search_over(PASSAGES, 2))


async def test_a_plan_is_run_and_scored() -> None:
    solver = Solver()
    outcome = await environment(solver).run(QUESTION, PLAN)
    assert outcome.last == "Ubiel"
    assert outcome.answer == "in Ubiel"
    assert outcome.recall == 1.0
    assert outcome.last_f1 == 1.0
    assert 0.6 < outcome.f1 < 0.7
    assert found_and_answered(outcome) == pytest.approx(1 + 0.5 * outcome.f1 + 0.5 - 0.08)
    assert len(solver.prompts) == 3


async def test_the_solver_is_asked_what_the_planner_asks() -> None:
    solver, chat = Solver(), ScriptedChatModel(script=lambda prompt: said(prompt.replace("human:", "user:")))
    outcome = await environment(solver).run(QUESTION, PLAN)
    planner = create_planner(
        decomposer=GivenPlan(decode_lines(PLAN)),
        solver=chat,
        tools=[search_over(PASSAGES, 2)],
        gate="always",
        protocol="per_node",
        max_replans=0,
        answer_form="short",
    )
    state = await planner.ainvoke({"messages": [HumanMessage(QUESTION.question)]})
    assert state["answer"] == outcome.answer
    assert [prompt.replace("human:", "user:") for prompt in chat.prompts] == solver.prompts


async def test_a_prompt_is_asked_once() -> None:
    solver = Solver()
    runs = environment(solver)
    for plan in (PLAN, PLAN, PLAN.splitlines()[0]):
        await runs.run(QUESTION, plan)
    assert len(solver.prompts) == 4, "the second plan asks nothing new, the third joins other answers"


@pytest.mark.parametrize(
    ("reply", "finished"), [("1 [fly] Where?", True), ("1 [search] {2}\n2 [search] x", True), (PLAN, False)]
)
async def test_what_is_no_plan_has_its_reward(reply: str, finished: bool) -> None:
    outcome = await environment(Solver()).run(QUESTION, reply, finished=finished)
    assert outcome.plan is None
    assert outcome.problem
    assert found_and_answered(outcome) == NO_PLAN


async def test_a_step_that_finds_nothing_fails_those_that_need_it() -> None:
    outcome = await environment(Solver()).run(QUESTION, "1 [search] zebra?\n2 [search] Where was {1} born?")
    assert outcome.last == ""
    assert outcome.recall == 0.0
    assert outcome.answer.startswith("No answer was found")


async def test_direct_is_answered_without_the_corpus() -> None:
    outcome = await environment(Solver()).run(QUESTION, "DIRECT")
    assert outcome.steps == 0
    assert outcome.found == ()
    assert outcome.recall == 0.0


async def test_a_solver_that_is_away_is_asked_again_next_time() -> None:
    class Away(Solver):
        async def __call__(self, job: Job, sampling: Sampling) -> Replies:
            if not self.prompts:
                self.prompts.append("")
                raise EndpointError("away")
            return await super().__call__(job, sampling)

    runs = environment(Away())
    with pytest.raises(EndpointError):
        await runs.run(QUESTION, PLAN)
    assert (await runs.run(QUESTION, PLAN)).last == "Ubiel"


def test_the_corpus_must_hold_what_supports_the_questions() -> None:
    other = Example(id="o", question="?", answers=("x",), supporting=("Elsewhere",))
    free = Example(id="f", question="?", answers=("x",))
    assert answerable([QUESTION, other, free], PASSAGES) == ([QUESTION, free], ["o"])
    assert Outcome(free, None).recall is None
    with pytest.raises(ConfigurationError, match="none of the 1 questions, for example not 'Elsewhere'"):
        answerable([other], PASSAGES)
    with pytest.raises(ConfigurationError, match="give --corpus"):
        corpus([], [free])


def test_advantages_are_of_mean_zero_and_grow_with_the_spread() -> None:
    found = advantages([0.0, 1.0, 2.0, 1.0])
    assert sum(found) == pytest.approx(0)
    assert found[2] == -found[0] > 1
    assert advantages([0.3] * 4) == [0.0] * 4
    assert advantages([0.50, 0.51])[1] < 0.2, "what hardly differs hardly counts"
