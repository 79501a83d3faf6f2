#!/usr/bin/env bash
# The tables of docs/lab: `bash runs/evaluations.sh [GROUP...]`, with the groups base, students, steps, small, domains,
# agents and times.
# Servers have to be up; `bash runs/evaluations.sh servers` starts them. A command that was stopped goes on where it was.
set -euo pipefail
MODELS=${MODELS:-models} OUT=${OUT:-results} VLLM=${VLLM:-python}
E=$OUT/data/eval
STUDENTS=${STUDENTS:-"decomposer-1.5b decomposer-135m d15 d15p d15q d15r d135 d05"}

serve() { # FOLDER PORT LENGTH ADAPTERS...: a base model and its adapters, on one address
  local modules=()
  for name in "${@:4}"; do [ -d "$OUT/$name" ] && modules+=("$name=$OUT/$name"); done
  OMP_NUM_THREADS=1 VLLM_USE_FLASHINFER_SAMPLER=0 "$VLLM" -m vllm.entrypoints.openai.api_server --model "$MODELS/$1" \
    --served-model-name "$1" --host 127.0.0.1 --port "$2" --max-model-len "$3" --generation-config vllm \
    --enable-prefix-caching --gpu-memory-utilization 0.1 --kv-cache-memory-bytes 5000000000 --max-num-seqs 512 \
    --enable-auto-tool-choice --tool-call-parser hermes --disable-uvicorn-access-log \
    --enable-lora --max-lora-rank 32 --max-loras 6 --lora-modules "${modules[@]}" > "$OUT/$1.log" 2>&1 &
}

if [ "${1:-}" = servers ]; then
  # The teacher and solver alone; its adapters beside it; the small models. Wait until /health of each answers.
  serve qwen15 8001 8192
  serve qwen15 8002 8192 decomposer-1.5b d15 d15p d15q d15r
  serve smollm2 8003 4096 decomposer-135m d135 s135
  serve qwen05 8004 4096 d05 d05m d05x s05t s05a s05x
  wait
fi

at() { # NAME: the address of a model or adapter, as anabranch is told
  case $1 in
    qwen15) echo "http://127.0.0.1:8001/v1#$1" ;;
    *1.5b | d15*) echo "http://127.0.0.1:8002/v1#$1" ;;
    *135m | *135 | smollm2) echo "http://127.0.0.1:8003/v1#$1" ;;
    *) echo "http://127.0.0.1:8004/v1#$1" ;;
  esac
}
lines() { echo "$1=lines:$(at "$1")"; }
SOLVER="qwen15=$(at qwen15)"
HALF="qwen05=$(at qwen05)"
SMALL="smollm2=$(at smollm2)"
# A writer of plans without training: worked examples in the prompt of the largest model. The second label: no calculator shown.
TEACHER="examples-qwen15=examples:$(at qwen15)"
ALONE="examples-qwen15-no-tools=examples:$(at qwen15)"

ev() { # FOLDER TASK FILE MORE...
  anabranch eval --task "$2" --data "$E/$3.jsonl" --max-tokens 512 --seed 0 --concurrency 96 --out "$OUT/ev/$1" --quiet "${@:4}"
}
gsm8k() { ev "$1" gsm8k gsm8k_socratic_test "${@:2}"; }
ways=(--system cot --system unguided --system direct)
guided=(--system static:guided)

base() { # what needs no student: (a), (d), (f), (t)
  gsm8k base/gsm8k "${ways[@]}" --solver "$SOLVER"
  gsm8k base/gsm8k-guided-no-tools "${guided[@]}" --solver "$SOLVER" --decomposer "$ALONE" --tool none
  gsm8k base/gsm8k-guided "${guided[@]}" --solver "$SOLVER" --decomposer "$TEACHER"
  gsm8k base/gsm8k-human --system human:guided --solver "$SOLVER"
  gsm8k base/gsm8k-cot3 --system cot:3 --solver "$SOLVER"
  gsm8k base/gsm8k-two-stage --system two-stage --solver "$SOLVER" --decomposer "$SOLVER" --decomposer "$HALF"
  for solver in "$HALF" "$SMALL"; do
    gsm8k "base/gsm8k-${solver%%=*}" "${ways[@]}" --solver "$solver"
    gsm8k "base/gsm8k-${solver%%=*}-guided" "${guided[@]}" --solver "$solver" --decomposer "$TEACHER"
  done
  for task in "strategyqa strategyqa_dev" "bamboogle bamboogle" "drop drop_dev_500"; do
    set -- $task
    ev "base/$1" "$1" "$2" "${ways[@]}" "${guided[@]}" --solver "$SOLVER" --decomposer "$TEACHER"
    ev "base/$1-two-stage" "$1" "$2" --system two-stage --solver "$SOLVER" --decomposer "$SOLVER" --decomposer "$HALF"
  done
  ev base/strategyqa-human strategyqa strategyqa_dev --system human:guided --solver "$SOLVER"
  ev base/hotpotqa hotpotqa hotpotqa_reflexion100_ctx "${ways[@]}" --system react --solver "$SOLVER"
  ev base/hotpotqa-plans hotpotqa hotpotqa_reflexion100_ctx --system static --system dynamic --solver "$SOLVER" \
    --decomposer "$TEACHER" --decomposer "$SOLVER"
  ev base/parallelqa parallelqa llmcompiler_parallelqa "${ways[@]}" --solver "$SOLVER"
  ev base/tune gsm8k gsm8k_tune --system cot --system unguided --solver "$SOLVER"
  ev base/reading hotpotqa hotpotqa_reading_tune "${ways[@]}" "${guided[@]}" --solver "$SOLVER" --decomposer "$TEACHER"
  ev base/lookups hotpotqa hotpotqa_lookups_tune "${ways[@]}" --solver "$SOLVER"
}

