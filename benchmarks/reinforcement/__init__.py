"""Reinforcement of the shipped decomposers: its questions, and scores over one corpus before and after.

```
python -m benchmarks.reinforcement.questions DATA work                # train.jsonl, tune.jsonl, corpus.jsonl
python -m benchmarks.reinforcement.requests --help                    # requests, in many of which no tool fits
python -m benchmarks.reinforcement.score --help                       # recall, F1, passages; paired differences
```

`runs/reinforce.sh` has all commands, docs/lab/reinforcement.md what came of them.
"""
