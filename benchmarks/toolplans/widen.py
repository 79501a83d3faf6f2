"""Gives an adapter a larger rank: the same function with more room, to go on training from.

```
python -m benchmarks.toolplans.widen anabranch/adapters/decomposer-135m OUT/wide --rank 28
```

The new rows of A are drawn as for a new adapter and the new columns of B are zero, so that nothing changes at first;
alpha grows with the rank, so that the scale stays.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from anabranch.distill.student import check_adapter

SEED = 7


def widened(weights: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The weights of an adapter with a larger rank, in fp16.

    Args:
        weights: as peft names them: `lora_A` of shape (rank, in), `lora_B` of shape (out, rank).
        rank: the new rank.
    """
    torch.manual_seed(SEED)
    wide: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if "lora_A" in name:
            more = torch.empty(rank - weight.shape[0], weight.shape[1])
            torch.nn.init.kaiming_uniform_(more, a=math.sqrt(5))
            new = torch.cat([weight.float(), more])
        else:
            new = torch.cat([weight.float(), torch.zeros(weight.shape[0], rank - weight.shape[1])], 1)
        wide[name] = new.half().contiguous()
    return wide


def main() -> None:
    """Writes the wider adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path, help="folder of an adapter")
    parser.add_argument("out", type=Path, help="folder for the wider one")
    parser.add_argument("--rank", type=int, required=True)
    args = parser.parse_args()
    config = check_adapter(args.adapter)
    if args.rank <= config["r"]:
        parser.error(f"{args.adapter} has rank {config['r']}; --rank must be larger")
    args.out.mkdir(parents=True, exist_ok=True)
    weights = widened(load_file(args.adapter / "adapter_model.safetensors"), args.rank)
    save_file(weights, args.out / "adapter_model.safetensors", metadata={"format": "pt"})
    config |= {"r": args.rank, "lora_alpha": round(config["lora_alpha"] / config["r"] * args.rank)}
    (args.out / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