students() { # each distilled decomposer: (a), (d), (e), (f), (h), (t), and the route test
  for name in $STUDENTS; do
    plans=(--decomposer "$(lines "$name")" --solver "$SOLVER")
    gsm8k "$name/gsm8k-guided" "${guided[@]}" "${plans[@]}"
    ev "$name/tune" gsm8k gsm8k_tune "${guided[@]}" "${plans[@]}"
    ev "$name/reading" hotpotqa hotpotqa_reading_tune "${guided[@]}" "${plans[@]}"
    ev "$name/lookups" hotpotqa hotpotqa_lookups_tune --system static "${plans[@]}"
    ev "$name/hotpotqa" hotpotqa hotpotqa_reflexion100_ctx --system static --system dynamic "${plans[@]}"
    ev "$name/strategyqa" strategyqa strategyqa_dev "${guided[@]}" "${plans[@]}"
    ev "$name/bamboogle" bamboogle bamboogle "${guided[@]}" "${plans[@]}"
    ev "$name/drop" drop drop_dev_500 "${guided[@]}" "${plans[@]}"
    gsm8k "$name/gsm8k-05-guided" "${guided[@]}" --decomposer "$(lines "$name")" --solver "$HALF"
    gsm8k "$name/gsm8k-135-guided" "${guided[@]}" --decomposer "$(lines "$name")" --solver "$SMALL"
    anabranch distill score routes --rows "$OUT/work/w3/routes_test.jsonl" --out "$OUT/routes/$name" --decomposer "$(at "$name")" --quiet
  done
}

steps() { # (b): the whole plan at once against layer by layer, on 300 questions
  for plans in "$TEACHER" "$SOLVER" $(for name in $STUDENTS; do lines "$name"; done); do
    gsm8k "steps/${plans%%=*}" --system static:per_node --system dynamic --limit 300 --solver "$SOLVER" --decomposer "$plans"
  done
}

small() { # the small solver, one sub-question at a time: (d), (f)
  own=(--solver "small-s135=small:$(at s135)")
  for name in d135 d05 d15p; do own+=(--decomposer "$(lines $name)"); done
  gsm8k small/gsm8k-s135 --system static "${own[@]}" --decomposer "$TEACHER"
  gsm8k small/gsm8k-s135-alone --system cot --solver "s135=$(at s135)"
  gsm8k small/gsm8k-smollm2 --system static --solver "small-smollm2=small:$(at smollm2)" --decomposer "$(lines d135)"
  ev small/hotpotqa hotpotqa hotpotqa_reflexion100_ctx --system static "${own[@]}"
}

domains() { # (c): distilled decomposers against distilled solvers, trained on everything, on one domain, on all others
  students=() ; for name in d05 d05m d05x; do students+=(--decomposer "$(lines $name)"); done
  for task in "gsm8k gsm8k_socratic_test static:guided" "strategyqa strategyqa_dev static:guided" \
    "hotpotqa hotpotqa_reflexion100_ctx static"; do
    set -- $task
    for name in s05t s05a s05x qwen05; do
      ev "domains/$1-$name" "$1" "$2" --system cot --system direct --solver "$name=$(at $name)"
      [ "$1" = hotpotqa ] || [ $name = qwen05 ] ||
        ev "domains/$1-guided-$name" "$1" "$2" --system "$3" --solver "$name=$(at $name)" --decomposer "$(lines d05)"
    done
    ev "domains/$1-plans" "$1" "$2" --system "$3" --solver "$SOLVER" --solver "$HALF" "${students[@]}"
  done
}

agents() { # LangChain's agent alone and behind PlannerMiddleware, and the planner alone, each over one corpus
  for task in hotpotqa 2wiki musique; do
    ev "agents/$task" "$task" "pooled_$task" --one-corpus --limit 200 --baseline react --solver "$SOLVER" \
      --system middleware --system middleware:stop --system react --system react:tool_first --system static --system cot \
      --system rag:8 --system rag:12 --system ircot --system self-ask \
      --decomposer "$(lines decomposer-1.5b)" --decomposer "$(lines decomposer-135m)"
  done
}

times() { # (g): independent sub-questions at the same time or one after the other; alone on the servers
  for plans in "$TEACHER" $(for name in $STUDENTS; do lines "$name"; done); do
    for way in static:per_node static:per_node:sequential; do
      ev "times/${plans%%=*}-${way##*:}" parallelqa llmcompiler_parallelqa --system $way --limit 60 --concurrency 4 \
        --solver "$SOLVER" --decomposer "$plans" &
    done
    wait
  done
}

mkdir -p "$OUT"
for group in "${@:-base students steps small domains agents times}"; do for each in $group; do $each; done; done
python -m benchmarks.tables "$OUT/ev" > "$OUT/tables.md"
