# GNU make on Linux and macOS. On Windows, and without make, see README.md for the same commands.
#
#   make demo                     install, then speech and motion on a page (ARGS="--mic", ...)
#   make test                     install for development, then all checks and tests
#   make coverage                 line coverage of engine core and wire code, with a lower limit
#   make clean                    remove the environment and everything that was built
#
#   TORCH="..."     what to install PyTorch from, for example its CPU build: see README.md
#   PIP_ARGS="..."  further arguments for every pip install
#   PYTHON=...      the interpreter the environment is made with (3.11 or newer)
#   EXTRAS=...      what `make test` installs, for example dev,text,train for tests of those too

VENV ?= .venv
BIN = $(VENV)/bin
TORCH ?= torch==2.13.0
PIP_ARGS ?=
ARGS ?= --demo
PYTEST_ARGS ?=
EXTRAS ?= dev
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then break; fi; done; echo $$p)
PIP = $(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS)

# What may be missing on a fresh machine, and what to do. Used as: command $(OR) "$(NO_...)" $(END)
OR = || { echo
END = >&2; exit 1; }
NO_PYTHON = error: expected Python 3.11 or newer, got $$($(PYTHON) -V 2>&1); \
	install one, or name it: make PYTHON=/path/to/python
NO_VENV = error: $(PYTHON) cannot make an environment, because its module venv or ensurepip is \
	missing; on Debian or Ubuntu run: apt install python3-venv
NO_PACKAGES = error: pip could not install what is needed, see above; it needs a network and a few \
	GB of disk; for a proxy, another index or a folder of wheels run: make PIP_ARGS=...

.PHONY: help demo test coverage clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed-demo
	$(BIN)/emage-live --view $(ARGS)

test: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

# What is measured and the limit: pyproject.toml.
CORE = generate motion postprocess session stream
WIRE = osc vmc websocket wire
coverage: $(VENV)/.installed-$(EXTRAS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" \
		$(CORE:%=tests/engine/%) $(WIRE:%=tests/exporters/test_%.py) --cov

# Stamps: a later run installs again only when pyproject.toml has changed. The project itself is
# installed in place, so a change of the sources needs nothing. Where the environment's Python is
# gone, nothing is installed, whatever a stamp says.
ifneq ($(shell test -e $(BIN)/python && echo there),there)
.PHONY: $(VENV)/.installed-demo $(VENV)/.installed-$(EXTRAS)
endif

$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	$(PIP) $(TORCH) $(OR) "$(NO_PACKAGES)" $(END)
	@# Where OpenVINO has no package for this system, the network runs in PyTorch.
	$(PIP) -e '.[mic,openvino,viewer]' || $(PIP) -e '.[mic,viewer]' $(OR) "$(NO_PACKAGES)" $(END)
	@touch $@

$(VENV)/.installed-$(EXTRAS): pyproject.toml | $(BIN)/python
	$(PIP) $(TORCH) $(OR) "$(NO_PACKAGES)" $(END)
	$(PIP) -e '.[$(EXTRAS)]' $(OR) "$(NO_PACKAGES)" $(END)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	$(OR) "$(NO_PYTHON)" $(END)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null $(OR) "$(NO_VENV)" $(END)
	@# A failed attempt must not look like an environment next time.
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

clean:
	rm -rf $(VENV) build dist site .coverage *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find engine exporters training bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
