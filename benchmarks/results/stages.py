"""The stages: models, training, servers, adapters, preferences, evaluations, then serving speed; the urgent first."""

import json
import re
from dataclasses import replace
from pathlib import Path

from benchmarks.results.settings import (
    FETCHED,
    HUB,
    KEPT,
    MORE,
    QWEN05,
    QWEN15,
    REPO,
    SERVERS,
    SHARDS,
    SMOLLM2,
    Server,
    Settings,
)
from benchmarks.results.stage import Stage
from benchmarks.serving.variants import QUICK

TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
EVALUATIONS = (
    ("base", ("srvA", "srvB", "srvC"), "A", 420),
    ("kept15", ("l_kept15_D", "srvE"), "E", 300),
    ("kept135", ("l_kept135_B", "srvF"), "F", 300),
    ("d135", ("l_d135_B", "srvA", "ev_base?"), "A", 300),
    ("d135w", ("l_d135w_B", "srvH", "ev_base?"), "H", 300),
    ("d15", ("l_d15_K", "srvF", *(f"screen15_{n}?" for n in range(len(SHARDS)))), "F", 300),
    ("d15p", ("l_d15p_D", "srvG"), "G", 300),
    ("d15q", ("l_d15q_K", "srvH"), "H", 300),
    ("d15r", ("l_d15r_K", "srvI"), "I", 300),
    ("cross", ("l_s05a_C?", "l_s05x_C?", "l_d05m_C", "l_d05x_C?", "l_s05t_C?", "srvE", "ev_kept15?"), "E", 420),
    ("d05", ("l_d05_C", "srvE", "ev_cross?"), "E", 240),
    ("small", ("l_d15p_D", "l_s135_B", "l_d135_B", "l_d05_C", "srvA"), "A", 200),
)
"""Groups of `evaluations.py`, what they need, the server of their large solver, and how many seconds they get."""
DECOMPOSER = {"d15": "K", "d15q": "K", "d15r": "K"}
"""Which server has the decomposers of a group, where it is not D."""
SPEEDS = (
    ("135", "merged-rust-x8-mps", 1, 1, 2048),
    ("135", "offline-merged,merged", 2, 4, 2048),
    ("15", "offline-merged,merged", 2, 5, 1024),
    ("135", "merged-rust-x4-mps,merged-x4,merged-graphs,merged-throughput,merged-fp8,merged-guidance", 1, 3, 2048),
)
"""Groups of serving speeds: size, variants, how many start at a time, gigabytes of cache for each engine, and most
requests a measurement.
"""


def all_stages(settings: Settings) -> list[Stage]:
    """All stages of a run."""
    made = [
        *_models(settings),
        *_first_adapters(settings),
        *_servers(settings),
        *(_adapter(settings, name, server) for server in settings.servers for name in server.adapters),
        *_more_adapters(settings),
        *_routes(settings),
        *_preference(settings),
        *(_evaluation(settings, *each) for each in EVALUATIONS),
        *_merged(settings),
        *([] if settings.dry else _serving(settings)),
    ]
    return [replace(stage, seconds=stage.seconds * settings.slower) for stage in made]


def _nothing(name: str, *needs: str) -> Stage:
    return Stage(name, needs, ("true",))


def _models(s: Settings) -> list[Stage]:
    if s.dry:
        return [*(_nothing(name) for name in FETCHED.values()), _nothing("site")]
    gates = {SMOLLM2: s.gate("s"), QWEN05: s.gate("c"), QWEN15: s.gate("q")}
    made = [
        Stage(
            FETCHED[name],
            gates[name],
            s.runs(s.training, "benchmarks.results.weights", s.models / name, HUB[name]),
            REPO,
            s.environment(s.training),
            seconds=3600,
        )
        for name in FETCHED
    ]
    return [*made, Stage("site", s.gate("v"), ("bash", "-c", s.install or "true"))]


