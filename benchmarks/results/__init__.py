"""Everything behind docs/lab/notebook.md, from the data sets to the tables, on one machine with a GPU.

```
python -m benchmarks.results.prepare DATASETS data --teacher http://host:8000/v1#MODEL   # anywhere; needs anabranch
python -m benchmarks.results.schedule --list                                             # the stages, what each needs
python -m benchmarks.results.schedule --data data --models models --out results          # on the machine with the GPU
python -m benchmarks.results.status results                                              # meanwhile; --wait SECONDS
python -m benchmarks.results.tables results/ev --out tables.md                           # evaluations, as tables
python -m benchmarks.serving.report results/bench --dollars-per-hour 3                   # serving speed, as a table
```

`prepare` runs `anabranch distill demonstrate`, `build` and `solutions`, and cuts the rows to train and to test on;
`--plans distill_data/gsm8k_plans.jsonl.gz` stands in for the teacher.
`schedule` fetches the three base models, trains the adapters, serves models and adapters with vLLM, lets a trained
decomposer draw plans, tries each several times, learns from the outcomes in three ways, runs `anabranch eval` in groups
(`evaluations.py`, which runs by itself, too), and measures how fast the decomposers are served, after all else.

`--gpus 4` spreads it over four GPUs. On four H100s (80 GB) with 64 processor cores everything but the serving speeds
took 20 minutes on 2026-11-26, and some groups ran out of time: an engine is limited by its processor core, and wrote
6,000 (many prompts at a time) to 15,000 tokens a second. On one GPU the servers that repeat the large model are left
out. `--slower 3` gives a slower machine three times as long. `--dry` tries the stages out on a processor, with any
small models in the three folders; `prepare --tiny 40` makes data for that.

Training (torch, transformers, peft), the package (`anabranch[eval]`) and vLLM may each have a Python of their own:
`--training`, `--package`, `--vllm`. These modules need nothing but Python 3.11 and pydantic, except that `prepare`
needs anabranch. The scheduler is controlled with files, see `schedule.py`.
"""
