# netbench: what a user and a developer run. `make demo` and `make test` need nothing before them.
.PHONY: help prerequisites lab-prerequisites venv dev demo check unit lab test test-long test-vm bench bench-trust lock clean

PYTHON ?= python3
BIN := .venv/bin

help:
	@echo "make demo    a lab of three hosts, the comparison, its report; leaves nothing running"
	@echo "make test    the whole test suite, the real lab included"
	@echo "make test-long the tests on the lab that take minutes each"
	@echo "make test-vm the tests that need virtual machines (docs/vm-lab.md says how long)"
	@echo "make check   ruff, mypy, import-linter, ansible-lint"
	@echo "make bench   what netbench itself costs, measured"
	@echo "make bench-trust   whether netbench's verdicts hold, tried on the lab; writes docs/trust.md"
	@echo "make venv    .venv with netbench, from requirements.lock"

prerequisites:
	@scripts/prerequisites controller

lab-prerequisites:
	@scripts/prerequisites lab

.venv/.python:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.runtime: .venv/.python requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.runtime requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

venv: prerequisites
	@$(MAKE) --no-print-directory .venv/.runtime

dev: lab-prerequisites
	@$(MAKE) --no-print-directory .venv/.dev

demo: lab-prerequisites venv
	@scripts/demo

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" ansible-lint --offline --config-file ansible/.ansible-lint ansible

unit: dev
	$(BIN)/pytest tests/unit tests/golden

lab: dev
	$(BIN)/pytest tests/lab

# Two workers, each on a lab of its own: most of what the tests on it take is waiting.
test: check
	$(BIN)/pytest -n 2 --dist loadfile

# Not a part of `test`: what takes minutes each on the lab.
test-long: dev
	$(BIN)/pytest -m long tests/lab

# Not a part of `test`: docs/vm-lab.md says how long it takes. Figures and log are kept. All of it on Debian 13, and
# the machines themselves, their drivers and functions on Debian 12's kernel and engine as well.
test-vm: SHELL := /bin/bash
test-vm: .SHELLFLAGS := -o pipefail -c
test-vm: dev
	@scripts/prerequisites vm
	kept=$(CURDIR)/results/test-vm-$$(date -u +%Y%m%d-%H%M%S) && mkdir -p "$$kept" && \
	    export NETBENCH_VM_KEPT=$$kept && failed=0 && \
	    for suite in trixie bookworm; do \
	        tests=tests/vm; \
	        test $$suite = trixie || tests="tests/vm/test_machines.py tests/vm/test_measure.py tests/vm/test_functions.py"; \
	        NETBENCH_VM_SUITE=$$suite $(BIN)/pytest $$tests --timeout 3600 --durations 0 \
	            --junit-xml "$$kept/$$suite.xml" 2>&1 | tee "$$kept/$$suite.log" || failed=1; \
	    done; exit $$failed

bench: dev
	scripts/bench

bench-trust: dev
	$(BIN)/python -m benchmarks.trust

# Only when pyproject.toml's dependencies change.
lock: dev
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --extra build pyproject.toml -o requirements.lock
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --extra build --extra dev \
	    --constraint requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
