"""A short conversation, and what is understood of a message after it."""

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from anabranch.agents.conversation import Understood, understand
from anabranch.agents.models import RoleModel
from tests.fakes import Reply, ScriptedChatModel

TURNS: list[BaseMessage] = [HumanMessage("Who runs the Lindholm lighthouse?"), AIMessage("Petra Aalto runs it.")]
SAID = "Who runs the Lindholm lighthouse? Petra Aalto runs it."


def scripted(*replies: Reply) -> ScriptedChatModel:
    return ScriptedChatModel(script=list(replies))


async def understood(asked: str, *replies: Reply, turns: list[BaseMessage] = TURNS) -> Understood:
    return await understand(RoleModel(scripted(*replies)), [*turns, HumanMessage(asked)])
