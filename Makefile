# `make demo` and `make test` set up all they need; see README.md.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTABLE := $(VENV)/.testable
PYTEST := $(BIN)/pytest --dist loadscope --no-loadscope-reorder
FAST := $(PYTEST) --numprocesses logical -m "not slow and not soak"
SOURCES := models tasks flows infra tests benchmarks
# Tests start a hundred processes, which need not compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test tests coverage test-slow test-soak lint audit ui bench clean clean-state

help:
	@echo "make demo              the whole life of a model on real data, in a minute or two"
	@echo "make ui                the MLflow UI on all runs"
	@echo "make test              style, types, import rules and the fast tests; with SLOW=yes the slow ones among them"
	@echo "make tests             the same tests without style, types and import rules"
	@echo "make coverage          the fast tests again, with the share of lines that they reach"
	@echo "make test-slow         the tests that start servers, kill processes and train for longer"
	@echo "make test-soak         those that take minutes each: production, the closed loop, kills at every step"
	@echo "make lint              style, types and import rules alone, and what is known of the locked versions"
	@echo "make audit             fails where a locked version has a known vulnerability"
	@echo "make bench NAME=...    one of: $(basename $(notdir $(filter-out benchmarks/__%,$(wildcard benchmarks/[a-z]*.py))))"
	@echo "make clean             removes .venv and caches"
	@echo "make clean-state       removes .perennial: every run, model and snapshot of the embedded default"

# The venv's own pip is kept: a newer one picks torch's CUDA build.
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Ray is for checks and tests: the demo does without.
$(TESTABLE): $(READY) requirements-ray.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-ray.lock
	touch $@

demo: $(READY)
	@$(BIN)/perennial demo

ui: $(READY)
	@$(BIN)/perennial ui

lint: $(TESTABLE)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy models tasks flows infra/*.py infra/perennial benchmarks
	$(BIN)/lint-imports
	@$(BIN)/python infra/audit.py

# Fails on a finding, which lint only tells.
audit: $(TESTABLE)
	@$(BIN)/python infra/audit.py --strict

# Longer than .ci/run has: before a release, and after changes to what they test.
test-soak: $(TESTABLE)
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m soak

# Types are checked by one core, beside which the tests have the other ones. Both have to pass.
test: $(TESTABLE)
	$(MAKE) --no-print-directory --jobs 2 lint tests

# Slow tests wait more than they work: one process more than there are cores keeps these busy.
tests: $(TESTABLE)
	$(if $(SLOW),$(PYTEST) --numprocesses 3 -m "not soak",$(FAST))

# Counting lines takes as long again as half of the tests.
coverage: $(TESTABLE)
	$(FAST) --cov --cov-report=term:skip-covered

test-slow: $(TESTABLE)
	$(BIN)/pytest --numprocesses 3 --dist worksteal -m "slow and not soak"

bench: $(READY)
	@$(BIN)/python -m benchmarks.$(NAME)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build *.egg-info

clean-state:
	rm -rf .perennial
