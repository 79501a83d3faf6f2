"""Systems: what each asks of its models, and what it makes of the replies."""

import asyncio
import re
from typing import Any

import pytest
from langchain_core.tools import tool

from anabranch.agents.decomposer import GivenPlan, JsonDecomposer, LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.batch.examples import Example, Paragraph
from anabranch.errors import ConfigurationError, DocumentError
from anabranch.evals import systems
from anabranch.evals.catalogue import cross
from anabranch.evals.systems import Case, Planner
from anabranch.plan import Plan, SubQuestion
from anabranch.tools import calculator
from tests.evals.rows import ROWS, replying
from tests.fakes import ScriptedChatModel

EXAMPLE = Example(
    id="pens", question=ROWS[0]["question"], answers=("325",), steps=("How many pens are there?", "{1} less 95?")
)
PARAGRAPHS = (
    Paragraph(title="Ferry", text="The Hollin Quay ferry was founded by Marta Ostrander."),
    Paragraph(title="Marta Ostrander", text="Marta Ostrander was born in Brackwater."),
    Paragraph(title="Bridge", text="The Aldous Bridge crosses the Selwyn."),
)
HOPS = Example(
    id="ferry",
    question="Where was the founder of the Hollin Quay ferry born?",
    answers=("Brackwater",),
    paragraphs=PARAGRAPHS,
    supporting=("Ferry", "Marta Ostrander"),
    steps=("Who founded the Hollin Quay ferry?", "Where was {1} born?"),
)


def model(script: Any = None, **more: Any) -> tuple[ScriptedChatModel, RoleModel]:
    chat = ScriptedChatModel(script=script or replying(), **more)
    return chat, RoleModel(chat)


async def test_direct_forbids_reasoning_and_chain_of_thought_does_not() -> None:
    chat, solver = model()
    assert (await systems.direct(solver)(Case(EXAMPLE))).answer == "325"
    outcome = await systems.chain_of_thought(solver)(Case(EXAMPLE, hint="Answer with a number."))
    assert outcome.answer == "325"
    assert outcome.reply.startswith("So 1 and 2 make it.")
    assert "without any reasoning" in chat.prompts[0]
    assert "step by step" in chat.prompts[1]
    assert chat.prompts[1].endswith("left? Answer with a number.")


async def test_one_search_reads_as_many_passages_as_it_is_told_to() -> None:
    chat, solver = model()
    for most in (1, 3):
        await systems.direct(solver, most)(Case(HOPS))
    one, three = chat.prompts
    assert "founded by Marta Ostrander" in one
    assert "born in Brackwater" not in one
    assert "born in Brackwater" in three


async def test_unguided_is_the_guided_prompt_without_its_plan() -> None:
    chat, solver = model()
    outcome = await systems.unguided(solver)(Case(EXAMPLE))
    assert (outcome.answer, outcome.plan) == ("325", None)
    plan = Plan(sub_questions=(SubQuestion(id=1, text="How many are there?"),))
    await Planner(solver, GivenPlan(plan), protocol="guided")(Case(EXAMPLE))
    without, guided = chat.prompts
    guide = "These sub-questions may help:\n1. How many are there?\n\n"
    assert guide in guided
    assert guided.replace(guide, "") == without


async def test_the_answer_given_most_often_wins() -> None:
    replies = ["Answer: 7", "Answer: 325", "Answer: 325.0", "Answer: none"]
    chat, solver = model(list(replies))
    outcome = await systems.self_consistency(solver, 4)(Case(EXAMPLE))
    assert outcome.answer == "325"
    assert outcome.extra["votes"] == "7: 1, 325: 2, none: 1"
    assert sorted(bound["seed"] for bound in chat.bound) == [1, 2, 3, 4]
    assert len(set(chat.prompts)) == 1


async def test_a_program_runs_in_the_sandbox() -> None:
    _, solver = model(["```python\nprint(14 * 30 - 95)\n```", "open('/etc/passwd').read()", "import socket"])
    run = systems.program(solver)
    assert (await run(Case(EXAMPLE))).answer == "325"
    for _ in range(2):
        outcome = await run(Case(EXAMPLE))
        assert outcome.answer == ""
        assert "the program failed" in outcome.extra["program_error"]


async def test_a_program_goes_along_a_plan() -> None:
    chat, solver = model()
    decomposer = LineDecomposer(solver)
    outcome = await systems.program(solver, systems.written_plan(decomposer, 4))(Case(EXAMPLE, tools=[calculator()]))
    assert outcome.answer == "325"
    assert outcome.plan is not None
    assert "1. 14 * 30\n2. How much is the answer to 1 without the rest?" in chat.prompts[-1]


async def test_the_papers_two_stages() -> None:
    chat, solver = model()
    outcome = await systems.two_stage(solver, solver)(Case(EXAMPLE))
    assert outcome.answer == "325"
    assert outcome.plan is not None
    assert [step.text for step in outcome.plan.sub_questions] == ["How many are there?", "How many are left?"]
    assert chat.prompts[0].endswith("Write the sub-questions only, one a line.")
    assert "Sub-questions:\n1. How many are there?" in chat.prompts[-1]
    chat.script = ["Steps:\n1. Count the pens.\n- Take 95 away.", "325"]
    outcome = await systems.two_stage(solver, solver)(Case(EXAMPLE))
    assert outcome.plan is not None
    assert [step.text for step in outcome.plan.sub_questions] == ["Count the pens.", "Take 95 away."]
    chat.script = ["No decomposition", "325"]
    outcome = await systems.two_stage(solver, solver)(Case(EXAMPLE))
    assert (outcome.answer, outcome.plan is not None and outcome.plan.is_direct) == ("325", True)


