# make demo: one arithmetic and one document question on the embedded models. make test: everything CI checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast lint install bench clean

demo: $(VENV)/.installed
	@echo && echo "== Arithmetic ==" && echo
	$(BIN)/anabranch ask "A baker makes 12 trays of 24 rolls and sells 250 of them. How many rolls are left?"
	@echo && echo "== Documents ==" && echo
	$(BIN)/anabranch ask --docs examples/documents "Where was the founder of the Hollin Quay ferry born?"

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest -m "not model and not slow"
	$(BIN)/python -m pytest -m "model or slow"

test-fast: $(VENV)/.installed
	$(BIN)/python -m pytest -q -m "not model and not slow"

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.scheduler
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.local_model

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[local,dev]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
