# Every target sets up what it needs: only Python 3.11+, make and a package index are assumed.
#
#   make demo     the whole loop: synthesize, train, evaluate, compare, report
#   make smollm2  drafts by a real language model in this process, painted and checked
#   make test     the tests
#   make check    format, lint, types, import contract, generated docs, lengths
#   make golden   rewrite golden files and generated docs; review the diff
#   make bench    the dated benchmarks
#   make clean    remove the environment and caches; runs/ stays
#
#   On an index that serves the CUDA build of torch where the CPU build is wanted:
#   make demo PIP_FLAGS="--extra-index-url <the CPU index that pytorch.org names>"

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
DEMO_FLAGS ?=
TEST_WORKERS ?= 2

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help demo smollm2 test check golden bench clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; $(PYTHON) is older. Name another: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps are newer than what they were made from: a second run installs and fetches nothing.
$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV); the first time takes a few minutes.'
	@$(INSTALL) -e '.[train]'
	@touch $@

$(VENV)/.llamacpp: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV).'
	@$(INSTALL) -e '.[llamacpp]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV); the first time takes a few minutes.'
	@$(INSTALL) -e '.[train,diffusers,llamacpp,language,hub,xlsx,dev]'
	@touch $@ $(VENV)/.train $(VENV)/.llamacpp

demo: $(VENV)/.train
	$(BIN)/stablellava demo $(DEMO_FLAGS)

smollm2: $(VENV)/.llamacpp
	$(BIN)/stablellava assets pull smollm2-135m-instruct.gguf
	$(BIN)/stablellava synthesize --preset smollm2 --run runs/smollm2

# The weights come first: nothing is fetched within a test.
test: $(VENV)/.dev
	@$(BIN)/stablellava assets pull smollm2-135m-instruct.gguf
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not slow"

check: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m stablellava.cli.reference --check docs/cli.md
	$(BIN)/python tests/rules/report_lengths.py

golden: $(VENV)/.dev
	$(BIN)/python -m stablellava.cli.reference docs/cli.md
	$(BIN)/python -m pytest tests/golden

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
