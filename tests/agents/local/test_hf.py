"""transformers' `generate` over a tiny random model, held against llama.cpp's output for the same weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from anabranch.agents.local import gguf_file, hf
from anabranch.agents.local.generation import Options
from anabranch.agents.local.hf import TransformersChatModel, TransformersEngine
from anabranch.agents.local.llamacpp import LlamaCppEngine
from anabranch.agents.models import resolve_model
from anabranch.codecs import LineGrammar, decode_lines
from anabranch.errors import ConfigurationError, MissingExtraError, ModelUnavailableError, QuestionError
from tests.agents.local.conftest import PEFT_WARNING
from tests.agents.local.test_merging import write_adapter
from tests.agents.local.tiny import write_folder

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings(PEFT_WARNING)]

HI = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who wrote it? 東京 🙂"}]
WORDS = "([a-z]{1,9} ){1000}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("tiny") / "adapter")


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformersEngine:
    return TransformersEngine(folder)


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize(
    "given",
    [{}, {"pattern": LineGrammar(["search"], 3, max_words=3).pattern}, {"json_schema": {"type": "string"}}],
    ids=["free", "pattern", "json"],
)
def test_both_engines_write_the_same(
    folder: Path, adapter: Path, tmp_path: Path, adapted: bool, given: dict[str, Any]
) -> None:
    worn, options = adapter if adapted else None, Options(max_tokens=20, **given)
    theirs = TransformersEngine(folder, worn).generate(HI, options)
    gguf_file.write(folder, worn, tmp_path / "model.gguf", "f32")
    ours = LlamaCppEngine(tmp_path / "model.gguf").generate(HI, options)
    assert (theirs.input_tokens, theirs.output_tokens) == (ours.input_tokens, ours.output_tokens)
    assert (theirs.text, theirs.stop_reason) == (ours.text, ours.stop_reason)


@pytest.mark.parametrize("routes", [[], ["calculator", "search", "my-tool.v2/x:y"]])
def test_every_output_under_the_pattern_is_a_plan(engine: TransformersEngine, routes: Sequence[str]) -> None:
    pattern = LineGrammar(routes, 3, max_words=3).pattern
    for seed in range(3):
        written = engine.generate(HI, Options(pattern=pattern, temperature=2.0, seed=seed, max_tokens=120))
        whole, _, cut = written.text.rpartition("\n") if written.stop_reason == "length" else (written.text, "", "")
        decode_lines(whole or cut).check(routes, 3)


def test_pieces_are_the_text_and_characters_are_whole(engine: TransformersEngine) -> None:
    pieces: list[str] = []
    written = engine.generate(HI, Options(pattern="é{3}東🙂"), on_text=pieces.append)
    assert (written.text, written.stop_reason) == ("ééé東🙂", "stop")
    assert pieces == ["é", "é", "é", "東", "🙂"]


@pytest.mark.parametrize(
    ("stop", "text"), [(["two", ""], "one "), (["e two t", "hree"], "on"), (["threes"], "one two three")]
)
def test_stop_strings(engine: TransformersEngine, stop: list[str], text: str) -> None:
    pieces: list[str] = []
    written = engine.generate(HI, Options(pattern="one two three", stop=stop), on_text=pieces.append)
    assert (written.text, "".join(pieces), written.stop_reason) == (text, text, "stop")


def test_drawing_is_repeatable_and_leaves_the_random_numbers_of_others(engine: TransformersEngine) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    drawn = [engine.generate(HI, Options(max_tokens=12, temperature=1.0, seed=s)).text for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert (torch.get_rng_state() == before).all()


def test_it_can_be_cancelled_at_any_piece(engine: TransformersEngine) -> None:
    cancel, pieces = Event(), list[str]()

    def on_text(piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == 3:
            cancel.set()

    written = engine.generate(HI, Options(max_tokens=200, pattern=WORDS), on_text=on_text, cancel=cancel)
    assert (written.text, written.output_tokens, written.stop_reason) == ("".join(pieces), 3, "cancelled")
    assert engine.generate(HI, Options(max_tokens=5), cancel=cancel).output_tokens == 0


def test_the_context_is_a_limit(engine: TransformersEngine) -> None:
    with pytest.raises(QuestionError, match=r"and the model reads 511 at most; shorten"):
        engine.generate([{"role": "user", "content": "a" * 600}])
    written = engine.generate([{"role": "user", "content": "a" * 400}], Options(max_tokens=500, pattern=WORDS))
    assert written.stop_reason == "length"
    assert written.input_tokens + written.output_tokens == 512


def test_what_a_folder_sets_of_sampling_does_not_count(
    folder: Path, engine: TransformersEngine, tmp_path: Path
) -> None:
    other = write_folder(tmp_path / "model")
    settings = {"eos_token_id": [2], "do_sample": True, "temperature": 5.0, "repetition_penalty": 3.0}
    (other / "generation_config.json").write_text(json.dumps(settings))
    options = Options(max_tokens=20, pattern=WORDS)
    assert TransformersEngine(other).generate(HI, options).text == engine.generate(HI, options).text


def test_it_has_a_name(folder: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = resolve_model(f"hf:{folder}+{adapter}")
    assert isinstance(named.chat, TransformersChatModel)
    assert named.small
    assert named.chat.invoke("hi", pattern="[a-z]{4}").usage_metadata is not None
    assert resolve_model(f"hf:{folder}").chat.invoke("hi", pattern="a{3}").text == "aaa"
    with pytest.raises(ConfigurationError, match="holds no adapter; name a folder with adapter_config"):
        resolve_model(f"hf:{folder}+{folder}")
    with pytest.raises(ConfigurationError, match="hf: names no model; write hf:HUB_ID"):
        resolve_model("hf:")
    monkeypatch.setattr(hf, "find_spec", lambda name: None if name == "peft" else True)
    with pytest.raises(MissingExtraError, match=r"hf: needs peft; install with: pip install 'anabranch\[hf\]'"):
        resolve_model(f"hf:{folder}")


def test_weights_that_cannot_be_loaded(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", model_type="nothing-of-that-name")
    with pytest.raises(ModelUnavailableError, match=r"transformers cannot load .*; check it, or update transformers"):
        TransformersEngine(folder).load()
