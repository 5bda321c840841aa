# The house's verbs. Each does all the set-up it needs and can be run twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 3

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PINNED := $(PIP) --require-hashes --only-binary :all:

.PHONY: help install dev demo test lint chaos prove bench bench-quick bench-check bench-peers constraints clean

help:
	@echo "make install   the gateway in $(VENV)      make demo    see it at work on this machine"
	@echo "make test      the whole test suite      make lint    ruff, mypy, import contracts"
	@echo "make bench     measure against peers     make chaos   break what it leans on, under load"
	@echo "make prove     what holds under load      make clean   remove what make made"

install: $(VENV)/.installed

dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) tools/preflight.py
	@echo "making a virtual environment in $(VENV)/"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt constraints-build.txt
	@echo "installing the gateway and what it needs (a minute on a fresh machine)"
	@$(PINNED) -r constraints.txt -r constraints-build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q gateway
	@touch $@

$(VENV)/.dev: $(VENV)/.installed constraints-dev.txt
	@echo "installing what the tests need"
	@$(PINNED) -r constraints-dev.txt
	@touch $@

demo: install
	@$(BIN)/gateway demo

# What is compiled is kept, whatever the environment says: by the workers for each other, and for the processes they start
test: dev
	@$(BIN)/python -m compileall -q gateway
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tools.house

# A minute and a half: kills, pauses, delays, a full disk, a clock that steps; exits 1 when a promise broke.
chaos: dev
	@$(BIN)/python -m loadtest.chaos

# A quarter of an hour, ten minutes of it the soak: each figure beside its bound; exits 1 when one was missed.
# One alone: PROOF="loris flood"; a look: PROOF=--quick.
prove: dev
	@$(BIN)/python -m loadtest.proofs $(PROOF)

# One table, five rounds: six minutes. SCENARIO=names (python -m loadtest --list) or all (an hour) for more.
SCENARIO ?= table
bench: dev
	@$(BIN)/python -m loadtest --scenario $(SCENARIO)

bench-quick: dev
	@$(BIN)/python -m loadtest --quick

# Did it get dearer than in the last run that was kept? Exits 1 and says which scenario moved, and by how much.
bench-check: dev
	@$(BIN)/python -m loadtest.compare

bench-peers:
	@$(PYTHON) -m loadtest.peers

# Maintainers: pin what pyproject.toml asks for, with the hash of every file; names no index.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make constraints"
constraints:
	$(COMPILE) --extra otel pyproject.toml -o constraints.txt
	$(COMPILE) -c constraints.txt --group build -o constraints-build.txt
	$(COMPILE) -c constraints.txt --extra otel --group dev pyproject.toml -o constraints-dev.txt

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
