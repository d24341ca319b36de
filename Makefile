# Every task has a target here; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
ADMIN_PORT ?= 9090
PYTEST_ARGS ?=
# Two processes for all tests, a file in one of them; the given ones run in one.
WORKERS ?= $(if $(PYTEST_ARGS),,-n 2 --dist loadfile --no-loadscope-reorder)
BENCH_ARGS ?=
FUZZ_SECONDS ?= 600

# One stamp file for each step, so that nothing is installed twice.
PIP := $(VENV)/.stamp-pip
DEMO := $(VENV)/.stamp-demo
DEV := $(VENV)/.stamp-dev

# Only the tested versions are installed, with their hashes. Failed downloads are retried.
INSTALL := $(BIN)/python -m pip install --quiet --retries 10 --timeout 60
LOCKED := $(INSTALL) --require-hashes -r requirements/gateway.lock -r requirements/build.lock
OURSELVES := $(INSTALL) --no-deps --no-build-isolation --editable .

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(DEMO) ## start the demo: embedded Redis, PostgreSQL, a sample app and the gateway
	@exec $(BIN)/gateway demo --port $(PORT) --admin-port $(ADMIN_PORT)

.PHONY: run-oidc
run-oidc: $(DEMO) ## the demo with a local OpenID Connect provider (needs Node.js and npm)
	@exec $(BIN)/gateway demo --oidc --port $(PORT) --admin-port $(ADMIN_PORT)

.PHONY: test
test: $(DEV) programs ## install the test dependencies and run all tests (PYTEST_ARGS=... for some)
	$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

.PHONY: test-idp
test-idp: $(DEV) programs ## sign-in with Keycloak and Ory Hydra (Java 17, Maven, Go; downloads to ~/.cache/auth-gateway)
	TEST_IDP=1 $(BIN)/python -m pytest tests/idp --timeout=1800 $(PYTEST_ARGS)

.PHONY: install
install: $(DEV) ## create the virtual environment and install the locked versions

.PHONY: check
check: lint types layers schema reference words sizes ## static checks: lint, types, layers, generated files, wording, lengths

.PHONY: lint
lint: $(DEV) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: fmt
fmt: $(DEV) ## fix and format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: $(DEV) ## mypy, strict
	$(BIN)/mypy

.PHONY: layers
layers: $(DEV) ## imports go down the layers only
	@if grep -q '^\[tool\.importlinter\]' pyproject.toml; \
	then $(BIN)/lint-imports; \
	else echo 'layers: no contracts in pyproject.toml'; fi

.PHONY: schema
schema: $(DEV) ## config/gateway.schema.json is what `gateway schema` prints
	@$(BIN)/gateway schema | diff -u config/gateway.schema.json - \
	|| { echo 'fix: $(BIN)/gateway schema > config/gateway.schema.json' >&2; exit 1; }

.PHONY: reference
reference: $(DEV) ## docs/ has the reference pages that `python -m tests.reference` writes
	@$(BIN)/python -m tests.reference --check

.PHONY: words
words: $(DEV) ## no odd expressions in documentation, comments and pages (tests/wording)
	@$(BIN)/python -m tests.wording

.PHONY: sizes
sizes: $(DEV) ## functions below 60 lines, modules up to 300 (exceptions: tests/sizes/allowed.txt)
	@$(BIN)/python -m tests.sizes

# The tests that run the code in this process; walks, faults and browsers are left out.
COVERED := $(addprefix tests/,spine http routes tokens vectors sessions build config server \
  net observe pages proxy cli contract $(notdir $(wildcard tests/test_*.py)))
