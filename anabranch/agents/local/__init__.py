"""The in-process model: SmolLM2-135M-Instruct on the CPU, for planning without a server.

Importing this package imports torch; nothing else of anabranch does.

Raises:
    MissingExtraError: (on import) the `local` extra is not installed.
"""

from anabranch.agents.local.weights import prepare, require_extra

require_extra()

from anabranch.agents.local.chat import LocalChatModel  # noqa: E402

__all__ = ["LocalChatModel", "prepare"]
