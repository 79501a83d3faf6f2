#!/usr/bin/env bash
# Both decomposers reinforced, on one GPU with three servers: `bash runs/reinforce.sh STEP...`. The steps, in this order:
#
#   rows       all files; needs no GPU. OUT/rows.tar.xz has them: unpack it in OUT of the machine with the GPU
#   weights    the base models
#   servers    starts the servers and waits until they answer; `stop` ends them
#   r135 r15   reinforcement; at the same time with `bash runs/reinforce.sh r135 & bash runs/reinforce.sh r15 & wait`
#   between    adapters half and seven tenths of the way from those that ship
#   tuning     routes and requests that no test has, to choose between those adapters
#   score      the tests, of all of them at once
#
# A step that was stopped goes on when it is called again. While the steps run, KEEP gets small files, to be copied away: the
# adapter that did best so far, in parts of at most 16 MB, and the scores. If the machine is lost, `cat KEEP/r15.tgz.* | tar xz -C
# THERE` unpacks the adapter elsewhere, and START15=THERE/r15 goes on from it (with a new optimizer).
# docs/lab/reinforcement.md has what came of it so far, and where the settings are from.
set -euo pipefail
DATA=${DATA:-data} MODELS=${MODELS:-models} OUT=${OUT:-results} VLLM=${VLLM:-python} KEEP=${KEEP:-$OUT/keep}
W=$OUT/work/reinforce
SMOLLM2=HuggingFaceTB/SmolLM2-135M-Instruct
QWEN15=${QWEN15:-Qwen/Qwen2.5-Coder-1.5B-Instruct}
SHIPS135=anabranch/adapters/decomposer-135m
SHIPS15=${SHIPS15:-packages/decomposer-1.5b/anabranch_decomposer_1_5b/decomposer-1.5b}
# The folders of the two bases and of the solver in MODELS, and what each server may take: with 12 GB for what it keeps of prompts,
# the three need some 55 GB, which leaves 80 of 139 to two that train.
BASE135=${BASE135:-smollm2} BASE15=${BASE15:-qwen15} RANK15=${RANK15:-16} SOLVER=${SOLVER:-qwen15}
SIZES=${SIZES:---max-model-len 8192 --gpu-memory-utilization 0.15 --kv-cache-memory-bytes 12000000000 --max-num-seqs 512}
# Where they begin. decomposer-135m goes through `supervised` first; START135=anabranch/adapters/decomposer-135m leaves that out.
START135=${START135:-$OUT/s135} START15=${START15:-$SHIPS15}
# Most seconds of each, all calls together; a larger number goes on. A round of decomposer-135m took 13 s, of decomposer-1.5b 15 s.
SECONDS_S135=${SECONDS_S135:-90} SECONDS135=${SECONDS135:-420} SECONDS15=${SECONDS15:-600}
ROUNDS135=${ROUNDS135:-28} ROUNDS15=${ROUNDS15:-40} EVALUATE_EVERY=${EVALUATE_EVERY:-4}
QUESTIONS135=${QUESTIONS135:-64} SAMPLES135=${SAMPLES135:-16} REQUESTS135=${REQUESTS135:-24} REPLAYED135=${REPLAYED135:-24}
QUESTIONS15=${QUESTIONS15:-48} SAMPLES15=${SAMPLES15:-12} REQUESTS15=${REQUESTS15:-28} REPLAYED15=${REPLAYED15:-20}
RATE135=${RATE135:-1.2e-4} RATE15=${RATE15:-6e-5} TOKENS135=${TOKENS135:-24576} TOKENS15=${TOKENS15:-4096}
# What `tuning` and `score` are of. LIMIT, where it is set: so many questions of each test, for a trial.
SCORED=${SCORED:-135 15} LIMIT=${LIMIT:-}

