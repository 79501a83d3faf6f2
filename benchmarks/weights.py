"""Makes a base model's folder: `python -m benchmarks.weights FOLDER HUB_NAME`.

A folder that has the model stays as it is. Where `FOLDER.gguf` is there, its weights are turned into bfloat16 (for
machines without a hub), and a tokenizer that the folder has already stays; else the model is fetched from the Hugging
Face hub. What transformers 5.17 reads from GGUF files of SmolLM2 and Qwen2.5 ends a text where it should end a turn;
where the chat template tells how a turn ends, that token is taken.
"""

import argparse
from pathlib import Path
from typing import Any


def main() -> None:
    """Makes the folder, and prints how."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", help="on the hub, such as HuggingFaceTB/SmolLM2-135M-Instruct")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    gguf = folder.with_name(f"{folder.name}.gguf")
    if (folder / "config.json").exists() and list(folder.glob("*.safetensors")):
        print(f"{folder} is there")
    elif gguf.exists():
        convert(gguf, folder)
        print(f"{folder} from {gguf}")
    else:
        fetch(arguments.name, folder)
        print(f"{folder} from {arguments.name}")


def fetch(name: str, folder: Path) -> None:
    """Fetches a model's weights, tokenizer and settings."""
    from huggingface_hub import snapshot_download

    snapshot_download(name, local_dir=folder, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"])


def convert(gguf: Path, folder: Path) -> None:
    """Writes a GGUF file's weights as bfloat16; those that are quantised lose nothing more by it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    del model.config.quantization_config  # the weights are plain by now; without this, save_pretrained refuses
    model.hf_quantizer, model.is_quantized = None, False
    if not (folder / "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer.eos_token = end_of_turn(tokenizer) or tokenizer.eos_token
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def end_of_turn(tokenizer: Any) -> str | None:
    """The special token that a chat template ends an assistant's turn with; None where it does not tell."""
    if not tokenizer.chat_template:
        return None
    prompt = [{"role": "user", "content": "a"}]
    opened = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": "b"}], tokenize=False)
    rest = whole.removeprefix(f"{opened}b")
    special = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    return next((token for token in special if rest != whole and rest.startswith(token)), None)


if __name__ == "__main__":
    main()