def _train(
    s: Settings,
    name: str,
    needs: tuple[str, ...],
    model: str,
    rows: tuple[Path, Path],
    rate: float,
    batch_tokens: int,
    seconds: int,
    *more: str,
    limit: int = 0,
    gpu: int = 0,
) -> Stage:
    """Trains an adapter: `rows` are those to train on and those held out, `limit` is when it is killed."""
    options: list[object] = [
        "--base",
        HUB[model],
        "--learning-rate",
        rate,
        "--batch-tokens",
        512 if s.dry else batch_tokens,
    ]
    options += ["--max-seconds", 8 if s.dry else seconds * s.slower, *more]
    return Stage(
        name,
        needs,
        s.runs(s.training, "anabranch.distill.train", s.model(model), *rows, s.out / name, *options),
        REPO,
        s.environment(s.training, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True", **s.on(gpu)),
        interrupt=True,
        seconds=limit or seconds + 200,
    )


def _files(folder: Path, stem: str, held_out: str = "_tune_small") -> tuple[Path, Path]:
    name = stem.removesuffix("_train")
    return folder / f"{stem}.jsonl", folder / f"{name}{held_out}.jsonl"


def _first_adapters(s: Settings) -> list[Stage]:
    plans, solver = _files(s.data / "w3", "decomposer_train"), _files(s.data / "w3", "solver_train")
    twice = s.data / "w3" / "decomposer_twice_train.jsonl", plans[1]  # with another catalogue for each row
    written = s.data / MORE / "decomposer_train.jsonl", plans[1]
    # Going on, a small student learns the plans by heart: its held-out loss rose within the first of four passes.
    once = ("--epochs", "1")
    return [
        _train(s, "d15", ("conv_15",), QWEN15, plans, 2e-4, 8192, 200, gpu=1),
        _train(s, "d135", ("conv_s",), SMOLLM2, twice, 1e-3, 16384, 400, *once, gpu=3),
        _train(s, "d135w", ("conv_s",), SMOLLM2, written, 1e-3, 16384, 400, *once, gpu=2),
        _train(s, "s135", ("conv_s",), SMOLLM2, solver, 1e-3, 12288, 120, gpu=2),
        _train(s, "d05", ("conv_05",), QWEN05, plans, 4e-4, 4096, 120, gpu=2),
    ]


def _more_adapters(s: Settings) -> list[Stage]:
    """For the comparison of distilled decomposers with distilled solvers, on two domains."""
    work = s.out / "se_math"
    options = ("--questions", s.data / "gsm8k_se.jsonl", "--work", work, "--teacher", s.at("A", QWEN15), "-q")
    mathematics, other = (_files(s.data / f"w3_{name}", "decomposer_train") for name in ("math", "other"))
    own = _files(s.data / "se_math", "se_a")
    elsewhere = _files(s.data / "se_other", "se_a", "_tune")
    taught = _files(work, "se_t", "_tune")
    return [
        _command(s, "se_t", ("srvA",), "distill", "solutions", *options),
        _train(s, "s05a", ("conv_05",), QWEN05, own, 4e-4, 4096, 50, gpu=2),
        _train(s, "d05m", ("conv_05",), QWEN05, mathematics, 4e-4, 4096, 60, gpu=1),
        _train(s, "d05x", ("d05m?",), QWEN05, other, 4e-4, 4096, 60, gpu=1),
        _train(s, "s05t", ("se_t", "s05a?"), QWEN05, taught, 4e-4, 4096, 50, limit=900, gpu=2),
        _train(s, "s05x", ("s05t?",), QWEN05, elsewhere, 4e-4, 4096, 25, "--epochs", "3", gpu=2),
    ]


def _command(s: Settings, name: str, needs: tuple[str, ...], *options: object) -> Stage:
    """One of anabranch's commands."""
    return Stage(name, needs, s.runs(s.package, "anabranch.cli", *options), REPO, s.environment(s.package))


def _servers(s: Settings) -> list[Stage]:
    if not s.dry:
        return [_server(s, server, [server.model]) for server in s.servers]
    first, *others = s.servers
    names = dict.fromkeys(name for server in s.servers for name in (server.model, *server.adapters))
    return [_server(s, first, list(names)), *(_nothing(server.stage, first.stage) for server in others)]


def _server(s: Settings, server: Server, names: list[str]) -> Stage:
    large = server.model == QWEN15
    options = ["--model", s.model(server.model), "--served-model-name", *names]
    options += ["--host", "127.0.0.1", "--port", str(server.port), "--max-model-len", "8192" if large else "4096"]
    options += ["--generation-config", "vllm", "--disable-uvicorn-access-log", "--enable-prefix-caching"]
    if s.dry:
        options += ["--dtype", "float32", "--max-num-seqs", "16", "--enforce-eager"]
    else:
        options += ["--gpu-memory-utilization", "0.1", "--kv-cache-memory-bytes", str((5 if large else 4) * 10**9)]
        options += ["--max-num-seqs", "512"]
        # Without compilation a server starts sooner, but batches of prompts and decoding together have no CUDA graphs;
        # the large model, for which all evaluations wait, wrote 5,000 to 9,000 tokens a second so.
        options += [] if large else ["--compilation-config", json.dumps(QUICK["compilation_config"])]
        options += TOOLS if server.model != SMOLLM2 else ()
        if server.adapters:
            options += ["--enable-lora", "--max-lora-rank", "16", "--max-loras", str(len(server.adapters))]
    return Stage(
        server.stage,
        (FETCHED[server.model], "site", *_alike(server)),
        (*s.vllm.words, "-m", "vllm.entrypoints.openai.api_server", *options),
        s.out,
        {**s.vllm_environment, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", **s.on(server.gpu)},
        health=f"http://127.0.0.1:{server.port}/health",
    )


def _alike(server: Server) -> tuple[str, ...]:
    """The first server of the same kind, which compiles for all of them."""
    first = next(other for other in SERVERS if other.serves == server.serves)
    return () if first is server else (f"{first.stage}?",)


def _adapter(s: Settings, name: str, server: Server) -> Stage:
    """Puts an adapter on a server, once it is trained if it is not one of the package's."""
    needs = (server.stage, *(() if name in KEPT else (name,)))
    stage = f"l_{name}_{server.letter}"
    if s.dry:
        return _nothing(stage, *needs)
    body = json.dumps({"lora_name": name, "lora_path": str(s.adapter(name))})
    post = ("-X", "POST", "-H", "Content-Type: application/json", "-d", body)
    address = f"{s.address(server)}/v1/load_lora_adapter"
    return Stage(stage, needs, ("curl", "-sS", "--fail-with-body", *post, address), again=True)


def _routes(s: Settings) -> list[Stage]:
    rows = s.data / "w3" / f"routes_test{'_small' if s.dry else ''}.jsonl"
    places = {"d135": "B", "d135w": "B", "kept135": "B", "d05": "C", "d15": "K", "d15p": "D", "d15q": "K", "d15r": "K"}
    return [
        _command(
            s,
            f"routes_{name}",
            (_here(s, f"l_{name}_{letter}"),),
            *("distill", "score", "routes", "--rows", rows, "--out", s.out / f"routes_{name}"),
            *("--decomposer", s.at(letter, name), "-q"),
        )
        for name, letter in places.items()
    ]


def _preference(s: Settings) -> list[Stage]:
    """Draws plans of d15 and tries each several times, in shards; then learns from them in three ways."""
    drawn = [stage for number in range(len(SHARDS)) for stage in _shard(s, number)]
    work, outcomes = s.out / "p15", ("pairs", "pairs_tune", "sd_r", "sd_r_tune", "outcomes", "direct")
    folders = [s.out / f"p15_{number}" for number in range(len(SHARDS))]
    join = " && ".join(
        f"cat {' '.join(str(folder / f'{name}.jsonl') for folder in folders)} > {work / name}.jsonl"
        for name in outcomes
    )
    joined = Stage(
        "pairs15", tuple(f"screen15_{number}" for number in range(len(SHARDS))), _shell(f"mkdir -p {work} && {join}")
    )
    kept = work / "sd_r.jsonl", work / "sd_r_tune.jsonl"
    again = ("--start", str(s.out / "d15"), "--epochs", "2")
    return [
        *drawn,
        joined,
        _prefer(s, "d15p", 0, 2e-5, 0.1),
        _prefer(s, "d15q", 1, 5e-5, 0.05),
        _train(s, "d15r", ("pairs15",), QWEN15, kept, 3e-5, 4096, 100, *again, gpu=2),
    ]


def _shard(s: Settings, number: int) -> list[Stage]:
    decomposer, solver = SHARDS[number]
    asked, work = s.data / f"gsm8k_draw_{number}.jsonl", s.out / f"p15_{number}"
    draw: list[object] = ["--work", work, "--decomposer", s.at(decomposer, "d15"), "--tool", "none", "--no-grammar"]
    draw += ["--samples", 2 if s.dry else 6, *(["--limit", 4] if s.dry else []), "-q"]
    screen: list[object] = ["--plans", work / "drawn_plans.jsonl", "--work", work, "--solver", s.at(solver, QWEN15)]
    # Pairs with DIRECT taught an earlier student to plan for no word problem at all.
    screen += ["--samples", 4, "--alone", 4, "--margin", 0.5, "--pairs", 3, "--no-direct", "--max-tokens", 400, "-q"]
    needs = (_here(s, f"l_d15_{decomposer}"), _here(s, f"srv{solver}"))
    return [
        _command(s, f"draw15_{number}", needs, "distill", "draw", "--questions", asked, *draw),
        _command(s, f"screen15_{number}", (f"draw15_{number}",), "distill", "screen", "--questions", asked, *screen),
    ]


def _prefer(s: Settings, name: str, gpu: int, rate: float, beta: float) -> Stage:
    work = s.out / "p15"
    files = (s.out / "d15", work / "pairs.jsonl", work / "pairs_tune.jsonl", s.out / name)
    options: list[object] = ["--base", HUB[QWEN15], "--learning-rate", rate, "--beta", beta, "--sft-weight", 1.0]
    options += ["--epochs", 2]
    options += ["--batch-tokens", 512 if s.dry else 4096, "--max-seconds", 8 if s.dry else 100 * s.slower]
    return Stage(
        name,
        ("pairs15",),
        s.runs(s.training, "anabranch.distill.preference", s.model(QWEN15), *files, *options),
        REPO,
        s.environment(s.training, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True", **s.on(gpu)),
        interrupt=True,
    )


def _evaluation(s: Settings, group: str, needs: tuple[str, ...], solver: str, seconds: int) -> Stage:
    seconds = 400 if s.dry else seconds
    options: list[object] = ["--data", s.data / "eval", "--out", s.out / "ev", "--groups", group]
    options += ["--seconds", seconds * s.slower]
    options += ["--jobs", 2 if s.dry else 10]
    options += [
        part for letter, address in _letters(s, group, solver).items() for part in (f"--{letter}", f"{address}/v1")
    ]
    options += ["--skip", s.skip] if s.skip else []
    options += ["--limit", 2, "--max-tokens", 48] if s.dry else []
    command = s.runs(s.package, "benchmarks.results.evaluations", *options)
    return Stage(
        f"ev_{group}",
        tuple(_here(s, need) for need in needs),
        command,
        REPO,
        s.environment(s.package),
        seconds=seconds + 60,
    )


def _letters(s: Settings, group: str, solver: str) -> dict[str, str]:
    """The address of each server, by the letter that evaluations know it by."""
    places = {"a": solver, "b": "B", "c": "C", "d": DECOMPOSER.get(group, "D")}
    return {letter: s.address(s.server(place)) for letter, place in places.items()}


def _here(s: Settings, need: str) -> str:
    """A need for a server, or for an adapter on it, with the letter of the server that there is."""
    found = re.fullmatch(r"(srv|l_\w+_)([A-Z])(\??)", need)
    return f"{found[1]}{s.server(found[2]).letter}{found[3]}" if found else need


def _merged(s: Settings) -> list[Stage]:
    return [
        Stage(
            f"merge{size}",
            (FETCHED[model], f"d{size}"),
            s.runs(s.training, "benchmarks.serving.merge", s.model(model), s.out / f"d{size}", s.out / f"merged{size}"),
            REPO,
            s.environment(s.training),
        )
        for size, model in (("135", SMOLLM2), ("15", QWEN15))
    ]


def _serving(s: Settings) -> list[Stage]:
    """Speed is measured alone, one group after the other, once the evaluations' servers are off.

    Most of a measurement is starting, which would disturb another one: all groups but the last start together, while
    the last evaluations still run.
    """
    *early, last = range(1, len(SPEEDS) + 1)
    off = " ".join(str(s.control / f"kill-{server.stage}") for server in s.servers)
    evaluations = (f"ev_{group}?" for group, *_ in EVALUATIONS)
    up = " && ".join(f"[ -e {s.out}/ready{number} ]" for number in early)
    wait = f"for i in $(seq 300); do {up} && break; sleep 1; done; touch {s.out}/go1"
    return [
        *(_speed(s, number, "site", "ev_d15?", "ev_base?", *s.gate("b")) for number in early),
        Stage("servers_off", tuple(evaluations), _shell(f"touch {off}; sleep 15")),
        Stage("go1", ("servers_off?",), _shell(wait)),
        *(Stage(f"go{n}", (f"speed{n - 1}?",), _shell(f"touch {s.out}/go{n}")) for n in (*early, last) if n > 1),
        _speed(s, last, f"speed{last - 1}?"),
    ]


def _shell(command: str) -> tuple[str, ...]:
    return "bash", "-c", command


def _speed(s: Settings, number: int, *after: str) -> Stage:
    size, only, together, cache_gb, most = SPEEDS[number - 1]
    model, label = (SMOLLM2, "decomposer-135m") if size == "135" else (QWEN15, "decomposer-1.5b")
    engine = {"max_model_len": 2048, "kv_cache_memory_bytes": cache_gb * 10**9, "gpu_memory_utilization": 0.1}
    options: list[object] = ["--base", s.model(model), "--adapter", s.out / f"d{size}"]
    options += ["--merged", s.out / f"merged{size}", "--label", label, "--only", only]
    options += ["--together", together, "--processes", 6, "--start-seconds", 280, "--seconds", 900]
    options += ["--engine", json.dumps(engine), "--most", most, "--out", s.out / "bench"]
    options += ["--ready", s.out / f"ready{number}", "--when", s.out / f"go{number}"]
    command = s.runs(s.vllm, "benchmarks.serving.run", s.data / "prompts.json", *options)
    return Stage(f"speed{number}", (f"merge{size}", *after), command, REPO, s.vllm_environment, seconds=1200)
