# `make demo` shows the whole line on this machine; `make test` checks it. Both need Python 3.11 to 3.13 and make;
# the tests also Docker, or Java 17 with Maven.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
DATA ?=
BOOTSTRAP ?=
STAY ?=
# These run whole systems of processes, and wait most of the time: not beside tests that use the processor. In their own
# order: by the number of tests in a file, the one that takes longest would be the last.
SYSTEMS := tests/deploy tests/integration

.PHONY: help demo test test-long lint benchmarks lock clean

help: ## say what there is
	@grep -E '^[a-z.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv: ## the environment, from the lock file
.venv: requirements.lock
	@python=""; for one in python3.13 python3.12 python3.11 python3 python; do \
	  if "$$one" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then python=$$one; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "make: Python 3.11, 3.12 or 3.13 (with venv) is needed, none is on the path" >&2; exit 2; fi; \
	echo "make: building .venv with $$($$python --version), from requirements.lock; about 2 GB, once"; \
	rm -rf .venv && "$$python" -m venv .venv && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . || \
	{ rm -rf .venv; echo "make: building .venv failed" >&2; exit 1; }
	@touch .venv

demo: .venv ## transactions through Kafka, alerts with their reasons, and the console [DATA=file.csv] [BOOTSTRAP=host:9092] [STAY=1]
	@$(BIN)/python -m deploy.local $(if $(DATA),--data "$(DATA)") $(if $(BOOTSTRAP),--bootstrap-servers "$(BOOTSTRAP)") $(if $(STAY),--stay)

test: .venv lint ## everything but what takes long, on a real Apache Kafka
	@echo "make: tests, on a real Apache Kafka (Docker, or Java 17 with Maven)"
	@$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile $(SYSTEMS:%=--ignore %)
	@$(BIN)/python -m pytest -m "not long" -n 3 --dist loadfile --no-loadscope-reorder $(SYSTEMS)

test-long: .venv ## what takes long
	@$(BIN)/python -m pytest -m long

lint: .venv
	@echo "make: ruff and mypy"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary

benchmarks: .venv ## the figures of the README
	@$(BIN)/python -m tests.benchmarks.line

lock: ## make requirements.lock anew, with hashes and without the name of an index (needs uv)
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --all-extras \
	  pyproject.toml --output-file requirements.lock

clean: ## remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
