"""Models in this process, for planning without a server: SmolLM2-135M-Instruct on the CPU, or any GGUF file.

Importing this package imports neither torch nor llama.cpp; the first use of a model does.
"""

from anabranch.agents.local.chat import LocalChatModel
from anabranch.agents.local.weights import prepare

__all__ = ["LocalChatModel", "prepare"]
