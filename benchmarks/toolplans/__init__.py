r"""Task rows for decomposers, from the schemas of real tools: drawn, put in other words by a teacher, filtered.

```
python -m benchmarks.toolplans.draw DATA OUT          # seeds.jsonl, the teacher's requests.jsonl, rows of people, tests
vllm run-batch -i OUT/requests.jsonl -o OUT/replies.jsonl --model /models/qwen15 --served-model-name teacher
python -m benchmarks.toolplans.families DATA OUT/families.jsonl         # rows over families of tools; --customs 0.55
python benchmarks/toolplans/rows.py OUT/seeds.jsonl OUT/replies.jsonl --out OUT/tasks \
    --more OUT/people.jsonl OUT/hidden.jsonl OUT/families.jsonl MORE
python -m anabranch.distill.train /models/qwen15 OUT/tasks_train.jsonl OUT/tasks_tune.jsonl NEW --base ... --start OLD \
    --learning-rate 1.5e-4 --batch-tokens 12288 --max-seconds 260
anabranch eval --task toolplans --data FILE --tools FILE --decomposer lines:http://127.0.0.1:8001/v1#NEW
anabranch eval --task gsm8k --data gsm8k_main_test.jsonl --system static:guided --tool none --max-tokens 512 \
    --solver http://127.0.0.1:8003/v1#qwen15 --decomposer lines:http://127.0.0.1:8001/v1#NEW
anabranch eval --task musique --data pooled_musique.jsonl --one-corpus --system static:per_node --tool none \
    --max-tokens 512 --solver http://127.0.0.1:8003/v1#qwen15 --decomposer lines:http://127.0.0.1:8001/v1#NEW
anabranch distill score routes --rows routes_test.jsonl --out OUT --decomposer http://127.0.0.1:8001/v1#NEW
```

MORE is a sample of the rows that `anabranch distill build` makes, so that questions are not forgotten. A small model
needs as many of them as of the others (`mixed`), and more room (`widen`): docs/lab/toolplans.md has the commands.
DATA holds toolplans_*.jsonl and toolplans_*_tools.json. `rows.py` needs the standard library alone, for GPU machines.
Tools of the fields that the test rows of Seal-Tools need are left out, as right tools and as others.
"""
