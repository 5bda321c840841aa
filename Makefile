# The house's verbs. Each does all the set-up it needs and can be run twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: help install dev demo test lint types imports bench bench-quick bench-peers clean

help:
	@echo "make install   the gateway in $(VENV)      make demo    see it at work on this machine"
	@echo "make test      the whole test suite      make lint    ruff, mypy, import contracts"
	@echo "make bench     measure against peers     make clean   remove what make made"

install: $(VENV)/.installed

dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) tools/preflight.py
	@echo "making a virtual environment in $(VENV)/"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing the gateway and what it needs (a minute on a fresh machine)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed constraints-dev.txt
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r constraints-dev.txt
	@touch $@

demo: install
	@$(BIN)/gateway demo

test: dev
	@$(BIN)/python -m pytest -n $(JOBS)

lint: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tools.house

bench: dev
	@$(BIN)/python -m loadtest

bench-quick: dev
	@$(BIN)/python -m loadtest --quick

bench-peers:
	@$(PYTHON) -m loadtest.peers

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
