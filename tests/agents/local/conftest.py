from pathlib import Path

import pytest

from anabranch.agents.local import prepare

# peft asks transformers for a property by its old name.
PEFT_WARNING = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"


@pytest.fixture(scope="session")
def folder() -> Path:
    return prepare()