build() { anabranch distill build --data "$DATA" --plans distill_data/gsm8k_plans.jsonl.gz --work "$OUT/work/$1" "${@:2}" --quiet; }
T=$OUT/work/tools
tasks() { # NAME FAMILIES SEEDS SEED: rows over families of tools, more than half of them with customs, and in the words of schemas
  python -m benchmarks.toolplans.families "$DATA" "$T/$1_families.jsonl" --count "$2" --seed "$4" --customs 0.55
  python -m benchmarks.toolplans.draw "$DATA" "$T/$1" --seeds "$3" --samples 0 --seed "$4"
  python benchmarks/toolplans/rows.py "$T/$1/seeds.jsonl" /dev/null --out "$T/$1_own" --templates 0.4
}
rows() {
  mkdir -p "$W/tests" "$T"
  # 2,098 distinct questions and their corpus, and 120 questions to choose the round by.
  python -m benchmarks.reinforcement.questions "$DATA" "$W"

  # Rows of both first trainings, and the route test, which is that of w3.
  build w3
  build w3_more --seed 3 --written 20000
  shuf --random-source=<(yes) -n 6000 "$OUT/work/w3_more/decomposer_train.jsonl" > "$W/replay.jsonl"

  # Rows over tools: those of the supervised steps, and others for reinforcement. The seeds are none of adapters.sh.
  tasks supervised 7400 4500 61
  tasks reinforced 2700 2000 62
  python -m benchmarks.toolplans.mixed --replay "$OUT/work/w3_more/decomposer_train.jsonl" --part 1 --out "$W/supervised.jsonl" \
    --tasks "$T/supervised_families.jsonl" "$T/supervised_own_train.jsonl" "$T/supervised/hidden.jsonl" "$T/supervised/people.jsonl"
  cp "$T/supervised_own_tune.jsonl" "$W/supervised_tune.jsonl"
  # 6,400 requests: in 1,380 no tool of the catalogue fits, in 900 one fits some of the steps. 248 to choose the round by.
  python -m benchmarks.reinforcement.requests "$OUT/work/w3/decomposer_train.jsonl" "$W" --test "$OUT/work/w3/routes_test.jsonl" \
    --tasks "$T/reinforced_families.jsonl" "$T/reinforced_own_train.jsonl" "$T/reinforced/hidden.jsonl" \
    --routes "$OUT/work/w3_more/routes_test.jsonl"

  cp -f "$OUT/work/w3/routes_test.jsonl" "$DATA"/pooled_{hotpotqa,musique,2wiki}.jsonl "$DATA/gsm8k_main_test.jsonl" "$W/tests"
  cp -f "$DATA"/toolplans_{ultratool,seal,nestful,tmdb}.jsonl "$DATA"/toolplans_{ultratool,seal,nestful,tmdb}_tools.json "$W/tests"
  tar cJf "$OUT/rows.tar.xz" -C "$OUT" work/reinforce
  du -h --apparent-size "$OUT/rows.tar.xz"
}

weights() {
  python -m benchmarks.weights "$MODELS/smollm2" $SMOLLM2
  python -m benchmarks.weights "$MODELS/qwen15" $QWEN15
}

serve() { # PORT FOLDER MORE...
  VLLM_ALLOW_RUNTIME_LORA_UPDATING=True OMP_NUM_THREADS=1 VLLM_USE_FLASHINFER_SAMPLER=0 setsid \
    "$VLLM" -m vllm.entrypoints.openai.api_server --model "$MODELS/$2" --served-model-name base --host 127.0.0.1 --port "$1" \
    --generation-config vllm --enable-prefix-caching --disable-uvicorn-access-log $SIZES "${@:3}" \
    > "$OUT/server_$1.log" 2>&1 &
  echo $! > "$OUT/server_$1.pid"
}
lora() { serve "$1" "$2" --enable-lora --max-lora-rank "$3" --max-loras 6; }
servers() { # the solver, which nothing changes, and the two bases, which take each round's adapter
  serve 8001 "$SOLVER"
  lora 8002 "$BASE135" 32
  lora 8003 "$BASE15" "$RANK15"
  local port
  for port in 8001 8002 8003; do up $port || { tail -n 20 "$OUT/server_$port.log"; return 1; }; done
}
up() { # PORT
  for _ in $(seq 900); do
    curl -fs "http://127.0.0.1:$1/health" > /dev/null && return
    kill -0 "$(cat "$OUT/server_$1.pid")" 2> /dev/null || return 1
    sleep 1
  done
  return 1
}
stop() { # each with the processes that it has started
  local file
  for file in "$OUT"/server_*.pid; do
    kill -- "-$(cat "$file")" || true
    rm "$file"
  done
}
SOLVES=http://127.0.0.1:8001/v1#base

