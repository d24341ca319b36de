# Everything that is done to this project is a target here; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
ADMIN_PORT ?= 9090
PYTEST_ARGS ?=

# One stamp a step: what is installed already is not installed again.
PIP := $(VENV)/.stamp-pip
DEMO := $(VENV)/.stamp-demo
DEV := $(VENV)/.stamp-dev

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(DEMO) ## start the demo: embedded Redis, PostgreSQL, a sample app and the gateway
	@exec $(BIN)/gateway demo --port $(PORT) --admin-port $(ADMIN_PORT)

.PHONY: test
test: $(DEV) programs ## install what the tests need, then run them all (PYTEST_ARGS=... for some)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: check
check: lint types floors schema ## everything that needs no running program: lint, types, floors, schema

.PHONY: lint
lint: $(DEV) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: fmt
fmt: $(DEV) ## let ruff mend and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: $(DEV) ## mypy, strict
	$(BIN)/mypy

.PHONY: floors
floors: $(DEV) ## imports only go down
	@if grep -q '^\[tool\.importlinter\]' pyproject.toml; \
	then $(BIN)/lint-imports; \
	else echo 'floors: no contracts in pyproject.toml'; fi

.PHONY: schema
schema: $(DEV) ## config/gateway.schema.json is what `gateway schema` prints
	@$(BIN)/gateway schema | diff -u config/gateway.schema.json - \
	|| { echo 'mend: $(BIN)/gateway schema > config/gateway.schema.json' >&2; exit 1; }

.PHONY: bench
bench: $(DEV) ## CPU per request beside nginx and a first draft, on this machine
	$(BIN)/python -m tests.bench

.PHONY: lock
lock: $(PIP) ## renew uv.lock, from which the image is built
	$(BIN)/python -m pip install --quiet uv
	env -u UV_INDEX_URL -u UV_DEFAULT_INDEX $(BIN)/uv lock --default-index https://pypi.org/simple

.PHONY: clean
clean: ## remove the virtual environment and what the tools left
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -type d -prune -exec rm -rf {} +

# What pip cannot install. Without it the tests that need it are left out and
# named at the end; continuous integration installs it, as a skip is a failure there.
.PHONY: programs
programs:
	@missing=(); \
	for pair in nginx:nginx redis-server:redis-server chromium:chromium node:nodejs npm:npm go:golang-go; do \
	  PATH="$$PATH:/usr/sbin" command -v "$${pair%%:*}" >/dev/null || missing+=("$${pair##*:}"); \
	done; \
	if (( $${#missing[@]} )); then \
	  if [[ "$${CI:-}" == true && $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
	    apt-get -q update; \
	    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$${missing[@]}"; \
	  else \
	    echo "not installed: $${missing[*]} (the tests that need them are left out;" \
	         "to have them: sudo apt-get install $${missing[*]})" >&2; \
	  fi; \
	fi

$(PIP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Python 3.11 or later is needed; name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu:" >&2; \
	  echo "    sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(DEMO): $(PIP) pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(DEV): $(PIP) pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[demo]' --group test --group lint
	@touch $@ $(DEMO)
