"""An adapter between two of one base model: part of the way from the first to the second.

```
python -m benchmarks.reinforcement.between anabranch/adapters/decomposer-135m REINFORCED OUT/half --share 0.5
```

The changes of weights that the two make are averaged, layer by layer, and cut to the second one's rank by a singular
value decomposition.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from anabranch.distill.student import check_adapter


def between(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], scales: tuple[float, float], share: float, rank: int
) -> dict[str, Tensor]:
    """The weights of an adapter between two, in fp16, for the second one's scale.

    Args:
        first: as peft names them: `lora_A` of shape (rank, in), `lora_B` of shape (out, rank).
        second: those of the other one, of the same layers.
        scales: what each multiplies its product by, alpha / rank.
        share: how far it is from the first to the second, from 0 to 1.
        rank: of the new one.
    """
    made: dict[str, Tensor] = {}
    for name in (name for name in first if "lora_A" in name):
        other = name.replace("lora_A", "lora_B")
        down = torch.cat([first[name].float(), second[name].float()])
        up = torch.cat([(1 - share) * scales[0] * first[other].float(), share * scales[1] * second[other].float()], 1)
        # The product of both factors has at most the sum of the ranks: its decomposition is that of a small matrix.
        left, inner_left = torch.linalg.qr(up)
        right, inner_right = torch.linalg.qr(down.T)
        u, s, v = torch.linalg.svd(inner_left @ inner_right.T)
        root = s[:rank].sqrt()
        made[other] = ((left @ u[:, :rank]) * root / scales[1]).half().contiguous()
        made[name] = ((root[:, None] * v[:rank]) @ right.T).half().contiguous()
    return made


def main() -> None:
    """Writes the adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of an adapter")
    parser.add_argument("second", type=Path, help="folder of another one of the same base model")
    parser.add_argument("out", type=Path, help="folder for the new one")
    parser.add_argument("--share", type=float, required=True, help="0 is the first, 1 the second")
    args = parser.parse_args()
    configs = check_adapter(args.first), check_adapter(args.second)
    if configs[0]["base_model_name_or_path"] != configs[1]["base_model_name_or_path"]:
        parser.error(f"{args.first} and {args.second} have different base models; name two adapters of one")
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (args.first, args.second)]
    if weights[0].keys() != weights[1].keys():
        parser.error(f"{args.first} and {args.second} have different layers; name two adapters of the same ones")
    one, other = (config["lora_alpha"] / config["r"] for config in configs)
    args.out.mkdir(parents=True, exist_ok=True)
    made = between(weights[0], weights[1], (one, other), args.share, configs[1]["r"])
    save_file(made, args.out / "adapter_model.safetensors", metadata={"format": "pt"})
    (args.out / "adapter_config.json").write_text(json.dumps(configs[1], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
