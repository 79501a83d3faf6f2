"""A served decomposer and what a test asks of it."""

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from anabranch.agents.decomposer import Draft, LineDecomposer, PlanRequest
from anabranch.agents.endpoint import EndpointChatModel
from anabranch.agents.models import RoleModel
from anabranch.agents.served import ServedDecomposer
from anabranch.config import Price
from anabranch.plan import Plan, SubQuestion
from anabranch.tools.catalogue import ToolCard
from tests.fakes import ScriptedChatModel
from tests.openai_server import OpenAIServer

CARDS = (ToolCard(name="search", description="Finds facts."),)
REQUEST = PlanRequest("Q?", CARDS)
PLAN = "1 [search] Who?\n2 [solve] Is {1} old?"
ASKED = Plan(sub_questions=(SubQuestion(id=1, text="Who?", route="search"),))
Serve = Callable[..., OpenAIServer]


def model(url: str, *, name: str = "decomposer-135m", read: float = 30.0, retries: int = 0) -> RoleModel:
    options: dict[str, Any] = {"temperature": 0, "use_responses_api": False, "stream_usage": True}
    chat = EndpointChatModel(
        model=name, base_url=url, api_key=SecretStr("k"), timeout=read, max_retries=retries, **options
    )
    return RoleModel(chat, Price(input=1, output=10))


def served(url: str, *, retries: int = 0, read: float = 30.0, **options: Any) -> ServedDecomposer:
    return ServedDecomposer(model(url, retries=retries, read=read), **options)


def scripted(*replies: Any) -> LineDecomposer:
    return LineDecomposer(RoleModel(ScriptedChatModel(script=list(replies)), small=True))


def texts(draft: Draft) -> list[str]:
    return [question.text for question in draft.plan.sub_questions]
