# Every target sets up what it needs; `make run` and `make test` are all that a newcomer needs.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := .:gen

.PHONY: run test dashboards pictures settings crash rolling rehearse-restore mutants bench bench-compare bench-publish check lint types protos release-contract format lock clean

run: $(VENV)/ready ## the whole mesh on this machine, and the demo
	@exec $(BIN)/python -m deploy.local

test: $(VENV)/ready ## every test, with real servers
	# A worker that dies ends the run and names its test: with a new one in its place, `loadgroup` waits for ever.
	$(BIN)/pytest -n 2 --dist loadgroup --max-worker-restart 0 --ignore tests/pages
	# By themselves: a sender of theirs would meet what other tests have left in the streams.
	$(BIN)/pytest tests/pages

crash: $(VENV)/ready ## injures the send path at every step; ONLY="sender.intent" chooses, FULL=1 takes a night
	$(BIN)/python -m tests.crash $(if $(ONLY),--only "$(ONLY)") $(if $(FULL),--full)

rolling: $(VENV)/ready ## restarts every service under load, a pod after the other; SINCE=commit: beside its code instead
	$(BIN)/python -m tests.crash.rolling $(if $(ONLY),--only $(ONLY)) $(if $(SINCE),--since $(SINCE))

rehearse-restore: $(VENV)/ready ## loses PostgreSQL and NATS in mid-campaign, and goes back to a point in time (docs/backup.md)
	$(BIN)/python -m tests.restore

mutants: $(VENV)/ready ## takes each guard out once: a test has to notice; writes docs/mutants.md
	$(BIN)/python -m tests.crash.mutation

bench: $(VENV)/ready ## what it can do, beside the machine's own limits; ONLY="rest campaign" chooses, SIZE=1000000
	$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(SIZE),--size $(SIZE))

bench-compare: $(VENV)/ready ## two runs side by side: A=…json B=…json
	$(BIN)/python -m bench --compare $(A) $(B)

bench-publish: $(VENV)/ready ## a run's table and pictures into docs/performance.md: RUN=…json
	$(BIN)/python -m bench --publish $(RUN)

check: lint types test ## what CI runs

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.protos check

types: $(VENV)/ready
	$(BIN)/mypy

protos: $(VENV)/ready ## gen/ from protos/
	$(BIN)/python -m deploy.protos generate

release-contract: $(VENV)/ready ## what `buf breaking` holds later changes against
	$(BIN)/python -m deploy.protos release

dashboards: $(VENV)/ready ## Grafana's JSON from deploy/dashboards.py
	$(BIN)/python -m deploy.dashboards

pictures: $(VENV)/ready ## the dashboards in docs/operations.md, of a busy local run; needs prometheus
	$(BIN)/python -m bench.pictures

settings: $(VENV)/ready ## docs/settings.md from the settings' own definitions
	$(BIN)/python -m deploy.settings

format: $(VENV)/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

LOCKED := --universal --python-version 3.11 --generate-hashes --only-binary :all: --no-emit-index-url --no-header -q
lock: ## requirements.lock from pyproject.toml, and the part of it that the image gets
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install -q uv
	$(VENV)/lock/bin/uv pip compile pyproject.toml --extra traces --group local --group dev $(LOCKED) -o requirements.lock
	$(VENV)/lock/bin/uv pip compile pyproject.toml --extra traces $(LOCKED) -c requirements.lock -o requirements-image.lock

clean: ## everything that was made here; data in .data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/ready: requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: say where it is with PYTHON=…"; exit 1; }
	@echo "Setting up $(VENV) (once, about half a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@touch $@
