from pathlib import Path

import pytest

from anabranch.agents.local import prepare
from anabranch.agents.local.engine import LocalEngine

# peft asks transformers for a property by its old name.
PEFT_WARNING = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"

SYSTEM = """Split the question into sub-questions, one a line: ID [ROUTE] TEXT
Question: How much older is the founder of Craigslist than the founder of eBay?
1 [search] Who founded Craigslist?
2 [search] When was {1} born?
3 [search] Who founded eBay?
4 [search] When was {3} born?
5 [calculator] {2} - {4}"""


@pytest.fixture(scope="session")
def folder() -> Path:
    return prepare()


@pytest.fixture(scope="session")
def engine(folder: Path) -> LocalEngine:
    return LocalEngine(folder)


def chat(question: str, system: str = SYSTEM) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": f"Question: {question}"}]
