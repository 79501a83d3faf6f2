#!/usr/bin/env bash
# The adapters: first those that are shipped, then those that docs/lab compares them with. Needs what rows.sh made.
set -euo pipefail
DATA=${DATA:-data} MODELS=${MODELS:-models} OUT=${OUT:-results} VLLM=${VLLM:-python}
W=$OUT/work D=$OUT/data
SMOLLM2=HuggingFaceTB/SmolLM2-135M-Instruct
QWEN05=Qwen/Qwen2.5-Coder-0.5B-Instruct
QWEN15=Qwen/Qwen2.5-Coder-1.5B-Instruct

# The base models: from the hub, or from MODELS/NAME.gguf where there is one (ours were 4-bit files, turned into bf16).
python -m benchmarks.weights "$MODELS/smollm2" $SMOLLM2
python -m benchmarks.weights "$MODELS/qwen05" $QWEN05
python -m benchmarks.weights "$MODELS/qwen15" $QWEN15

train() { # NAME BASE ROWS HELD_OUT MORE...
  local folder=smollm2
  [ "$2" = $QWEN05 ] && folder=qwen05
  [ "$2" = $QWEN15 ] && folder=qwen15
  anabranch distill train --base "$MODELS/$folder" --base-name "$2" --rows "$3" --held-out "$4" --out "$OUT/$1" "${@:5}" --quiet
}

# decomposer-135m, first stage: one pass over 83,520 rows, 227 s on an H100, held-out loss 0.389.
train decomposer-135m-first $SMOLLM2 "$W/w3_more/decomposer_train.jsonl" "$D/w3/decomposer_tune_small.jsonl" \
  --learning-rate 1e-3 --epochs 1 --batch-tokens 16384 --max-seconds 400

# solver-135m: 79 % of a pass over 66,257 rows, 151 s on an H200 that it shared, held-out loss 0.118.
train solver-135m $SMOLLM2 "$W/w3/reader_train.jsonl" "$W/w3/reader_tune.jsonl" \
  --rank 48 --learning-rate 8e-4 --batch-tokens 24576 --max-tokens 2048 --max-seconds 150

# decomposer-1.5b, first stage: half a pass over 39,057 rows, 170 s on an H100 that started servers meanwhile.
train decomposer-1.5b-first $QWEN15 "$W/w3/decomposer_train.jsonl" "$D/w3/decomposer_tune_small.jsonl" \
  --learning-rate 2e-4 --batch-tokens 6144 --max-seconds 170

# decomposer-135m, second and third stage: plans over tools, in each as many rows of the first stage as of tasks, none twice, and a
# larger rank. 394 steps in 120 s and 491 in 142 s on an H200 that also served; no teacher. docs/lab/toolplans.md says why.
T=$OUT/tools
mkdir -p "$T"
python -m benchmarks.toolplans.draw "$DATA" "$T"
python benchmarks/toolplans/rows.py "$T/seeds.jsonl" /dev/null --out "$T/own" --templates 0.45
python -m benchmarks.toolplans.families "$DATA" "$T/families_1.jsonl" --seed 17
python -m benchmarks.toolplans.families "$DATA" "$T/families_2.jsonl" --seed 18
python -m benchmarks.toolplans.mixed --replay "$W/w3_more/decomposer_train.jsonl" --part 1 --out "$T/stage_1.jsonl" \
  --tasks "$T/own_train.jsonl" "$T/families_1.jsonl" "$T/hidden.jsonl" "$T/people.jsonl"
python -m benchmarks.toolplans.mixed --replay "$W/w3_more/decomposer_train.jsonl" --part 2 --out "$T/stage_2.jsonl" \
  --tasks "$T/families_2.jsonl" "$T/people.jsonl"
python -m benchmarks.toolplans.widen "$OUT/decomposer-135m-first" "$T/wide" --rank 28
stage() { # NAME ROWS START RATE SECONDS
  train "$1" $SMOLLM2 "$2" "$T/own_tune.jsonl" --start "$3" --rank 28 --learning-rate "$4" --epochs 2 --batch-tokens 16384 \
    --evaluations 6 --patience 99 --max-seconds "$5"
}
stage decomposer-135m-second "$T/stage_1.jsonl" "$T/wide" 8e-4 118
stage decomposer-135m "$T/stage_2.jsonl" "$OUT/decomposer-135m-second" 5e-4 141

# decomposer-1.5b, second stage: plans over tools. A teacher puts requests into words.
"$VLLM" -m vllm.entrypoints.cli.main run-batch -i "$T/requests.jsonl" -o "$T/replies.jsonl" \
  --model "$MODELS/qwen15" --served-model-name teacher
# 8,510 rows of the first stage go with them, so that questions are not forgotten (ours were drawn without a seed).
shuf --random-source=<(yes) -n 8510 "$W/w3/decomposer_train.jsonl" > "$T/more.jsonl"
python benchmarks/toolplans/rows.py "$T/seeds.jsonl" "$T/replies.jsonl" --out "$T/tasks" \
  --more "$T/people.jsonl" "$T/hidden.jsonl" "$T/families_1.jsonl" "$T/more.jsonl"
train decomposer-1.5b-second $QWEN15 "$T/tasks_train.jsonl" "$T/tasks_tune.jsonl" --start "$OUT/decomposer-1.5b-first" \
  --learning-rate 1.5e-4 --batch-tokens 12288 --max-seconds 260

