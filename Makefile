# Everything starts here. Needs Python 3.11 or newer and make; the rest is installed into .venv, pinned and with hashes.
# Written for GNU make 3.81 (macOS) too.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

# Many processes are started here: none should compile our modules anew because of a setting of the shell.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test lint bench prove prove-compare prove-kill lock clean

help:
	@echo "make run     start the sandboxes and a gateway, and watch one payout of each kind"
	@echo "make test    lint, types, the import rule and all tests, against a real PostgreSQL"
	@echo "make bench   measure creates, and create to paid, on this machine"
	@echo "make prove   the fault world: kills, crashes, lying providers; nothing may be paid twice or lost (PAYOUTS=, SEED=)"
	@echo "make prove-compare  the same world, decided by the rules of others (PAYOUTS=, SEED=)"
	@echo "make prove-kill  every named point killed and paused alone, at more of its passes than in make test"
	@echo "make lint    ruff and mypy only"
	@echo "make lock    pin the dependencies again (needs uv)"
	@echo "make clean   remove what was installed and cached; the data in .data stays"

run: $(INSTALLED)
	@$(PY) -m gateway.cli demo

# Half of a test is waiting for processes, sockets and schedules: two workers keep a core busy.
WORKERS = $(shell $(PY) -c "import os; print(2 * (os.cpu_count() or 1))")
test: $(INSTALLED)
	@failed=; \
	check() { name=$$1; shift; echo "== $$name"; "$$@" || failed="$$failed $$name"; }; \
	check lint $(PY) -m ruff check --quiet --output-format concise .; \
	check format $(PY) -m ruff format --check --quiet .; \
	check types $(PY) -m mypy; \
	check tests $(PY) -m pytest -n $(WORKERS) --dist worksteal; \
	if [ -n "$$failed" ]; then echo "== FAILED:$$failed"; exit 1; fi; \
	echo "== all passed: lint, format, types, tests"

lint: $(INSTALLED)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

bench: $(INSTALLED)
	@$(PY) tests/bench/run.py

# Exits with an error on any violation. `prove-compare`: the same world and seed, decided by the rules of others.
PAYOUTS ?= 10000
SEED ?= 1
prove: $(INSTALLED)
	@$(PY) -m tests.prove.run --payouts $(PAYOUTS) --seed $(SEED)

prove-compare: PAYOUTS = 600
prove-compare: $(INSTALLED)
	@$(PY) -m tests.prove.run --compare --markdown --faults-s 35 --payouts $(PAYOUTS) --seed $(SEED)

prove-kill: $(INSTALLED)
	@KILL_SWEEP=full $(PY) -m pytest tests/kill -n auto --dist worksteal --durations 0 --durations-min 10

# No download address and no comments in the lock: only names, versions and hashes.
lock:
	@command -v uv >/dev/null || { echo "make lock needs the program uv; the lock was not touched."; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --upgrade \
		--no-header --no-annotate --no-emit-index-url --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path "./.data/*" -prune -exec rm -rf {} +

# Made again only when the lock or the project file has changed. pip says much and lasts: one line shows how far it is.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1 || true)"; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PY) -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the pinned dependencies into $(VENV): a minute the first time, then only when they change."
	@{ $(PY) -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements.lock; \
		echo $$? > $(VENV)/.status; } | awk -v total="$$(grep -c == requirements.lock)" -v live="$$([ -t 1 ] && echo 1)" \
		'/^(Collecting|Requirement already)/ { n++; if (live) { printf "\r\033[K  %d of about %d", n, total; fflush() } } \
		/^Installing collected/ { if (live) { printf "\r\033[K  unpacking %d packages", n; fflush() } } \
		END { if (live) printf "\r\033[K"; print "  " n " packages" }'
	@exit $$(cat $(VENV)/.status)
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@