async def test_the_planner_is_the_product() -> None:
    chat, solver = model()
    planner = Planner(solver, JsonDecomposer(solver), protocol="guided")
    outcome = await planner(Case(EXAMPLE, tools=[calculator()]))
    assert outcome.answer == "325"
    assert outcome.reply.startswith("So 1 and 2 make it.")
    assert outcome.plan is not None
    assert len(outcome.plan.sub_questions) == 2
    assert len(chat.prompts) == 2


async def test_bad_drafts_are_noted() -> None:
    _, solver = model(["nonsense", '{"sub_questions": []}', "Answer: 1"])
    outcome = await Planner(solver, JsonDecomposer(solver))(Case(EXAMPLE))
    assert (len(outcome.problems), outcome.rounds) == (1, 1)
    assert "not JSON" in outcome.problems[0]


async def test_the_plans_of_people() -> None:
    chat, solver = model()
    outcome = await Planner(solver, None, protocol="guided")(Case(EXAMPLE))
    assert outcome.answer == "325"
    assert "1. How many pens are there?\n2. the answer to 1 less 95?" in chat.prompts[0]
    with pytest.raises(DocumentError, match="no human sub-questions"):
        await Planner(solver, None)(Case(EXAMPLE.model_copy(update={"steps": ()})))


def read(prompt: str) -> str:
    """Reads the scenario's passages."""
    return "Marta Ostrander" if prompt.endswith("Question: Who founded the Hollin Quay ferry?") else "Brackwater"


async def test_paragraphs_are_what_a_search_finds() -> None:
    chat, solver = model(read)
    case = Case(HOPS)
    outcome = await Planner(solver, None, protocol="per_node")(case)
    assert outcome.plan is not None
    assert [step.route for step in outcome.plan.sub_questions] == ["search", "search"]
    assert outcome.answer == "Brackwater"
    assert set(HOPS.supporting) <= set(case.retrieved)
    case = Case(HOPS)
    await systems.chain_of_thought(solver)(case)
    assert "Passages:\n\n[1] " in chat.prompts[-1]
    assert case.retrieved
    assert len(set(re.findall(r"^\[\d\] .*", chat.prompts[-1], re.MULTILINE))) == len(case.retrieved)


async def test_a_context_comes_before_the_question() -> None:
    case = Case(EXAMPLE.model_copy(update={"context": "A passage."}), hint="Short.")
    assert case.question == f"A passage.\n\n{EXAMPLE.question} Short."


@pytest.mark.parametrize(("sequential", "at_once"), [(False, 2), (True, 1)])
async def test_sub_questions_are_answered_at_the_same_time_unless_asked_otherwise(
    sequential: bool, at_once: int
) -> None:
    running, most = 0, 0

    async def look(query: str) -> str:
        """Looks something up."""
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.05)
        running -= 1
        return query

    steps = tuple(SubQuestion(id=n, text=f"What is {name}?", route="look") for n, name in ((1, "a"), (2, "b")))
    _, solver = model(lambda prompt: "325")
    planner = Planner(solver, GivenPlan(Plan(sub_questions=steps)), protocol="per_node", sequential=sequential)
    outcome = await planner(Case(EXAMPLE, tools=[tool(look)]))
    assert (outcome.answer, len(outcome.answers), most) == ("325", 2, at_once)


def test_systems_are_crossed_with_models() -> None:
    found = cross(["cot", "static:guided", "human"], ["a=batch:x", "b=batch:y"], ["s=batch:z", "local"])
    assert [spec.label for spec in found] == [
        "cot (solver s)",
        "cot (solver local)",
        "static:guided (decomposer a, solver s)",
        "static:guided (decomposer b, solver s)",
        "static:guided (decomposer a, solver local)",
        "static:guided (decomposer b, solver local)",
        "human (solver s)",
        "human (solver local)",
    ]
    assert [spec.protocol for spec in cross(["human", "static:per_node:always", "cot:5"], ["local"], ["local"])] == [
        "guided",
        "per_node",
        "5",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cto",
        "direct:guided",
        "static:fast",
        "dynamic:guided",
        "two-stage:auto",
        "cot:1",
        "cot:999",
        "cot:x",
        "rag",
        "rag:0",
        "ircot:2",
    ],
)
def test_unknown_systems_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown system"):
        cross([name], ["local"], ["local"])


def test_options_follow_the_protocol() -> None:
    names = ["static", "static:per_node:sequential", "dynamic:always:sequential"]
    assert [(spec.protocol, sorted(spec.options)) for spec in cross(names, ["local"], ["local"])] == [
        ("auto", []),
        ("per_node", ["sequential"]),
        ("auto", ["always", "sequential"]),
    ]


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="give the models labels"):
        cross(["cot"], ["local"], ["a=batch:x", "a=batch:y"])


async def test_one_corpus_holds_the_paragraphs_of_all_questions() -> None:
    chat, solver = model()
    corpus = systems.corpus_of([EXAMPLE, HOPS, HOPS])
    case = Case(EXAMPLE.model_copy(update={"question": "Who founded the Hollin Quay ferry?"}), corpus=corpus)
    await systems.direct(solver)(case)
    assert "founded by Marta Ostrander" in chat.prompts[0]
    assert case.retrieved.count("Ferry") == 1
    assert [tool.name for tool in case.tools] == ["search"]


def test_one_corpus_needs_paragraphs() -> None:
    with pytest.raises(ConfigurationError, match="list of paragraphs"):
        systems.corpus_of([EXAMPLE])
