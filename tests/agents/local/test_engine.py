import json
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from anabranch.agents.local.engine import LocalEngine
from anabranch.agents.local.generation import Generation, Options
from anabranch.codecs import LineGrammar, decode_lines, json_schema
from anabranch.errors import ConfigurationError, QuestionError
from tests.agents.local.conftest import PEFT_WARNING, chat

pytestmark = pytest.mark.model

QUESTIONS = [
    "Natalia sold clips to 48 friends in April and half as many in May. How many did she sell altogether?",
    "Who is older, the director of Jaws or the director of Star Wars?",
    "What is 2 + 2?",
    "Wie heißt der Fluss durch die Hauptstadt von Österreich? 東京 🙂 {1} [x] \\n",
]
CATALOGUES: list[list[str]] = [[], ["search"], ["calculator", "search", "my-tool.v2/x:y"]]


@pytest.mark.parametrize("temperature", [0.0, 0.8, 2.0])
@pytest.mark.parametrize("routes", CATALOGUES)
def test_every_output_under_the_pattern_is_a_plan(engine: LocalEngine, routes: list[str], temperature: float) -> None:
    pattern = LineGrammar(routes, 3, max_words=3).pattern
    for seed, question in enumerate(QUESTIONS):
        options = Options(pattern=pattern, temperature=temperature, seed=seed, max_tokens=200)
        written = engine.generate(chat(question), options)
        whole, _, cut = written.text.rpartition("\n") if written.stop_reason == "length" else (written.text, "", "")
        decode_lines(whole or cut).check(routes, 3)


@pytest.mark.parametrize("empty", ["DONE", None])
def test_later_layers_of_a_dynamic_plan(engine: LocalEngine, empty: str | None) -> None:
    pattern = LineGrammar(["search"], 2, known=[1, 2], first_id=3, chained=False, empty=empty, max_words=3).pattern
    written = engine.generate(chat(QUESTIONS[1]), Options(pattern=pattern, temperature=1.0, seed=3))
    assert written.text == empty or written.text.startswith("3 [")


def slow_and_fast(engine: LocalEngine, question: str, **options: Any) -> tuple[Generation, Generation]:
    plain = engine.generate(chat(question), Options(lookup=False, reuse=False, **options))
    return plain, engine.generate(chat(question), Options(**options))


@pytest.mark.parametrize("question", QUESTIONS[:2])
@pytest.mark.parametrize(
    "options",
    [
        {"pattern": LineGrammar(["search", "calculator"], 4, empty=None).pattern},
        {"json_schema": json_schema(["search"], 3)},
        {"pattern": LineGrammar(["search"], 4, empty=None).pattern, "temperature": 0.7, "seed": 5},
        {},
    ],
    ids=["pattern", "json", "drawn", "free"],
)
def test_lookup_and_reuse_do_not_change_the_output(engine: LocalEngine, question: str, options: dict[str, Any]) -> None:
    plain, fast = slow_and_fast(engine, question, max_tokens=48, **options)
    assert fast.text == plain.text
    assert (fast.output_tokens, fast.stop_reason) == (plain.output_tokens, plain.stop_reason)
    assert fast.steps <= plain.steps


def test_lookup_saves_steps(engine: LocalEngine) -> None:
    plain, fast = slow_and_fast(
        engine, QUESTIONS[0], pattern=LineGrammar(["search"], 4, empty=None).pattern, max_tokens=48
    )
    assert fast.steps < 0.7 * plain.steps


def test_greedy_output_is_that_of_transformers(engine: LocalEngine, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = torch.tensor([engine.tokenizer.encode(engine.tokenizer.render(chat(QUESTIONS[1])))])
    expected = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=24, do_sample=False)
    written = engine.generate(chat(QUESTIONS[1]), Options(max_tokens=24))
    decoder = engine.tokenizer.decoder()
    for token in expected[0, prompt.shape[1] :].tolist():
        decoder.push(token)
    assert written.text == decoder.text + decoder.finish()


def test_the_instruction_is_read_once(engine: LocalEngine) -> None:
    engine.generate(chat("first"), Options(max_tokens=1))
    again = engine.generate(chat("second"), Options(max_tokens=1))
    assert again.cached_tokens > 0.8 * again.input_tokens
    fresh = engine.generate(chat("second"), Options(max_tokens=1, reuse=False))
    assert fresh.cached_tokens == 0


@pytest.mark.filterwarnings(PEFT_WARNING)
def test_an_adapter_changes_the_output_and_can_be_switched_off(
    engine: LocalEngine, folder: Path, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    config = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path)
    before = engine.generate(chat(QUESTIONS[0]), Options(max_tokens=16))
    engine.add_adapter("random", tmp_path)
    adapted = engine.generate(chat(QUESTIONS[0]), Options(max_tokens=16, adapter="random"))
    after = engine.generate(chat(QUESTIONS[0]), Options(max_tokens=16))
    assert adapted.cached_tokens == 0
    assert adapted.text != before.text
    assert after.text == before.text
    with pytest.raises(ConfigurationError, match="'random' is taken"):
        engine.add_adapter("random", tmp_path / "other")


