"""Makes a base model's folder: `python -m benchmarks.results.weights FOLDER HUB_NAME`.

A folder that has the model stays as it is. Where `FOLDER.gguf` is there, its weights are turned into bfloat16 (for
machines without a hub), and a tokenizer that the folder has already stays (what transformers 5.17 reads from SmolLM2's
GGUF file ends a turn with the wrong token); else the model is fetched from the Hugging Face hub.
"""

import argparse
from pathlib import Path


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
    model.save_pretrained(folder)
    if not (folder / "tokenizer.json").exists():
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


if __name__ == "__main__":
    main()
