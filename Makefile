# Everything runs from a virtual environment inside the checkout; only Python >= 3.11 and make are needed.
#   make demo    the main job on the embedded data set: the trained models that ship, a leaderboard, a report
#   make test    the tests            make check   lint and types            make parity   the long comparisons
#   make test-foreign   real mmdetection and detectron2, each in an environment of its own (3 GB, minutes)
#   make test-fast      the tests that need no torch, in an environment without it
#   make reference   checkpoints saved by the last transformers 4, loaded here with the same logits; FULL=1 at the
#                    size of the hub's files (an environment of 1 GB, minutes); whoever moves the pin of transformers runs it
# PYTHON=python3.12 picks the interpreter, which has an environment of its own, .venv-3.12; without PYTHON it is .venv.
# TORCH_INDEX=URL names another index to take torch from (PyTorch's own CPU index where the default one would bring
# CUDA packages of several GB).
PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV := .venv
else
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
$(if $(VERSION),,$(error PYTHON=$(PYTHON) cannot be run; name a Python of 3.11 or newer))
VENV := .venv-$(VERSION)
endif
FAST := $(subst .venv,.venv-fast,$(VENV))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ORACLES := panopticapi-lite cityscapesScripts pyquaternion
INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: install demo test test-fast test-foreign reference check parity clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt bench/_native/ids.h bench/_native/maps.c bench/_native/png_runs.c
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing into $(VENV) (torch, transformers and the rest; a minute or two)"
	@$(PIP) install $(INDEX) -c constraints.txt setuptools wheel
	@$(PIP) install $(INDEX) -c constraints.txt --no-build-isolation -e '.[models,train,test,fast]'
	@$(PIP) install --no-deps -c constraints.txt $(ORACLES)
	@touch $@

demo: install
	@$(BIN)/bench demo --out results/local --limit 20

test: install
	@$(BIN)/python -m pytest -m 'not parity and not foreign'

$(FAST)/installed: pyproject.toml constraints.txt bench/_native/ids.h bench/_native/maps.c bench/_native/png_runs.c
	@test -x $(FAST)/bin/python || { echo "making $(FAST)"; $(PYTHON) -m venv $(FAST); }
	@$(FAST)/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt setuptools wheel
	@$(FAST)/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt --no-build-isolation \
		-e . pytest hypothesis ruff
	@$(FAST)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -c constraints.txt $(ORACLES)
	@touch $@

test-fast: $(FAST)/installed
	@$(FAST)/bin/python -m pytest -m 'not parity and not foreign' -rs

test-foreign: export BENCH_ENVS := $(CURDIR)/.venv-foreign
test-foreign: install
	@$(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BIN)/bench env create mmdet
	@$(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BIN)/bench env create detectron2
	@$(BIN)/python -m pytest -m foreign -rP tests/foreign

reference: export BENCH_ENVS := $(CURDIR)/.venv-foreign
reference: install
	@$(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BIN)/bench env create transformers4
	@$(BIN)/python tests/reference/check_reference.py $(if $(FULL),--full)

check: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy bench adapters/*.py adapters/*/*.py

parity: install
	@$(BIN)/python -m pytest -m parity -rP

clean:
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache results/local
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