supervised() { # 406 steps in 57 s; half of the rows are of its first training
  anabranch distill train --base "$MODELS/$BASE135" --base-name $SMOLLM2 --rows "$W/supervised.jsonl" \
    --held-out "$W/supervised_tune.jsonl" --out "$OUT/s135" --start $SHIPS135 --learning-rate 4e-4 --batch-tokens 20480 \
    --evaluations 4 --patience 99 --max-seconds "$SECONDS_S135"
}

reinforced() { # NAME START FOLDER BASE PORT MORE...
  local ended=0 packing
  mkdir -p "$KEEP"
  rm -f "$OUT/$1.ended"
  packed "$1" & packing=$!
  anabranch distill reinforce --out "$OUT/$1" --adapter "$2" --base "$MODELS/$3" --base-name "$4" --solver $SOLVES \
    --decomposer "http://127.0.0.1:$5/v1" --questions "$W/train.jsonl" --tune "$W/tune.jsonl" --corpus "$W/corpus.jsonl" \
    --requests "$W/requests.jsonl" --tune-requests "$W/tune_requests.jsonl" --replay "$W/replay.jsonl" \
    --evaluate-every "$EVALUATE_EVERY" "${@:6}" || ended=$?
  touch "$OUT/$1.ended"
  wait $packing
  return $ended
}
packed() { # NAME: packs each better adapter until the run has ended, and then the last one with its curve
  while [ ! -f "$OUT/$1.ended" ] && kill -0 $$; do
    [ ! "$OUT/$1/adapter_model.safetensors" -nt "$OUT/$1.packed" ] || pack "$1"
    sleep 1
  done
  [ ! -f "$OUT/$1/adapter_model.safetensors" ] || pack "$1"
}
pack() { # NAME
  local made=$OUT/$1.parts
  touch "$OUT/$1.packed"
  rm -rf "$made" && mkdir "$made"
  (shopt -s nullglob && cd "$OUT" && tar czf - "$1"/*.{json,safetensors,csv}) | split -b 16000000 - "$made/$1.tgz."
  mv "$made"/* "$KEEP"
}

r135() {
  [ "$START135" != "$OUT/s135" ] || [ -f "$OUT/s135/manifest.json" ] || supervised
  reinforced r135 "$START135" "$BASE135" $SMOLLM2 8002 --rounds "$ROUNDS135" --questions-a-round "$QUESTIONS135" \
    --samples "$SAMPLES135" --requests-a-round "$REQUESTS135" --replay-rows "$REPLAYED135" --learning-rate "$RATE135" \
    --batch-tokens "$TOKENS135" --max-seconds "$SECONDS135"
}

r15() {
  reinforced r15 "$START15" "$BASE15" $QWEN15 8003 --rounds "$ROUNDS15" --questions-a-round "$QUESTIONS15" \
    --samples "$SAMPLES15" --requests-a-round "$REQUESTS15" --replay-rows "$REPLAYED15" --learning-rate "$RATE15" \
    --batch-tokens "$TOKENS15" --max-seconds "$SECONDS15"
}

between() {
  part_of_the_way $SHIPS135 r135
  part_of_the_way "$SHIPS15" r15
}
part_of_the_way() { # SHIPS NAME
  [ -f "$OUT/$2/adapter_model.safetensors" ] || return 0
  python -m benchmarks.reinforcement.between "$1" "$OUT/$2" "$OUT/$2_half" --share 0.5
  python -m benchmarks.reinforcement.between "$1" "$OUT/$2" "$OUT/$2_most" --share 0.7
}

# All adapters of one size that there are: those that ship, half and seven tenths of the way, all of it, and after `supervised`.
# On the server their names end with a hash of their weights, and so does the folder of the scores: both keep what they have seen.
candidates() { # SIZE SHIPS PORT: sets scores (the folder), systems and plans (options for commands), and served (NAME=ADDRESS)
  local each name folder mark all=""
  systems=() plans=() served=()
  for each in "ships $2" "half $OUT/r$1_half" "most $OUT/r$1_most" "full $OUT/r$1" "supervised $OUT/s$1"; do
    name=${each%% *} folder=${each#* }
    [ -f "$folder/adapter_model.safetensors" ] || continue
    mark=$(sha256sum < "$folder/adapter_model.safetensors" | head -c 8) all+=$mark
    # It says so if it has it already.
    curl -sS "http://127.0.0.1:$3/v1/load_lora_adapter" -H 'Content-Type: application/json' \
      -d "{\"lora_name\": \"$name-$mark\", \"lora_path\": \"$(realpath "$folder")\"}"
    echo
    served+=("$name=http://127.0.0.1:$3/v1#$name-$mark")
    systems+=(--system "${served[-1]}") plans+=(--decomposer "$name=lines:http://127.0.0.1:$3/v1#$name-$mark")
  done
  scores=$OUT/scores/$1_$(sha256sum <<< "$all" | head -c 8)
  mkdir -p "$scores" "$KEEP"
}
common=(--seed 0 --concurrency 96 --quiet)
routes() { # FOLDER FILE
  local each
  for each in "${served[@]}"; do
    anabranch distill score routes --rows "$2" --out "$scores/$1/${each%%=*}" --decomposer "${each#*=}" --quiet
  done
}
toolplans() { # FOLDER SET MORE...
  anabranch eval --task toolplans --data "$W/tests/toolplans_$2.jsonl" --tools "$W/tests/toolplans_$2_tools.json" "${plans[@]}" \
    --out "$scores/$1" "${common[@]}" "${@:3}"
}
keep_scores() {
  tar czf "$scores.tgz" --exclude='cache.sqlite*' --exclude=report.html -C "$OUT/scores" "${scores##*/}"
  mv "$scores.tgz" "$KEEP/scores_${scores##*/}.tgz"
}

