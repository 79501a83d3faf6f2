"""What decomposers are asked in tests, and decomposers over the scripted model."""

from typing import Any

from langchain_core.messages import AIMessage

from anabranch.agents.decomposer import LineDecomposer, PlanRequest
from anabranch.agents.models import RoleModel
from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.tools.catalogue import ToolCard
from tests.fakes import Reply, ScriptedChatModel

CARDS = (ToolCard(name="search", description="Finds facts."),)
ASKED = Plan(sub_questions=(SubQuestion(id=1, text="Who?", route="search"), SubQuestion(id=2, text="When?")))
ANSWERS = {1: Answer(id=1, text="Ada"), 2: Answer(id=2, status="failed", error="away")}
FRESH = PlanRequest("Q?", CARDS)
AGAIN = PlanRequest("Q?", CARDS, asked=ASKED, answers=ANSWERS)


def scripted(*replies: Reply) -> ScriptedChatModel:
    return ScriptedChatModel(script=list(replies))


def lines(chat: ScriptedChatModel, **options: Any) -> LineDecomposer:
    return LineDecomposer(RoleModel(chat), **options)


def cut(text: str) -> AIMessage:
    return AIMessage(text, response_metadata={"finish_reason": "length"})