# decomposer-1.5b, third stage: plans that follow customs. 741 steps in 154 s on an H200 that also served. (Ours took 75 % of the
# families' rows, and 330 rows of all kinds to see the held-out loss.)
for k in 1 2 3 4 5 6 7 8 9 10; do
  python -m benchmarks.toolplans.families "$DATA" "$T/customs_$k.jsonl" --count 1400 --seed $((30 + k)) --customs 0.55
done
for k in 1 2 3 4 5 6 7; do
  python -m benchmarks.toolplans.draw "$DATA" "$T/draw_$k" --seeds 900 --samples 0 --seed $((50 + k))
  python benchmarks/toolplans/rows.py "$T/draw_$k/seeds.jsonl" /dev/null --out "$T/own_$k" --templates 0.4
done
python benchmarks/toolplans/rows.py "$T/seeds.jsonl" "$T/replies.jsonl" --out "$T/taught" --templates 0
python -m benchmarks.toolplans.mixed --replay "$W/w3_more/decomposer_train.jsonl" --part 2 --share 0.62 --out "$T/stage_3.jsonl" \
  --tasks "$T"/customs_*.jsonl "$T"/own_?_train.jsonl "$T"/draw_*/hidden.jsonl "$T/taught_train.jsonl" "$T/people.jsonl"
train decomposer-1.5b $QWEN15 "$T/stage_3.jsonl" "$T/own_tune.jsonl" --start "$OUT/decomposer-1.5b-second" \
  --epochs 1 --learning-rate 1.2e-4 --batch-tokens 10240 --patience 99 --max-seconds 357

[ "${1:-}" = shipped ] && exit

# From here on: students of docs/lab/notebook.md that are not shipped, under their names there.
once=(--epochs 1)
train d135 $SMOLLM2 "$D/w3/decomposer_twice_train.jsonl" "$D/w3/decomposer_tune_small.jsonl" \
  --learning-rate 1e-3 --batch-tokens 16384 --max-seconds 400 "${once[@]}"
train s135 $SMOLLM2 "$W/w3/solver_train.jsonl" "$D/w3/solver_tune_small.jsonl" --learning-rate 1e-3 --max-seconds 120
train d15 $QWEN15 "$W/w3/decomposer_train.jsonl" "$D/w3/decomposer_tune_small.jsonl" \
  --learning-rate 2e-4 --batch-tokens 8192 --max-seconds 200
half() { train "$1" $QWEN05 "$2" "$3" --learning-rate 4e-4 --batch-tokens 4096 --max-seconds "$4" "${@:5}"; }
half d05 "$W/w3/decomposer_train.jsonl" "$D/w3/decomposer_tune_small.jsonl" 120
half d05m "$W/w3_math/decomposer_train.jsonl" "$D/w3_math/decomposer_tune_small.jsonl" 60
half d05x "$W/w3_other/decomposer_train.jsonl" "$D/w3_other/decomposer_tune_small.jsonl" 60
half s05a "$W/se_math/se_a.jsonl" "$D/se_math/se_a_tune_small.jsonl" 50
half s05x "$W/se_other/se_a.jsonl" "$W/se_other/se_a_tune.jsonl" 25 --epochs 3

# Solutions of a teacher, which is on port 8001 (evaluations.sh starts it).
anabranch distill solutions --questions "$D/gsm8k_se.jsonl" --work "$OUT/se_math" --teacher http://127.0.0.1:8001/v1#qwen15 --quiet
half s05t "$OUT/se_math/se_t.jsonl" "$OUT/se_math/se_t_tune.jsonl" 50

# Plans of d15 on 2,100 questions, each tried four times; then preferences (two rates), and training on those that were right.
# distill_data/gsm8k_outcomes.jsonl.gz has the outcomes: `screen --screened` makes the same rows without plans and solver.
P=$OUT/p15
anabranch distill draw --questions "$D/gsm8k_draw.jsonl" --work "$P" --decomposer http://127.0.0.1:8002/v1#d15 \
  --tool none --no-grammar --samples 6 --quiet
# Pairs with DIRECT taught an earlier student to plan for no word problem at all.
anabranch distill screen --questions "$D/gsm8k_draw.jsonl" --plans "$P/drawn_plans.jsonl" --work "$P" \
  --solver http://127.0.0.1:8001/v1#qwen15 --samples 4 --alone 4 --margin 0.5 --pairs 3 --no-direct --max-tokens 400 --quiet
prefer() {
  anabranch distill prefer --base "$MODELS/qwen15" --base-name $QWEN15 --adapter "$OUT/d15" --pairs "$P/pairs.jsonl" \
    --held-out "$P/pairs_tune.jsonl" --out "$OUT/$1" --learning-rate "$2" --beta "$3" --sft-weight 1.0 --epochs 2 \
    --batch-tokens 4096 --max-seconds 100 --quiet
}
prefer d15p 2e-5 0.1
prefer d15q 5e-5 0.05
train d15r $QWEN15 "$P/sd_r.jsonl" "$P/sd_r_tune.jsonl" --start "$OUT/d15" --epochs 2 \
  --learning-rate 3e-5 --batch-tokens 4096 --max-seconds 100
