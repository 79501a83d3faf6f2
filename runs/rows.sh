#!/usr/bin/env bash
# Rows to train on and questions to evaluate on. Reads DATA, writes OUT/work (what anabranch makes) and OUT/data.
set -euo pipefail
DATA=${DATA:-data} OUT=${OUT:-results} PLANS=${PLANS:-distill_data/gsm8k_plans.jsonl.gz}
W=$OUT/work

# The teacher's plans are in distill_data. To have a teacher write them again, serve one and leave --plans out below:
#   anabranch distill demonstrate --data "$DATA" --work "$W/w3" --teacher http://127.0.0.1:8001/v1#qwen15
# It drew 4 plans a question at temperature 0.6: 6.6 million tokens read, 2.7 million written.

# The rows that decomposers and the small solver learn from; the same again with other tool catalogues (w3_again); four times
# as many demonstrations from templates (w3_more, which decomposer-135m learned from); one domain alone, and all others.
build() { anabranch distill build --data "$DATA" --plans "$PLANS" --work "$W/$1" "${@:2}" --quiet; }
build w3
build w3_again --seed 2
build w3_more --seed 3 --written 20000
build w3_math --leave-out strategyqa --leave-out musique --leave-out written_other
build w3_other --leave-out gsm8k --leave-out written_sum

# Questions about made-up pages, for the small solver that reads.
anabranch distill read --data "$DATA" --work "$W/w3" --quiet

# Worked solutions, for solvers that are distilled in place of decomposers.
anabranch distill solutions --questions "$DATA/gsm8k_main_train.jsonl" --work "$W/se_math" --quiet
anabranch distill solutions --questions "$DATA/strategyqa_train.jsonl" --work "$W/se_other" --quiet

# What is held out and what is evaluated on: always the same rows.
python -m benchmarks.rows "$DATA" "$W" "$OUT/data"
