# Everything a clone needs, with python3 (3.11 or newer) and make. The environment is .venv; nothing is installed elsewhere.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# make run: where the node listens and keeps its data (identity, database, state)
PORT ?= 4000
DATA ?= run/bootstrap.state
# make sim: seeds first:end, and experiments (default: all); make bench: benchmarks (default: all)
SEEDS ?= 0:1
SIM ?=
BENCH ?=
# make fuzz: inputs for each target, and where their random choice starts
BUDGET ?= 200000
FUZZ_SEED ?= 0
# make kill: how often a server is killed during writes
KILLS ?= 100
# pytest processes
JOBS ?= 2

INSTALLED := $(VENV)/.installed
DEVELOP := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check format bench sim fuzz kill clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(DEVELOP) ## install everything for work on the project into .venv

run: $(INSTALLED) ## start a bootstrap node: UDP port PORT (4000), data beside DATA (run/bootstrap.state)
	@mkdir -p "$(dir $(DATA))"
	exec $(BIN)/dna-nodus -p $(PORT) -s "$(DATA)"

demo: $(INSTALLED) ## three servers on loopback: 100 large values, one killed and restarted, all read, a listener
	$(BIN)/python examples/three_servers.py

test: $(DEVELOP) ## all tests
	$(BIN)/python -m pytest -n $(JOBS) -m "not long"

check: $(DEVELOP) ## format, lint, types, import contracts, documentation; needs no network after setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy bench examples fuzz
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n $(JOBS) tests/docs

format: $(DEVELOP) ## write the code as check wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEVELOP) ## measure against the PyPI opendht node and bare limits: BENCH (all), bench/latest.json
	$(BIN)/python -m bench $(BENCH)

sim: $(DEVELOP) ## simulated networks: SEEDS (0:1), SIM (all experiments)
	$(BIN)/python -m dna_dht.testing.sim --seeds $(SEEDS) $(SIM)

fuzz: $(DEVELOP) ## BUDGET (200000) hostile inputs for each target
	DNA_DHT_FUZZ=$(BUDGET) DNA_DHT_FUZZ_SEED=$(FUZZ_SEED) $(BIN)/python -m fuzz

kill: $(DEVELOP) ## kill -9 a writing server KILLS times: no acknowledged value may be lost
	DNA_DHT_KILLS=$(KILLS) $(BIN)/python -m pytest -q --timeout 3600 tests/nodus/test_kill.py

clean: ## remove the environment and caches; your data in run/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: Python 3.11 or newer is needed and '$(PYTHON)' is not: install it, then 'make setup PYTHON=python3.11'" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "make: '$(PYTHON) -m venv' failed: on Debian and Ubuntu run 'apt install python3-venv', then try again" >&2; exit 1; }

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(DEVELOP): pyproject.toml $(INSTALLED)
	$(PIP) -e '.[dev]'
	@touch $@