each_size() { # STEP
  local size
  for size in $SCORED; do
    [ "$size" != 135 ] || candidates 135 $SHIPS135 8002
    [ "$size" != 15 ] || candidates 15 "$SHIPS15" 8003
    "$1"
  done
}
tuning() { each_size tuning_of; }
tuning_of() {
  routes tune_routes "$W/tune_routes.jsonl"
  toolplans tune_ultratool ultratool --split train --limit "${LIMIT:-300}"
  keep_scores
}
score() { each_size score_of; }
score_of() {
  routes routes "$W/tests/routes_test.jsonl"
  local set
  for set in ultratool seal nestful tmdb; do toolplans $set $set ${LIMIT:+--limit "$LIMIT"}; done
  keep_scores
  # Sums go through one guided call; no tool is shown.
  anabranch eval --task gsm8k --data "$W/tests/gsm8k_main_test.jsonl" --limit "${LIMIT:-600}" --system static:guided --tool none \
    --max-tokens 512 --solver "$SOLVES" "${plans[@]}" --out "$scores/gsm8k" "${common[@]}"
  keep_scores
  python -m benchmarks.reinforcement.score "$W"/tests/pooled_{hotpotqa,musique,2wiki}.jsonl --solver $SOLVES \
    --out "$scores/lookups.jsonl" "${systems[@]}" ${LIMIT:+--limit "$LIMIT"} | tee "$scores/lookups.txt"
  keep_scores
}

mkdir -p "$OUT"
for step in "${@:?a step, see the first lines}"; do "$step"; done
