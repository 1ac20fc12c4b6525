# One command for each need. A fresh machine needs Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
TESTS ?= tests

.PHONY: demo test lint format dashboards bench bench-detection load chaos soak requirements audit clean

# pyproject and constraints are what an installation depends on; the stamps say that it is up to date with them.
$(VENV)/run.stamp: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nplmon needs Python >= 3.11; try make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[all]'
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[all,dev]'
	touch $@

demo: $(VENV)/run.stamp
	$(BIN)/nplmon demo

# One process for each core, up to eight; one thread in each, or they would wait for each other.
test: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 $(TESTS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Render deploy/grafana/dashboards from the code beside it; a test finds a difference.
dashboards: $(VENV)/test.stamp
	$(BIN)/python -m deploy.grafana

# What the service takes, how soon it shows, how it grows: make load LOAD="--only latency"
load: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.load $(LOAD)

# Schedules of faults, and roads through the store's functions, beyond those of make test; a failure prints its seed:
# make chaos FIRST=21 LAST=220
FIRST ?= 21
LAST ?= 120
chaos: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 CHAOS_FIRST=$(FIRST) CHAOS_LAST=$(LAST) MACHINE_FIRST=$(FIRST) MACHINE_LAST=$(LAST) \
		$(BIN)/python -m pytest --numprocesses auto tests/chaos tests/broker/test_machine.py

# A shift of HOURS at 70 % of what the service can do, on a machine that does nothing else.
HOURS ?= 8
soak: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 SOAK_SECONDS=$$(( $(HOURS) * 3600 )) $(BIN)/python -m pytest -s tests/load/test_soak.py

# BENCH holds options: make bench BENCH='--only fit toys'
bench: $(VENV)/run.stamp
	$(BIN)/python -m benchmarks $(BENCH)

# The same streams to other tools at the same run length: make bench-detection DETECTION='--problems expo'
bench-detection: $(VENV)/run.stamp
	$(BIN)/python -m benchmarks.detection $(DETECTION)

# What the images install, with hashes, after a change of pyproject.toml or constraints.txt.
requirements: $(VENV)/test.stamp
	$(BIN)/python deploy/requirements/lock.py

# Known vulnerabilities of what is pinned; asks pypi.org, and fails where that is not reached.
audit:
	test -x $(VENV)-audit/bin/pip-audit || ($(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/pip install --quiet pip-audit)
	$(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

clean:
	rm -rf $(VENV) $(VENV)-audit benchmarks/.venv-alibi benchmarks/.venv-river benchmarks/results .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
