r"""Task rows for decomposers, from the schemas of real tools: drawn, put in other words by a teacher, filtered.

```
python -m benchmarks.toolplans.draw DATA OUT          # seeds.jsonl, the teacher's requests.jsonl, rows of people, tests
python anabranch/evals/offline.py OUT/requests.jsonl --out OUT/replies.jsonl --serve teacher=/models/qwen15
python benchmarks/toolplans/rows.py OUT/seeds.jsonl OUT/replies.jsonl --out OUT/tasks \
    --more OUT/people.jsonl OUT/hidden.jsonl MORE
python -m anabranch.distill.train /models/qwen15 OUT/tasks_train.jsonl OUT/tasks_tune.jsonl NEW --base ... --start ...
```

MORE is a sample of the rows that `anabranch distill build` makes, so that questions are not forgotten.
DATA holds toolplans_*.jsonl and toolplans_*_tools.json. `rows.py` needs the standard library alone, for GPU machines.
Tools of the fields that the test rows of Seal-Tools need are left out, as right tools and as others.
"""
