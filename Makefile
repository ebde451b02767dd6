# Everything a fresh machine needs is python3, make and the package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LABCTL := $(BIN)/labctl
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test check conformance sessions fuzz bench hosts-up test-hosts hosts-down lock annotations picture clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.runtime  ## create .venv with labctl in it

setup-dev: $(VENV)/.dev  ## setup, and the tools that tests and checks need

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python requirements.lock pyproject.toml
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock requirements-tools.lock
	$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	$(PIP_INSTALL) --require-hashes --no-deps -r requirements-tools.lock
	@touch $@

demo: setup  ## bring the embedded cluster up, run the four core labs, print their tables
	$(LABCTL) up
	$(LABCTL) run --keep path host canary https

test: setup-dev  ## run the tests
	$(BIN)/python -m pytest

check: setup-dev  ## run the static checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

conformance: setup-dev  ## compare the embedded ingress with what a real ingress-nginx was seen to do
	$(LABCTL) conformance --corpus tests/conformance/corpus

sessions: setup-dev  ## replay recorded kubectl and helm sessions of a real k3s on embedded clusters
	$(BIN)/python -m tests.sessions

fuzz: setup-dev  ## send the embedded ingress and API 60,000 requests, answers and frames made by chance
	$(BIN)/python -m tests.fuzz

bench: setup-dev  ## print the benchmarks' ratios (needs nginx, wrk and hey)
	$(BIN)/python -m tests.benchmarks

hosts-up: setup-dev  ## make four test hosts with systemd and sshd (needs root; installs debootstrap and systemd-nspawn)
	$(BIN)/python -m tests.hosts up

test-hosts: setup-dev  ## run the tests on hosts of their own (skipped, with the reason, where hosts cannot be made)
	$(BIN)/python -m tests.hosts install
	$(BIN)/python -m pytest -m hosts tests/hosts

hosts-down: setup-dev  ## remove the test hosts
	$(BIN)/python -m tests.hosts down

lock: setup-dev  ## renew the hash-locked requirements
	$(COMPILE) pyproject.toml requirements-build.in -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock pyproject.toml requirements-build.in -o requirements-dev.lock
	$(COMPILE) --no-deps --group tools -o requirements-tools.lock

annotations: setup  ## write docs/annotations.md anew from the catalogue
	$(BIN)/python -c 'from labctl.embedded.ingress.annotations.document import document; print(document(), end="")' > docs/annotations.md

picture: setup  ## draw README's terminal picture from a real run
	$(BIN)/python -m tests.picture docs/canary.svg

clean:  ## stop the demo's cluster and remove the virtual environment
	-test ! -x $(LABCTL) || $(LABCTL) down
	rm -rf $(VENV)
