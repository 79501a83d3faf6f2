"""`create_agent` under evaluation, alone and behind `PlannerMiddleware`."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import RoleModel
from anabranch.errors import ConfigurationError
from anabranch.evals.agent import STEPS, react
from anabranch.evals.catalogue import cross
from anabranch.evals.engine import Engine, Entrant
from anabranch.evals.records import Described, Manifest, RunFolder
from anabranch.evals.summary import summarize
from anabranch.evals.systems import Case, Planner
from anabranch.evals.tasks import find_task
from tests.evals.test_systems import HOPS, model
from tests.graphs.scripts import plan_json


def searching(query: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "search", "args": {"query": query}, "id": query}])


async def test_an_agent_uses_the_same_tools() -> None:
    chat, solver = model([searching("Hollin Quay ferry"), searching("zzz"), "Answer: Brackwater"])
    case = Case(HOPS)
    outcome = await react(solver)(case)
    assert (outcome.answer, outcome.plan) == ("Brackwater", None)
    assert "founded by Marta Ostrander" in chat.prompts[1]
    assert "no passage found for: zzz" in chat.prompts[2]
    assert "Ferry" in case.retrieved
    assert outcome.extra["calls"].splitlines()[1] == "search {'query': 'zzz'}"
    with pytest.raises(ConfigurationError, match="calls tools"):
        react(RoleModel(chat, small=True))


async def test_an_agent_that_looks_nothing_up_has_retrieved_nothing(tmp_path: Path) -> None:
    _, solver = model(["Answer: Brackwater"])
    described = Described(name="react", label="react", fingerprint="f", solver="s")
    folder = RunFolder(tmp_path)
    folder.open(Manifest(task="hotpotqa", data="", data_hash="", seed=0, limit=1, systems=(described,)), [HOPS])
    engine = Engine(find_task("hotpotqa"), (), folder.appending())
    await engine.run([Entrant(described, react(solver))], [HOPS], {})
    engine.file.close()
    (row,) = summarize(folder).systems
    assert (row.metrics["em"].value, row.metrics["recall"].value) == (100, 0)


async def test_a_call_that_was_written_as_text_is_made() -> None:
    written = '```json\n{"name": "search", "arguments": {"query": "Hollin Quay ferry"}}\n```'
    chat, solver = model([written, "Answer: Brackwater"])
    assert (await react(solver)(Case(HOPS))).answer == "Brackwater"
    assert "founded by Marta Ostrander" in chat.prompts[1]


@pytest.mark.parametrize(("tool_first", "choices"), [(True, ["search", None]), (False, [None, None])])
async def test_an_agent_can_be_made_to_begin_with_a_call(tool_first: bool, choices: list[str | None]) -> None:
    chat, solver = model([searching("Hollin Quay ferry"), "Answer: Brackwater"])
    await react(solver, tool_first=tool_first)(Case(HOPS))
    assert [bound.get("tool_choice") for bound in chat.bound] == choices


def planned() -> tuple[Any, Planner]:
    """A solver that reads what was looked up, and a planner on it."""

    def script(prompt: str) -> str:
        if "Before you began" in prompt:
            return "Answer: Brackwater" if "born? = Brackwater" in prompt else "Answer: nowhere"
        if "their answers:" in prompt:
            return "Brackwater"
        return "Marta Ostrander" if "Who founded" in prompt.rpartition("human: ")[2] else "Brackwater"

    plan = plan_json(("search", "Who founded the Hollin Quay ferry?", []), ("search", "Where was {1} born?", [1]))
    chat, solver = model(script)
    return chat, Planner(solver, JsonDecomposer(model(lambda _: plan)[1]), protocol="per_node")


async def test_behind_the_middleware_an_agent_begins_with_what_was_found() -> None:
    chat, planner = planned()
    case = Case(HOPS)
    outcome = await react(planner.solver, planner)(case)
    assert outcome.answer == "Brackwater"
    assert outcome.plan is not None
    assert [step.route for step in outcome.plan.sub_questions] == ["search", "search"]
    assert [answer.text for answer in outcome.answers.values()] == ["Marta Ostrander", "Brackwater"]
    assert set(HOPS.supporting) <= set(case.retrieved)
    assert "Use the tools" in chat.prompts[-1]


async def test_an_agent_stops_with_the_planners_answer() -> None:
    chat, planner = planned()
    outcome = await react(planner.solver, planner, stop=True)(Case(HOPS))
    assert (outcome.answer, outcome.extra["calls"]) == ("Brackwater", "none")
    assert not any("Use the tools" in prompt for prompt in chat.prompts)


def test_agents_are_systems_by_name() -> None:
    named = cross(["react", "react:tool_first", "middleware", "middleware:stop"], ["d", "e"], ["s"])
    kinds = [(spec.kind, spec.protocol, spec.decomposer and spec.decomposer.label) for spec in named]
    assert kinds[:3] == [("react", "auto", None), ("react", "tool_first", None), ("middleware", "auto", "d")]
    assert kinds[-1] == ("middleware", "stop", "e")
    for wrong in ("react:stop", "middleware:tool_first", "middleware:guided"):
        with pytest.raises(ConfigurationError, match="unknown system"):
            cross([wrong], ["d"], ["s"])


async def test_an_agent_that_never_ends_is_stopped_and_others_go_on(tmp_path: Path) -> None:
    _, solver = model(lambda _: searching("Hollin Quay ferry"))
    entrant = Entrant(Described(name="react", label="react", fingerprint="f", solver="s"), react(solver))
    engine = Engine(find_task("hotpotqa"), (), RunFolder(tmp_path).appending())
    record = await engine.answer(entrant, HOPS)
    engine.file.close()
    assert record is not None
    assert (record.flags, record.error, record.answer) == (("endless", "empty"), None, "")
    assert len(record.extra["calls"].splitlines()) >= STEPS // 2
