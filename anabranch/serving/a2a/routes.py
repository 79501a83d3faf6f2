"""The routes of A2A: the agent's card, and JSON-RPC. Importing this needs the extra `a2a`.

Source: https://a2a-protocol.org/v1.0.0/specification/
"""

import re

from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH
from starlette.routing import BaseRoute

from anabranch import __version__
from anabranch.errors import ConfigurationError
from anabranch.serving.a2a.executor import PlannerExecutor
from anabranch.serving.a2a.tasks import KeptTasks
from anabranch.serving.page.threads import Threads

PATH = "/a2a"
_TEXT = ["text/plain"]
_VERSIONS = ("1.0", "0.3")


class Agents:
    """What other agents need to find the planner and to ask it.

    Args:
        threads: the conversations, which are those of the page.
        address: where they reach the server, such as `https://planner.example.org`.
        keyed: whether it wants an API key.

    Attributes:
        tasks: keeps their tasks.
        routes: the agent's card and JSON-RPC.
        card_path: where the card is; it holds nothing that a key protects.

    Raises:
        ConfigurationError: the address is none.
    """

    card_path = AGENT_CARD_WELL_KNOWN_PATH

    def __init__(self, threads: Threads, address: str, *, keyed: bool) -> None:
        if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", address):
            raise ConfigurationError(f"{address!r} is no address of this server; write http://HOST:PORT")
        self.tasks = KeptTasks()
        card = agent_card(threads, address, keyed=keyed)
        handler = DefaultRequestHandlerV2(PlannerExecutor(threads), self.tasks, card)
        grace = threads.service.limits.timeout
        rpc = create_jsonrpc_routes(handler, PATH, enable_v0_3_compat=True, shutdown_grace_period=grace)
        self.routes: list[BaseRoute] = [*create_agent_card_routes(card), *rpc]


def agent_card(threads: Threads, address: str, *, keyed: bool) -> AgentCard:
    """What the planner says of itself."""
    names = ", ".join(threads.service.catalogue) or "none"
    skill = AgentSkill(
        id="ask",
        name="Questions of several steps",
        description=f"Splits a question into sub-questions, looks them up and joins the answers. Tools: {names}.",
        tags=["question answering", "planning"],
    )
    url = f"{address.rstrip('/')}{PATH}"
    card = AgentCard(
        name="anabranch",
        description="A planner: answers questions that take several look-ups, with sources.",
        version=__version__,
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version) for version in _VERSIONS
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False),
        default_input_modes=_TEXT,
        default_output_modes=_TEXT,
        skills=[skill],
    )
    if keyed:
        card.security_schemes["key"].CopyFrom(
            SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="bearer"))
        )
        card.security_requirements.append(SecurityRequirement(schemes={"key": StringList()}))
    return card
