# GNU make on Linux and macOS. On Windows, and without make, see README.md for the same commands.
#
#   make demo                     install, then speech and motion on a page (ARGS="--mic", ...)
#   make test                     install for development, then all checks and tests
#   make clean                    remove the environment and everything that was built
#
#   TORCH="..."     what to install PyTorch from, for example its CPU build: see README.md
#   PIP_ARGS="..."  further arguments for every pip install
#   PYTHON=...      the interpreter the environment is made with (3.11 or newer)

VENV ?= .venv
BIN = $(VENV)/bin
TORCH ?= torch==2.13.0
PIP_ARGS ?=
ARGS ?= --demo
PYTEST_ARGS ?=
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$p; break; fi; done)
PIP = $(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS)

.PHONY: help demo test clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed-demo
	$(BIN)/emage-live --view $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

# Stamps: a later run installs again only when pyproject.toml has changed. The project itself is
# installed in place, so a change of the sources needs nothing.
$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	$(PIP) $(TORCH)
	$(PIP) -e '.[mic,openvino,viewer]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) $(TORCH)
	$(PIP) -e '.[dev]'
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found. Install one, \
	or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@# A failed attempt (Debian without python3-venv) must not look like an environment next time.
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find engine exporters training bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
