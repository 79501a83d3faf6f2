"""Writes a model as GGUF, the format of llama.cpp and Ollama, for the architectures Llama and Qwen2.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; names of tensors and the quantisation are those of
llama.cpp's own Python package `gguf`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy

from anabranch.agents.local.lora import read_lora
from anabranch.agents.local.merging import permuted
from anabranch.agents.local.model_folder import read_json, token_text, tokenizer_config
from anabranch.agents.local.template import folder_template
from anabranch.agents.local.tensors import Array, read_folder
from anabranch.errors import ConfigurationError

WEIGHTS = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
ARCHITECTURES = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}
"""By transformers' `model_type`."""
_QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
_OTHERWISE = (
    "run it as hf:NAME[+ADAPTER], or convert the model with llama.cpp's convert_hf_to_gguf.py and name that file; with "
    "an adapter, convert what `anabranch distill export --format merged` writes"
)
_CHATML = (
    "<|im_start|>system\n\0<|im_end|>\n<|im_start|>user\n\1<|im_end|>\n<|im_start|>assistant\n",
    """\
TEMPLATE \"\"\"{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
\"\"\"
PARAMETER stop "<|im_end|>"
""",
)


def check(weights: str) -> None:
    """Sees to it that a precision is known.

    Raises:
        ConfigurationError: it is not.
    """
    if weights not in WEIGHTS:
        raise ConfigurationError(f"unknown weights {weights!r}; use one of: {', '.join(WEIGHTS)}")


def write(base: Path, adapter: Path | None, path: Path, weights: str) -> None:
    """Writes a GGUF file of a transformers model folder, with an adapter merged into it.

    Args:
        base: folder of the model.
        adapter: folder of a LoRA adapter; None for the base weights. The file has its name or else the base's.
        path: the file.
        weights: precision of the matrices, as in `WEIGHTS`; vectors are in fp32.

    Raises:
        ConfigurationError: the adapter does not fit the base, or llama.cpp does not know the architecture or the
            tokenizer under a name here.
        ModelUnavailableError: a file of the base or of the adapter is missing or damaged.
    """
    config = read_json(base / "config.json")
    kind = config.get("model_type")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    turned, activation = rope.get("rope_type", rope.get("type", "default")), config.get("hidden_act", "silu")
    special = config.get("mlp_bias") or config.get("use_sliding_window") or activation != "silu"
    if kind not in ARCHITECTURES or turned != "default" or special:
        raise ConfigurationError(f"no GGUF is written for {kind} with rope {turned} and {activation}; {_OTHERWISE}")
    vocabulary = list(_vocabulary(base, int(config["vocab_size"])))
    architecture = ARCHITECTURES[kind]
    tensors, lora = read_folder(base), None if adapter is None else read_lora(adapter)
    if lora:
        lora.check_fit({name: tensor.shape for name, tensor in tensors.items()})
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    try:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name((adapter or base).resolve().name)
        _add_shape(writer, config, rope, WEIGHTS[weights][1])
        _add_tokenizer(writer, base, vocabulary)
        names = gguf.get_tensor_name_map(architecture, int(config["num_hidden_layers"]))
        for theirs, tensor in tensors.items():
            if theirs == "lm_head.weight" and config.get("tie_word_embeddings"):
                continue
            ours = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
            if ours is None:
                raise ConfigurationError(f"GGUF has no name for {theirs}; {_OTHERWISE}")
            values = tensor.values() + lora.added(theirs) if lora and theirs in lora.pairs else tensor.values()
            values = _permuted(theirs, values, config) if kind == "llama" else values
            _add_tensor(writer, ours, values, WEIGHTS[weights][0])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def modelfile(base: Path) -> str:
    """A `Modelfile` for Ollama; the prompt's form is written out where it is ChatML, and else left to the file's own.

    Source: https://github.com/ollama/ollama/blob/main/docs/modelfile.md
    """
    messages = [{"role": "system", "content": "\0"}, {"role": "user", "content": "\1"}]
    template = _CHATML[1] if folder_template(base).render(messages) == _CHATML[0] else ""
    return f"FROM ./model.gguf\n{template}PARAMETER temperature 0\n"


def _add_shape(writer: Any, config: Mapping[str, Any], rope: Mapping[str, Any], kind: Any) -> None:
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    width = int(config.get("head_dim") or hidden // heads)
    writer.add_file_type(kind)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(hidden)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))


def _add_tokenizer(writer: Any, base: Path, vocabulary: list[tuple[str, int]]) -> None:
    data = read_json(base / "tokenizer.json")
    settings = tokenizer_config(base)
    ids = {text: number for number, (text, _) in enumerate(vocabulary)}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(data))
    writer.add_token_list([text for text, _ in vocabulary])
    writer.add_token_types([kind for _, kind in vocabulary])
    writer.add_token_merges(merges)
    adders: Mapping[str, Callable[[int], None]] = {
        "bos_token": writer.add_bos_token_id,
        "eos_token": writer.add_eos_token_id,
        "unk_token": writer.add_unk_token_id,
        "pad_token": writer.add_pad_token_id,
    }
    for name, add in adders.items():
        if (text := token_text(settings.get(name))) in ids:
            add(ids[text])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    if isinstance(source := settings.get("chat_template"), str):
        writer.add_chat_template(source)


def _vocabulary(base: Path, size: int) -> Iterator[tuple[str, int]]:
    """All tokens with their types, in order; numbers without a token get a name that nothing is split into."""
    data = read_json(base / "tokenizer.json")
    texts = {number: text for text, number in data["model"].get("vocab", {}).items()}
    kinds = dict.fromkeys(texts, int(gguf.TokenType.NORMAL))
    for token in data.get("added_tokens", []):
        texts[token["id"]] = token["content"]
        kinds[token["id"]] = int(gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED)
    for number in range(size):
        yield texts.get(number, f"[PAD{number}]"), kinds.get(number, int(gguf.TokenType.UNUSED))


def _splitting(data: Mapping[str, Any]) -> str:
    """llama.cpp's name for how the tokenizer splits a text before its merges.

    Raises:
        ConfigurationError: it has none that is known here.
    """
    splitter = data.get("pre_tokenizer") or {}
    parts = splitter.get("pretokenizers", [splitter])
    kinds = [part.get("type") for part in parts]
    plain = (data.get("normalizer") or {}).get("type") in (None, "NFC")
    if data["model"]["type"] == "BPE" and plain:
        if kinds == ["ByteLevel"] and parts[0].get("use_regex", True):
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and str(parts[0]["pattern"].get("Regex", "")).startswith(_QWEN2):
            return "qwen2"
    raise ConfigurationError(
        f"llama.cpp's name for this tokenizer ({', '.join(map(str, kinds))}) is not known here; {_OTHERWISE}"
    )


def _permuted(name: str, values: Array, config: Mapping[str, Any]) -> Array:
    heads = int(config["num_attention_heads"])
    if ".k_proj." in name:
        heads = int(config.get("num_key_value_heads") or heads)
    elif ".q_proj." not in name:
        return values
    return permuted(values, heads)


def _add_tensor(writer: Any, name: str, values: Array, kind: Any) -> None:
    if values.ndim < 2:
        writer.add_tensor(name, values.astype(numpy.float32))
    elif kind == gguf.GGMLQuantizationType.Q8_0 and values.shape[-1] % 32 == 0:
        writer.add_tensor(name, gguf.quants.quantize(numpy.ascontiguousarray(values), kind), raw_dtype=kind)
    else:
        full = kind == gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, numpy.ascontiguousarray(values.astype(numpy.float32 if full else numpy.float16)))
