# make run: set up and run a node. make test: set up and run all tests. Nothing else has to be installed before.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASEDIR ?= $(HOME)/.ifap
PYTEST_OPTIONS ?= -n 2 --dist loadfile
EXTRAS := test,fuzz,lint,types,docs

.PHONY: help run test check lint types docs servers coverage benchmark clean

help:
	@echo "make run    sets up what is needed and runs a node: twistd -n ifap --folder IFAP_DATA"
	@echo "make test   sets up what is needed, mail servers included, and runs all tests"
	@echo "make check  lint, types, docs and tests, as CI does"

$(VENV)/run.stamp: setup.cfg pyproject.toml
	tools/make-venv $(PYTHON) $(VENV)
	$(BIN)/pip install -qq --editable .
	tools/show-plugin $(BIN)/python
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(BIN)/pip install -qq --editable '.[$(EXTRAS)]'
	touch $@

run: $(VENV)/run.stamp
	@mkdir -p -m 0700 $(BASEDIR)
	IFAP_BASEDIR=$(BASEDIR) $(BIN)/twistd -n --pidfile=$(BASEDIR)/twistd.pid \
	    --logger=ifap_twisted.cli.nodelog.watched ifap --folder IFAP_DATA

servers:
	tests/servers/install.sh

test: $(VENV)/test.stamp servers
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --config setup.cfg --no-logo

types: $(VENV)/test.stamp
	$(BIN)/mypy

docs: $(VENV)/test.stamp
	$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_build/html

check: lint types docs test

coverage: $(VENV)/test.stamp servers
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

benchmark: $(VENV)/test.stamp servers
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist docs/_build .hypothesis .mypy_cache .ruff_cache .pytest_cache src/*.egg-info