def test_an_unknown_adapter(engine: LocalEngine) -> None:
    with pytest.raises(ConfigurationError, match="unknown adapter 'nobody'"):
        engine.generate(chat("hi"), Options(adapter="nobody"))


def test_streamed_pieces_are_the_text(engine: LocalEngine) -> None:
    pieces: list[str] = []
    written = engine.generate(
        chat(QUESTIONS[3]), Options(max_tokens=40, temperature=1.5, seed=1), on_text=pieces.append
    )
    assert "".join(pieces) == written.text
    assert len(pieces) > 5


def test_json_fits_the_schema(engine: LocalEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    written = engine.generate(chat("Invent a person."), Options(json_schema=schema, max_tokens=60))
    assert written.stop_reason == "stop"
    assert set(json.loads(written.text)) == {"name", "age"}


@pytest.mark.parametrize(
    ("limit", "pattern"), [(1, None), (7, None), (9, LineGrammar(["search"], 4, empty=None).pattern)]
)
def test_the_limit_is_kept(engine: LocalEngine, limit: int, pattern: str | None) -> None:
    written = engine.generate(chat(QUESTIONS[0]), Options(max_tokens=limit, pattern=pattern))
    assert (written.output_tokens, written.stop_reason) == (limit, "length")


def test_stop_strings(engine: LocalEngine) -> None:
    options = Options(pattern=LineGrammar(["search"], 4, empty=None).pattern, max_tokens=60)
    whole = engine.generate(chat(QUESTIONS[1]), options).text
    cut = engine.generate(chat(QUESTIONS[1]), Options(pattern=options.pattern, max_tokens=60, stop=["\n2 ["]))
    assert cut.text == whole.split("\n2 [")[0]
    assert cut.stop_reason == "stop"


def test_it_can_be_cancelled_at_any_piece(engine: LocalEngine) -> None:
    cancel, pieces = Event(), []

    def on_text(piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == 3:
            cancel.set()

    written = engine.generate(chat(QUESTIONS[0]), Options(max_tokens=500), on_text=on_text, cancel=cancel)
    assert written.stop_reason == "cancelled"
    assert 0 < written.output_tokens < 40
    assert "".join(pieces) == written.text
    assert engine.generate(chat(QUESTIONS[0]), Options(max_tokens=4)).output_tokens == 4


def test_cancelled_before_it_began(engine: LocalEngine) -> None:
    cancel = Event()
    cancel.set()
    written = engine.generate(chat("word " * 3000), Options(max_tokens=5), cancel=cancel)
    assert (written.text, written.output_tokens, written.stop_reason) == ("", 0, "cancelled")


def test_an_error_in_the_callback_leaves_the_engine_usable(engine: LocalEngine) -> None:
    expected = engine.generate(chat(QUESTIONS[0]), Options(max_tokens=12, reuse=False)).text

    def on_text(piece: str) -> None:
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        engine.generate(chat(QUESTIONS[0]), Options(max_tokens=12), on_text=on_text)
    assert engine.generate(chat(QUESTIONS[0]), Options(max_tokens=12)).text == expected


def test_threads_wait_for_each_other(engine: LocalEngine) -> None:
    expected = [engine.generate(chat(question), Options(max_tokens=10)).text for question in QUESTIONS]
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = engine.generate(chat(QUESTIONS[number]), Options(max_tokens=10)).text

    threads = [Thread(target=ask, args=(number,)) for number in range(len(QUESTIONS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(QUESTIONS))] == expected


def test_a_prompt_longer_than_the_context_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(QuestionError, match=r"tokens and the model reads 8,191 at most"):
        engine.generate(chat("word " * 9000))


@pytest.mark.slow
def test_a_question_of_the_greatest_length_works(engine: LocalEngine) -> None:
    question = ("The committee of the 14 members met again. " * 500)[:20_000]
    pattern = LineGrammar(["search"], 2, max_words=3).pattern
    written = engine.generate(chat(question), Options(pattern=pattern, max_tokens=60))
    assert written.input_tokens > 3000
    decode_lines(written.text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(pattern="("), "grammar cannot be used"),
        (Options(json_schema={"type": "nothing"}), "grammar cannot be used"),
        (Options(pattern="a", json_schema={}), "either pattern or json_schema"),
    ],
)
def test_grammars_that_cannot_be_compiled(engine: LocalEngine, options: Options, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        engine.generate(chat("hi"), options)
