# `make run` starts the service, `make test` tests it; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
MANAGE := $(PYTHON) manage.py
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes

export TEST_DATABASE_URL ?= postgres://postgres@127.0.0.1:5432/postgres

# The service's own variables would change what the tests see.
SETTINGS := ALLOWED_HOSTS API_SESSION_AGE_HOURS API_SESSION_IDLE_MINUTES CSRF_TRUSTED_ORIGINS \
	DATABASE_CONN_MAX_AGE DATABASE_PREPARE DATABASE_STATEMENT_TIMEOUT DATABASE_URL DEBUG EMAIL_FROM EMAIL_HOST \
	EMAIL_HOST_PASSWORD EMAIL_HOST_USER EMAIL_PORT EMAIL_SECURITY HOST JSONP_ENABLED LOG_FORMAT \
	LOG_LEVEL LOGIN_FAILURE_LIMIT LOGIN_FAILURES_PER_ADDRESS LOGIN_LOCK_MINUTES METRICS_BIND METRICS_TOKEN \
	PIN_LENGTH PIN_STRICT PORT PUBLIC_URL SECRET_KEY SECURE_COOKIES SECURE_HSTS_SECONDS SECURE_SSL_REDIRECT SPOOL_ORDERS TRUSTED_PROXIES VAR_DIR
WITHOUT_SETTINGS := env $(addprefix -u ,$(SETTINGS))
PYTEST := $(PYTHON) -m pytest
SELECT ?= --numprocesses auto --maxprocesses 4

.PHONY: help run test journeys asterisk screenshots bench bench-webapi bench-admin bench-imports on-sqlite on-postgresql lint imports types format docs check clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: $(VENV)/.installed ## start the service with demonstration data; PORT=9000 make run
	@$(MANAGE) check_port
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) collectstatic --no-input --verbosity 0
	@$(MANAGE) demo --skip-if-in-use
	@exec $(BIN)/gunicorn --config voicemail_site/gunicorn_conf.py

test: ## run the tests on SQLite, and on PostgreSQL where it is reachable
	@$(MAKE) on-sqlite on-postgresql

journeys: ## run the slow tests through a running service, on both databases
	@$(MAKE) on-sqlite on-postgresql SELECT='-m journey'

# Not in .ci/run: Debian's stable release has no Asterisk. Most of the time is waiting, hence four.
asterisk: $(VENV)/.installed-dev ## call through a real Asterisk; ASTERISK, ASTERISK_ROOT tell where
	@$(WITHOUT_SETTINGS) $(PYTEST) -m asterisk --numprocesses 4 tests/asterisk/test_real_asterisk.py

screenshots: $(VENV)/.installed-dev ## take pictures of every page, and those of the guide
	@$(WITHOUT_SETTINGS) $(PYTEST) -m journey --numprocesses auto --maxprocesses 4 tests/browser/screenshots.py
	@echo "The pages are in var/screenshots, the guide's pictures in docs/images."

bench: ## measure the Web API, the admin's list and imports with a million boxes; needs PostgreSQL
	@$(MAKE) --keep-going bench-webapi bench-admin bench-imports

bench-webapi: $(VENV)/.installed
	@$(WITHOUT_SETTINGS) $(PYTHON) -m benchmarks.webapi --past

bench-admin: $(VENV)/.installed
	@$(WITHOUT_SETTINGS) $(PYTHON) -m benchmarks.admin

bench-imports: $(VENV)/.installed
	@$(WITHOUT_SETTINGS) $(PYTHON) -m benchmarks.imports

on-sqlite: $(VENV)/.installed-dev
	@echo "== Tests on SQLite"
	@$(WITHOUT_SETTINGS) $(PYTEST) $(SELECT)

on-postgresql: $(VENV)/.installed-dev
	@echo "== Tests on PostgreSQL"
	@if $(PYTHON) -c 'import os, psycopg2; psycopg2.connect(os.environ["TEST_DATABASE_URL"], connect_timeout=5)' 2>/dev/null; then \
		$(WITHOUT_SETTINGS) DATABASE_URL="$$TEST_DATABASE_URL" $(PYTEST) $(SELECT); \
	elif [ "$${REQUIRE_POSTGRESQL:-0}" = 1 ]; then \
		echo "PostgreSQL was not reachable at TEST_DATABASE_URL, and REQUIRE_POSTGRESQL is set." >&2; exit 1; \
	else \
		echo "PostgreSQL was not reachable at TEST_DATABASE_URL: its tests were left out."; \
	fi

lint: $(VENV)/.installed-dev ## check the form of the code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

imports: $(VENV)/.installed-dev ## check the directions of the imports
	@$(BIN)/lint-imports --no-logo

types: $(VENV)/.installed-dev ## check the types
	@$(BIN)/mypy .

format: $(VENV)/.installed-dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev ## check that migrations, grammar and reference follow from the code
	@$(MANAGE) makemigrations --check --dry-run
	@$(MANAGE) grammar --check
	@$(MANAGE) api_reference --check
	@$(MANAGE) command_reference --check

check: lint imports types docs ## all checks that are no tests

clean: ## remove the virtual environment; data in var/ stay
	@rm -rf $(VENV)

# The stamps make a second run quick: pip is asked only after a change of the requirements.

$(VENV)/.installed: requirements.txt | $(PYTHON)
	@echo "Installing the dependencies ..." >&2
	@$(PIP) --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the dependencies of the tests ..." >&2
	@$(PIP) --requirement requirements-dev.txt
	@touch $@

$(PYTHON):
	@for name in python3.13 python3.12 python3.11 python3; do \
		found=$$(command -v "$$name") || continue; \
		"$$found" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue; \
		"$$found" -m venv $(VENV) && exit 0; \
		rm -rf $(VENV); \
		echo "$$found can't make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; \
	done; \
	echo "Python 3.11, 3.12 or 3.13 is needed, and none was found on the PATH." >&2; exit 1
