#!/usr/bin/env bash
# Plans a second of served decomposers, for the section "Serving" of docs/lab/notebook.md: `bash runs/serving.sh [SERVER...]`.
# One server at a time, each measured with 1,024, 256, 32 and one clients, with the grammar on demand and without.
set -euo pipefail
DATA=${DATA:-data} MODELS=${MODELS:-models} OUT=${OUT:-results} VLLM=${VLLM:-python} ADAPTER=${ADAPTER:-decomposer-135m}
BASE=${BASE:-$MODELS/smollm2} # for decomposer-1.5b: ADAPTER=decomposer-1.5b BASE=models/qwen15
PORT=8000
MANY=(--max-num-seqs 1024 --max-num-batched-tokens 16384)
PART=(--max-num-seqs 256 --max-num-batched-tokens 16384)
export ANABRANCH_VLLM_PYTHON=$(command -v "$VLLM")

up() { for _ in $(seq 900); do curl -fs "http://127.0.0.1:$PORT/v1/models" > /dev/null && return; sleep 1; done; return 1; }
measure() { # NAME COMMAND...
  "${@:2}" > "$OUT/$1.log" 2>&1 &
  local server=$!
  up
  python -m benchmarks.serving.load "http://127.0.0.1:$PORT/v1#$ADAPTER" --data "$DATA/gsm8k_main_test.jsonl" \
    "$DATA/gsm8k_main_train.jsonl" --requests "${REQUESTS:-4096}" --label "$ADAPTER $1" --out "$OUT/serving.jsonl"
  kill -TERM $server || true
  wait $server || true
}

# What the product starts: merged weights, vLLM's front end in Rust where it has one. `--engines N`: N engines on the GPU, in
# turns, or at the same time if CUDA's multi-process service runs before:
#   CUDA_MPS_PIPE_DIRECTORY=/tmp/mps CUDA_MPS_LOG_DIRECTORY=/tmp/mps nvidia-cuda-mps-control -d
engines() { anabranch serve decomposer --adapter "$ADAPTER" --base "$BASE" --port $PORT --engines "$1" -- "${@:2}"; }
one() { measure one engines 1 "${MANY[@]}"; }
four() { REQUESTS=8192 measure four engines 4 "${PART[@]}"; }
eight() { REQUESTS=8192 measure eight engines 8 "${PART[@]}"; }
four_at_once() { CUDA_MPS_PIPE_DIRECTORY=/tmp/mps REQUESTS=8192 measure four_at_once engines 4 "${PART[@]}"; }
eight_at_once() { CUDA_MPS_PIPE_DIRECTORY=/tmp/mps REQUESTS=8192 measure eight_at_once engines 8 "${PART[@]}"; }

# The adapter beside its base instead of merged into it.
lora() { measure lora anabranch serve decomposer --adapter "$ADAPTER" --base "$BASE" --port $PORT --lora -- "${MANY[@]}"; }

# vLLM's own server with merged weights, for what the product does not start.
merged() {
  [ -d "$OUT/merged" ] || anabranch distill export --adapter "anabranch/adapters/$ADAPTER" --base "$BASE" --out "$OUT/merged"
  measure "$1" "$VLLM" -m vllm.entrypoints.cli.main serve "$OUT/merged" --served-model-name "$ADAPTER" --host 127.0.0.1 \
    --port $PORT --generation-config vllm --disable-uvicorn-access-log "${@:2}"
}
python_front() { merged python_front --api-server-count 4 "${MANY[@]}"; }
ngram() {
  merged ngram --api-server-count 4 "${MANY[@]}" \
    --speculative-config '{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}'
}
not_compiled() {
  merged not_compiled --api-server-count 4 "${MANY[@]}" \
    --compilation-config '{"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}'
}
fp8() { merged fp8 --api-server-count 4 "${MANY[@]}" --quantization fp8; }

# Rows "offline engine" and "several engines without HTTP" were measured by scripts that are gone:
#   git show c74ba70:benchmarks/serving/offline.py and shared.py
# vLLM's own `vllm bench throughput --model OUT/merged` measures the first without the grammar.

mkdir -p "$OUT"
for each in "${@:-one four eight python_front lora}"; do for server in $each; do "$server"; done; done
