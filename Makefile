# The Linux short cut: every target does its own set-up, in .venv. On Windows see the README's first block.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-cellpose test test-all test-cellpose4 check bench clean

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --quiet --disable-pip-version-check --no-input
# Processes of `make test`: two, where there are two processors. Whole files go to them, since the tests of a file share
# a microscope.
JOBS ?= $(shell [ "$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)" -ge 2 ] && echo 2 || echo 1)
PYTEST := $(PYTHON) -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadfile)
# Cellpose brings PyTorch, which is large. `make test CELLPOSE=no` does without: its tests are skipped then.
CELLPOSE ?= yes
COMMA := ,
WITH_CELLPOSE := $(if $(filter yes,$(CELLPOSE)),$(COMMA)cellpose)
# An environment counts as installed for these files only: a change of either installs anew.
INPUTS := pyproject.toml constraints.txt
# Cellpose 4 cannot be installed beside 3. Without its version pip would take a newer torch for torchvision's sake.
CELLPOSE4 := .venv-cellpose4
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo  ## Run single-cell screening on Micro-Manager's demo devices
	@$(VENV)/bin/inscoper-mm demo

demo-cellpose: $(VENV)/.installed-cellpose  ## Run the demo with Cellpose: it finds a cell and moves to it
	@$(VENV)/bin/inscoper-mm run configs/demo.yaml

test: $(VENV)/.installed-dev  ## Run the tests, but for the slow ones (JOBS=1: in one process; JOBS=4: in four)
	@$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed-dev  ## Run all tests: every example experiment and long attacks, too
	@$(PYTEST)

test-cellpose4: $(CELLPOSE4)/.installed  ## Run the tests of segmentation with Cellpose 4, in an environment of its own (2 GB)
	@$(CELLPOSE4)/bin/python -m pytest tests/segmentation

check: $(VENV)/.installed-dev  ## Style, types, layers and the fast tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(PYTEST) -m "not slow"

bench: $(VENV)/.installed-bench  ## Measure the loop and the analysis against their peers; writes docs/benchmarks.md
	@$(PYTHON) benchmarks/run.py

clean:  ## Remove the environment and what the tools left
	@rm -rf $(VENV) $(CELLPOSE4) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist

$(PYTHON):
	@tools/make-venv $(VENV)

$(VENV)/.installed-demo: $(INPUTS) | $(PYTHON)
	@echo "Installing inscoper-mm with the demo devices into $(VENV) (once; a minute or two) ..."
	@$(PIP) install -e ".[demo]" -c constraints.txt
	@touch $@

$(VENV)/.installed-cellpose: $(INPUTS) | $(PYTHON)
	@echo "Installing inscoper-mm with the demo devices and Cellpose into $(VENV) (once; some minutes) ..."
	@$(PIP) install -e ".[demo,cellpose]" -c constraints.txt
	@touch $@ $(VENV)/.installed-demo

$(VENV)/.installed-dev: $(INPUTS) | $(PYTHON)
	@echo "Installing inscoper-mm, the test tools and Cellpose into $(VENV) (once; some minutes) ..."
	@$(PIP) install -e ".[demo,dev$(WITH_CELLPOSE)]" -c constraints.txt
	@touch $@ $(VENV)/.installed-demo $(if $(WITH_CELLPOSE),$(VENV)/.installed-cellpose)

$(VENV)/.installed-bench: $(INPUTS) | $(PYTHON)
	@echo "Installing inscoper-mm and its peers into $(VENV) (once; a minute or two) ..."
	@$(PIP) install -e ".[demo,dev,cellpose,bench]" -c constraints.txt
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-cellpose $(VENV)/.installed-demo

$(CELLPOSE4)/bin/python:
	@tools/make-venv $(CELLPOSE4)

$(CELLPOSE4)/.installed: $(INPUTS) | $(CELLPOSE4)/bin/python
	@echo "Installing inscoper-mm and Cellpose 4 into $(CELLPOSE4) (once; some minutes) ..."
	@grep -v '^cellpose==' constraints.txt > $(CELLPOSE4)/constraints.txt
	@$(CELLPOSE4)/bin/python -m pip --quiet --disable-pip-version-check --no-input install -e ".[dev]" \
	    "cellpose==4.2.1.1" $(TORCH) -c $(CELLPOSE4)/constraints.txt
	@touch $@
