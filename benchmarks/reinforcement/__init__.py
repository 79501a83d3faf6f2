"""Reinforcement of the shipped decomposers: its questions, and scores over one corpus before and after.

```
python -m benchmarks.reinforcement.questions ../shared/data work      # train.jsonl, tune.jsonl, corpus.jsonl
python -m benchmarks.reinforcement.score --help                       # recall, F1, passages; paired differences
```

docs/lab/reinforcement.md has what came of it.
"""
