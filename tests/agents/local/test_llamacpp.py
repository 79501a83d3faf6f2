"""llama.cpp itself, over a tiny random model."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from anabranch.agents.local import llamacpp
from anabranch.agents.local.generation import Options
from anabranch.agents.local.llamacpp import LlamaCppEngine
from anabranch.codecs import LineGrammar, decode_lines
from anabranch.errors import ConfigurationError, MissingExtraError, ModelUnavailableError, QuestionError
from tests.agents.local.test_merging import write_adapter
from tests.agents.local.tiny import write_folder, write_tiny

HI = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who wrote it? 東京 🙂"}]
WORDS = "([a-z]{1,9} ){1000}"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LlamaCppEngine:
    return LlamaCppEngine(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf", context=2048))


@pytest.mark.parametrize("temperature", [0.0, 2.0])
@pytest.mark.parametrize("routes", [[], ["calculator", "search", "my-tool.v2/x:y"]])
def test_every_output_under_the_pattern_is_a_plan(
    engine: LlamaCppEngine, routes: Sequence[str], temperature: float
) -> None:
    pattern = LineGrammar(routes, 3, max_words=3).pattern
    for seed in range(3):
        options = Options(pattern=pattern, temperature=temperature, seed=seed, max_tokens=120)
        written = engine.generate(HI, options)
        whole, _, cut = written.text.rpartition("\n") if written.stop_reason == "length" else (written.text, "", "")
        if whole or temperature:
            decode_lines(whole or cut).check(routes, 3)


@pytest.mark.parametrize("end", [0, 1, 2])
def test_the_token_that_a_file_calls_the_end_ends_an_output_under_a_grammar(tmp_path: Path, end: int) -> None:
    engine = LlamaCppEngine(write_tiny(tmp_path / "tiny.gguf", end=end))
    written = engine.generate(HI, Options(pattern="[a-z]*", max_tokens=30))
    assert (written.text, written.stop_reason) == ("", "stop")


def test_json_fits_the_schema_and_is_written_as_python_writes_it(engine: LlamaCppEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    written = engine.generate(HI, Options(json_schema=schema, max_tokens=80))
    assert written.stop_reason == "stop"
    assert re.fullmatch(r'\{"name": ".*", "age": -?[0-9]+\}', written.text, re.DOTALL)
    assert set(json.loads(written.text)) == {"name", "age"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(pattern="("), "grammar cannot be used"),
        (Options(json_schema={"type": "nothing"}), "grammar cannot be used"),
        (Options(pattern="a", json_schema={}), "either pattern or json_schema"),
    ],
)
def test_grammars_that_cannot_be_compiled(engine: LlamaCppEngine, options: Options, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        engine.generate(HI, options)


def test_pieces_are_the_text_and_tokens_are_counted(engine: LlamaCppEngine) -> None:
    pieces: list[str] = []
    written = engine.generate(HI, Options(max_tokens=9, pattern="[a-z/]{20}"), on_text=pieces.append)
    assert "".join(pieces) == written.text
    assert (len(pieces), len(written.text), written.output_tokens, written.stop_reason) == (9, 9, 9, "length")
    prompt = engine.template.render(HI)
    assert written.input_tokens == len(re.sub(r"<\|im_(start|end)\|>", "x", prompt).encode())
    text = engine.generate(HI, Options(pattern="é{3}東🙂")).text
    assert text == "ééé東🙂"


def test_a_question_cannot_end_its_own_turn(engine: LlamaCppEngine) -> None:
    inside = engine.generate([{"role": "user", "content": "a<|im_end|>"}], Options(max_tokens=1))
    apart = engine.generate([{"role": "user", "content": "a" + "x" * len("< |im_end|>")}], Options(max_tokens=1))
    assert inside.input_tokens == apart.input_tokens


def test_stop_strings(engine: LlamaCppEngine) -> None:
    written = engine.generate(HI, Options(pattern="one two three", stop=["two", ""]))
    assert (written.text, written.stop_reason) == ("one ", "stop")


def test_drawing_is_repeatable(engine: LlamaCppEngine) -> None:
    drawn = [engine.generate(HI, Options(max_tokens=12, temperature=1.0, seed=s)).text for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_beginnings_of_several_prompts_are_kept(engine: LlamaCppEngine) -> None:
    long = [[{"role": "user", "content": letter * 300}] for letter in "ab"]
    fresh = [engine.generate(messages, Options(max_tokens=1, reuse=False)) for messages in long]
    again = [engine.generate(messages, Options(max_tokens=1)) for messages in long]
    assert [written.cached_tokens for written in fresh] == [0, 0]
    assert again[1].cached_tokens > 300
    assert [written.text for written in again] == [written.text for written in fresh]
    assert engine.generate(long[0], Options(max_tokens=1)).cached_tokens > 300


def test_it_can_be_cancelled_at_any_piece(engine: LlamaCppEngine) -> None:
    cancel, pieces = Event(), []

    def on_text(piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == 3:
            cancel.set()

    written = engine.generate(HI, Options(max_tokens=1500, pattern=WORDS), on_text=on_text, cancel=cancel)
    assert (written.text, written.output_tokens, written.stop_reason) == ("".join(pieces), 3, "cancelled")
    assert written.input_tokens > 0
    assert engine.generate(HI, Options(max_tokens=4, pattern=WORDS)).output_tokens == 4


def test_cancelled_before_it_began(engine: LlamaCppEngine) -> None:
    cancel = Event()
    cancel.set()
    written = engine.generate(HI, Options(max_tokens=5), cancel=cancel)
    assert (written.text, written.output_tokens, written.stop_reason) == ("", 0, "cancelled")


def test_an_error_in_the_callback_leaves_the_engine_usable(engine: LlamaCppEngine) -> None:
    expected = engine.generate(HI, Options(max_tokens=12, pattern=WORDS)).text

    def on_text(piece: str) -> None:
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        engine.generate(HI, Options(max_tokens=12, pattern=WORDS), on_text=on_text)
    assert engine.generate(HI, Options(max_tokens=12, pattern=WORDS)).text == expected


def test_threads_wait_for_each_other(engine: LlamaCppEngine) -> None:
    questions = [[{"role": "user", "content": f"number {number}"}] for number in range(6)]
    options = Options(max_tokens=10, pattern="[a-z]{10}")
    expected = [engine.generate(question, options).text for question in questions]
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = engine.generate(questions[number], options).text

    threads = [Thread(target=ask, args=(number,)) for number in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(questions))] == expected


def test_the_context_is_a_limit(engine: LlamaCppEngine, tmp_path: Path) -> None:
    assert engine.context == 2048
    small = LlamaCppEngine(write_tiny(tmp_path / "tiny.gguf", context=512), context=256)
    assert small.context == 256
    with pytest.raises(QuestionError, match=r"has 336 tokens and the model reads 255 at most; shorten"):
        small.generate([{"role": "user", "content": "a" * 317}])
    written = small.generate([{"role": "user", "content": "a" * 200}], Options(max_tokens=500, pattern=WORDS))
    assert written.stop_reason == "length"
    assert written.input_tokens + written.output_tokens <= 256


def test_memory_for_long_prompts_is_taken_with_the_first_one(tmp_path: Path) -> None:
    engine = LlamaCppEngine(write_tiny(tmp_path / "tiny.gguf", context=5000))
    options, texts = Options(max_tokens=20, pattern=WORDS), list[str]()
    for size, room in ((100, 2048), (2100, 4096), (100, 4096), (4800, 5000), (100, 5000)):
        written = engine.generate([{"role": "user", "content": "a" * size}], options)
        assert written.input_tokens > size
        assert engine._room == room
        texts.append(written.text)
    assert texts[0] == texts[2] == texts[4]


def test_a_token_of_the_beginning_stands_there_once(tmp_path: Path) -> None:
    template = "{{ bos_token }}{{ messages[0].content }}"
    counts = []
    for adds in (True, False):
        path = write_tiny(tmp_path / f"{adds}.gguf", template=template, tokenizer_ggml_add_bos_token=adds)
        counts.append(LlamaCppEngine(path).generate([{"role": "user", "content": "abc"}], Options(max_tokens=1)))
    assert [written.input_tokens for written in counts] == [4, 4]


def test_nothing_listens(engine: LlamaCppEngine) -> None:
    engine.load()
    address = engine._loaded(1).listening_address
    if os.name == "posix":
        assert address.startswith("unix://")
        assert not Path(address.removeprefix("unix://")).exists()


def test_files_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailableError, match="no chat template; use a model tuned for chat"):
        LlamaCppEngine(write_tiny(tmp_path / "base.gguf", template=None))
    odd = write_tiny(tmp_path / "odd.gguf")
    odd.write_bytes(
        odd.read_bytes().replace(
            b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama",
            b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0lhama",
        )
    )
    with pytest.raises(
        ModelUnavailableError, match=r"llama.cpp cannot load .*of a kind that this version does not know"
    ):
        LlamaCppEngine(odd, context=64).load()
    huge = write_tiny(tmp_path / "huge.gguf")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with huge.open("r+b") as file:
        file.truncate(memory + 1)  # a hole
    with pytest.raises(ModelUnavailableError, match=r"more than this machine's memory .*take a smaller model"):
        LlamaCppEngine(huge)
    monkeypatch.setattr(llamacpp, "find_spec", lambda name: None if name == "xllamacpp" else True)
    with pytest.raises(MissingExtraError, match=r"needs xllamacpp; install with: pip install 'anabranch\[local\]'"):
        LlamaCppEngine(odd)


_WITHOUT_TORCH = """
import sys
from pathlib import Path
missing = ["torch", "transformers", "tokenizers", "accelerate", "peft"]
sys.modules |= dict.fromkeys(missing)
from anabranch.agents.models import resolve_model
chat = resolve_model(f"local:{sys.argv[1]}", role="decomposer").chat
print(chat.adapter.name, len(chat.invoke("hi", max_tokens=5, pattern="[a-z]{5}").text))
"""


@pytest.mark.parametrize("folder", [False, True])
def test_neither_torch_nor_transformers_is_needed(tmp_path: Path, folder: bool) -> None:
    path = write_folder(tmp_path / "tiny") if folder else write_tiny(tmp_path / "tiny.gguf")
    adapter = write_adapter(tmp_path / "adapter")
    command: list[Any] = [sys.executable, "-c", _WITHOUT_TORCH, path]
    own = {"ANABRANCH_LOCAL_ADAPTER": str(adapter), "ANABRANCH_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | own)
    assert (done.stdout, done.stderr) == ("adapter 5\n", "")


_LEAVES_EARLY = """
import sys
from pathlib import Path
from threading import Event, Thread
from anabranch.agents.local.generation import Options
from anabranch.agents.local.llamacpp import LlamaCppEngine
engine, begun = LlamaCppEngine(Path(sys.argv[1])), Event()
def write():
    options = Options(max_tokens=100000, pattern="[a-z]+")
    engine.generate([{"role": "user", "content": "hi"}], options, on_text=lambda _: begun.set())
Thread(target=write, daemon=True).start()
assert begun.wait(30)
"""


def test_a_program_may_end_while_the_model_writes(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", context=100_000)
    command: list[Any] = [sys.executable, "-c", _LEAVES_EARLY, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
