"""How fast vLLM serves the decomposer, on one machine.

`render` needs anabranch and runs anywhere. The rest runs on the machine with the accelerator and needs only Python,
vLLM and aiohttp (which vLLM brings):

```
python -m benchmarks.serving.render prompts.json --data questions.jsonl
python -m benchmarks.serving.merge BASE ADAPTER MERGED            # only for the variants on merged weights (peft)
python -m benchmarks.serving.run prompts.json --base BASE --adapter ADAPTER --out results [--only lora,offline]
python -m benchmarks.serving.shared prompts.json --model MERGED --engines 8   # engines on one GPU, without HTTP
python -m benchmarks.serving.report results --dollars-per-hour 3
```
"""
