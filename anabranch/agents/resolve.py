"""Who plans: the decomposer that a name, a model or nothing stands for."""

import logging
from collections.abc import Callable

from langchain_core.language_models import BaseChatModel

from anabranch.agents.decomposer import Decomposer, JsonDecomposer, local_decomposer
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.agents.served import ServedDecomposer, is_served_decomposer
from anabranch.config import read_settings
from anabranch.errors import MissingExtraError

logger = logging.getLogger(__name__)


def resolve_decomposer(spec: "str | BaseChatModel | RoleModel | Decomposer") -> Decomposer:
    """The decomposer a name, chat model or decomposer object stands for.

    Raises:
        ConfigurationError, MissingExtraError, EndpointError: as `resolve_model`.
    """
    if not isinstance(spec, str | BaseChatModel | RoleModel):
        return spec
    model = resolve_model(spec, role="decomposer")
    if is_served_decomposer(model):
        return ServedDecomposer(model, fallback=read_settings().decomposer_fallback)
    if model.small or getattr(model.chat, "adapter", None) is not None:
        return local_decomposer(model)
    return JsonDecomposer(model)


def default_decomposer(
    solver: Callable[[], RoleModel],
    *,
    local: Callable[[], RoleModel] = lambda: resolve_model("local", role="decomposer"),
    tell: Callable[[str], None] = logger.warning,
) -> Decomposer:
    """Who plans where nobody is named: the in-process decomposer or, where it is not installed, the solver.

    Args:
        solver: opens the solver.
        local: opens the in-process decomposer.
        tell: told in one line that the solver plans.

    Raises:
        MissingExtraError: neither can be had.
        AnabranchError: as `solver` and `local` do.
    """
    try:
        return resolve_decomposer(local())
    except MissingExtraError:
        planning = resolve_decomposer(solver())
    tell("the solver writes the plans, too: name a decomposer, or pip install 'anabranch[local]' for the embedded one")
    return planning