# What decides. The figures are those of the first measurement: 99.1 and 85.2 %.
PURE := gateway/spine/*,gateway/http/*,gateway/routes/*,gateway/tokens/*,gateway/sessions/*.py,gateway/sessions/formats/*,gateway/decision.py,gateway/outbound.py,gateway/tenants.py,gateway/reasons.py

.PHONY: cov
cov: $(DEV) ## branch coverage: 99 % of what decides, 85 % of the whole
	$(BIN)/python -m coverage run -m pytest $(COVERED) $(PYTEST_ARGS)
	$(BIN)/python -m coverage report --include='$(PURE)' --fail-under=99
	$(BIN)/python -m coverage report --skip-covered

.PHONY: bench
bench: $(DEV) ## CPU per request of the gateway and of other programs (BENCH_ARGS=...)
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

.PHONY: bench-check
bench-check: $(DEV) ## fails if a request costs 10 % more CPU than the baseline
	$(BIN)/python -m tests.bench.check $(BENCH_ARGS)

.PHONY: failover
failover: $(DEV) programs ## the long form of the failover tests: each row three times
	FAILOVER_RUNS=3 $(BIN)/python -m pytest tests/faults/test_failover.py $(PYTEST_ARGS)

.PHONY: soak
soak: $(DEV) programs ## the long form of the fault tests; ROW=... for some of its rows
	$(BIN)/python -m tests.faults $(or $(ROW),all)

.PHONY: test-apps
test-apps: $(DEV) programs ## install the apps of docs/apps.md and further session libraries, and test them behind the gateway (2 GB)
	APPS=all $(BIN)/python -m pytest tests/apps tests/live/test_walk.py $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## every parser for ten minutes, guided by coverage, and long state machines (FUZZ_SECONDS=600)
	$(INSTALL) --require-hashes -r requirements/fuzz.lock
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)
	$(BIN)/python -m pytest tests/fuzz/test_machines.py --hypothesis-profile=long --timeout=0

.PHONY: lock
lock: $(PIP) ## regenerate requirements/*.lock
	$(INSTALL) uv
	rm -f $(ALL)
	$(COMPILE) --extra demo --group build --group test --group lint -o $(ALL)
	$(COMPILE) -c $(ALL) -o requirements/gateway.lock
	$(COMPILE) -c $(ALL) --group build $(call leaving,gateway) -o requirements/build.lock
	$(COMPILE) -c $(ALL) --extra demo $(call leaving,gateway build) -o requirements/demo.lock
	$(COMPILE) -c $(ALL) --group test --group lint $(call leaving,gateway build demo) \
	  -o requirements/dev.lock
	$(COMPILE) -c $(ALL) --group fuzz $(call leaving,gateway build demo dev) -o requirements/fuzz.lock

# All versions are resolved together, for every Python and platform; then each file
# lists what the files before it do not.
ALL := $(VENV)/all.lock
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock'
leaving = $$(sed -n 's/^\([^ =]*\)==.*/--no-emit-package \1/p' $(patsubst %,requirements/%.lock,$(1)))

.PHONY: clean
clean: ## remove the virtual environment and tool caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -type d -prune -exec rm -rf {} +

# Programs that pip cannot install. Tests that need a missing one are skipped and
# listed at the end; in continuous integration a skip is a failure, so it installs them.
.PHONY: programs
programs:
	@missing=(); \
	for pair in nginx:nginx haproxy:haproxy redis-server:redis-server chromium:chromium node:nodejs npm:npm go:golang-go faketime:faketime wrk:wrk; do \
	  PATH="$$PATH:/usr/sbin" command -v "$${pair%%:*}" >/dev/null || missing+=("$${pair##*:}"); \
	done; \
	if (( $${#missing[@]} )); then \
	  if [[ "$${CI:-}" == true && $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
	    apt-get -q $${APT_OPTIONS:-} update; \
	    DEBIAN_FRONTEND=noninteractive apt-get -q $${APT_OPTIONS:-} install -y --no-install-recommends "$${missing[@]}"; \
	  else \
	    echo "not installed: $${missing[*]} (tests that need them are skipped;" \
	         "to install them: sudo apt-get install $${missing[*]})" >&2; \
	  fi; \
	fi

$(PIP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Python 3.11 or later is required; choose one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments. On Debian and Ubuntu:" >&2; \
	  echo "    sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(DEMO): $(PIP) pyproject.toml $(wildcard requirements/*.lock)
	@echo 'installing the locked packages into $(VENV): about a minute, once'
	$(LOCKED) -r requirements/demo.lock
	$(OURSELVES)
	@touch $@

$(DEV): $(PIP) pyproject.toml $(wildcard requirements/*.lock)
	$(LOCKED) -r requirements/demo.lock -r requirements/dev.lock
	$(OURSELVES)
	@touch $@ $(DEMO)
