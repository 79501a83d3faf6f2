"""Everything behind docs/results.md, from the data sets to the tables, on one machine with a GPU.

```
python -m benchmarks.results.prepare DATASETS data --teacher http://host:8000/v1#MODEL   # anywhere; needs anabranch
python -m benchmarks.results.schedule --list                                             # the stages, what each needs
python -m benchmarks.results.schedule --data data --models models --out results          # on the machine with the GPU
python -m benchmarks.results.status results                                              # meanwhile; --wait SECONDS
python -m benchmarks.results.tables results/ev --out tables.md                           # evaluations, as tables
python -m benchmarks.serving.report results/bench --dollars-per-hour 3                   # serving speed, as a table
```

`prepare` runs `anabranch distill demonstrate`, `build` and `solutions`, and cuts the rows to train and to test on.
`schedule` fetches the three base models, trains ten adapters, serves the models and adapters with vLLM, lets a trained
decomposer draw plans, screens them and trains on the preferences, runs `anabranch eval` in seven groups
(`evaluations.py`, which runs by itself, too), and measures how fast the decomposers are served: both sizes before all
that can wait, variants at the end.

Times and memory shares are set for one H100 (80 GB) with 16 processor cores, where the whole has not run yet. By
their limits the trainings take 15 minutes and the evaluations 34, partly at the same time; each of the three serving
benchmarks takes 20 at the most. `--slower 3` gives a slower machine three times as long. `--dry` tries the stages out
on a processor, with any small models in the three folders; `prepare --tiny 40` makes data for that.

Training (torch, transformers, peft), the package (`anabranch[eval]`) and vLLM may each have a Python of their own:
`--training`, `--package`, `--vllm`. These modules need nothing but Python 3.11, except that `prepare` needs anabranch.
The scheduler is controlled with files, see `schedule.py`.
"""
