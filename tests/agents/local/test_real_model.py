"""The embedded model itself: llama.cpp's output held against transformers', and prompts of real length."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import convert_to_openai_messages

from anabranch.agents import prompts
from anabranch.agents.adapters import shipped_adapter
from anabranch.agents.decomposer import LineDecomposer, PlanRequest
from anabranch.agents.local import gguf_file
from anabranch.agents.local.files import ready
from anabranch.agents.local.generation import Options
from anabranch.agents.local.hf import TransformersEngine
from anabranch.agents.local.llamacpp import LlamaCppEngine
from anabranch.codecs import LineGrammar, decode_lines, json_schema
from anabranch.distill.catalogues import shipped
from anabranch.errors import QuestionError
from tests.agents.local.conftest import PEFT_WARNING

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings(PEFT_WARNING)]

QUESTIONS = [
    "Natalia sold clips to 48 friends in April and half as many in May. How many did she sell altogether?",
    "Who is older, the director of Jaws or the director of Star Wars?",
    "Wie heißt der Fluss durch die Hauptstadt von Österreich? 東京 🙂 {1} [x] \\n",
]
CARDS = shipped("calculator", "search").cards
PATTERN = LineDecomposer.pattern(PlanRequest("", CARDS))


def asked(question: str) -> list[dict[str, str]]:
    return [dict(message) for message in convert_to_openai_messages(prompts.lines_messages(question, CARDS))]


def routes(plan: str) -> list[str]:
    return re.findall(r"^\d+ \[(.+?)\]", plan, re.MULTILINE)


@pytest.fixture(scope="module")
def adapter() -> Path:
    found = shipped_adapter("decomposer-135m")
    assert found
    return found


@pytest.fixture(scope="module")
def engine(folder: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> LlamaCppEngine:
    return LlamaCppEngine(ready(folder, adapter, tmp_path_factory.mktemp("gguf"), progress=print))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_plans_are_those_of_transformers_with_peft(
    engine: LlamaCppEngine, folder: Path, adapter: Path, tmp_path: Path
) -> None:
    gguf_file.write(folder, adapter, tmp_path / "f16.gguf", "f16")
    theirs, exact = TransformersEngine(folder, adapter), LlamaCppEngine(tmp_path / "f16.gguf")
    for question in QUESTIONS:
        options = Options(pattern=PATTERN, max_tokens=40)
        wanted, found, short = (one.generate(asked(question), options) for one in (theirs, exact, engine))
        assert (found.input_tokens, found.text) == (wanted.input_tokens, wanted.text)
        # 8 bits a weight may tip a word, but not what is asked of which tool.
        assert routes(short.text) == routes(wanted.text)


@pytest.mark.parametrize("routes", [[], ["calculator", "search", "my-tool.v2/x:y"]])
def test_every_output_under_the_pattern_is_a_plan(engine: LlamaCppEngine, routes: Sequence[str]) -> None:
    pattern = LineGrammar(routes, 3, max_words=3).pattern
    for seed, question in enumerate(QUESTIONS):
        options = Options(pattern=pattern, temperature=2.0, seed=seed, max_tokens=60)
        written = engine.generate(asked(question), options)
        whole, _, cut = written.text.rpartition("\n") if written.stop_reason == "length" else (written.text, "", "")
        decode_lines(whole or cut).check(routes, 3)


@pytest.mark.parametrize("given", [{"pattern": PATTERN}, {"json_schema": json_schema(["search"], 3)}, {}])
def test_what_is_kept_of_a_prompt_does_not_change_the_output(engine: LlamaCppEngine, given: dict[str, Any]) -> None:
    plain = engine.generate(asked(QUESTIONS[1]), Options(reuse=False, max_tokens=48, **given))
    engine.generate(asked(QUESTIONS[0]), Options(max_tokens=1))
    again = engine.generate(asked(QUESTIONS[1]), Options(max_tokens=48, **given))
    assert (again.text, again.stop_reason) == (plain.text, plain.stop_reason)
    assert (plain.cached_tokens, again.cached_tokens > 0.8 * again.input_tokens) == (0, True)


def test_a_prompt_longer_than_the_context_is_refused(engine: LlamaCppEngine) -> None:
    with pytest.raises(QuestionError, match=r"tokens and the model reads 8,191 at most"):
        engine.generate(asked("word " * 9000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_question_of_the_greatest_length_works(engine: LlamaCppEngine) -> None:
    question = ("The committee of the 14 members met again. " * 500)[:20_000]
    written = engine.generate(asked(question), Options(pattern=LineGrammar(["search"], 2).pattern, max_tokens=60))
    assert written.input_tokens > 3000
    decode_lines(written.text)
