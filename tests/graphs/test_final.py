"""What one run wants of its final answer, in process."""

from typing import Any

import pytest
from pydantic import BaseModel

from anabranch.agents.models import LOCAL_TYPE
from anabranch.errors import ConfigurationError, ReplyError
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, reader


class Founder(BaseModel):
    name: str
    year: int


GOOD = '{"name": "Craig Newmark", "year": 1952}'


class LocalScripted(ScriptedChatModel):
    @property
    def _llm_type(self) -> str:
        return LOCAL_TYPE


def wanting(form: Any) -> Any:
    return {"configurable": {"response_format": form}}


@pytest.mark.parametrize("form", [Founder, Founder.model_json_schema()])
def test_the_answer_is_json_that_satisfies_the_schema(form: Any) -> None:
    graph = planner([CRAIGSLIST], lambda prompt: GOOD if "this JSON schema" in prompt else reader(prompt))
    result = graph.invoke(ask(), wanting(form))
    assert (result["answer"], result["status"]) == (GOOD, "answered")
    assert result["messages"][-1].content == GOOD
    always = planner(
        [CRAIGSLIST], lambda prompt: GOOD if "this JSON schema" in prompt else reader(prompt), response_format=form
    )
    assert always.invoke(ask())["answer"] == GOOD


def test_reasoning_along_a_plan_comes_before_the_json() -> None:
    plan = plan_json(("solve", "Who founded it?", []), ("solve", "When was {1} born?", [1]))
    solver = ScriptedChatModel(script=[f"Craig did, born in 1952.\n\nFinal answer:\n{GOOD}"])
    assert planner([plan], solver, tools=[]).invoke(ask(), wanting(Founder))["answer"] == GOOD
    assert "Let's think step by step" in solver.prompts[0]


def test_an_in_process_model_is_held_to_the_schema_where_no_model_joins() -> None:
    solver = LocalScripted(script=lambda prompt: GOOD if "this JSON schema" in prompt else reader(prompt))
    result = planner([CRAIGSLIST], solver).invoke(ask(), wanting(Founder))
    assert result["answer"] == GOOD
    assert solver.bound[-1]["json_schema"] == Founder.model_json_schema()


def test_what_failed_may_still_be_planned_for_again() -> None:
    plan = plan_json(("search", "Who founded Craigslist?", []), ("search", "When was Bob born?", []))
    asked = ["REPLAN: when Craig Newmark was born", GOOD]
    again = plan_json(("search", "When was Craig Newmark born?", []), first_id=3)
    graph = planner([plan, again], lambda prompt: asked.pop(0) if "this JSON schema" in prompt else reader(prompt))
    assert graph.invoke(ask(), wanting(Founder))["answer"] == GOOD


def test_an_answer_that_does_not_fit_twice_is_an_error() -> None:
    graph = planner([CRAIGSLIST], lambda prompt: "In 1952" if "this JSON schema" in prompt else reader(prompt))
    with pytest.raises(ReplyError, match="the joiner wrote no JSON that satisfies the schema"):
        graph.invoke(ask(), wanting(Founder))


@pytest.mark.parametrize(("form", "told"), [("json", "neither a pydantic class"), ({"type": "strin"}, "no valid JSON")])
def test_a_broken_schema_is_told(form: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        planner([]).invoke(ask(), wanting(form))  # before any model is called
    with pytest.raises(ConfigurationError, match=told):
        planner([], response_format=form)
