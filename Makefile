# make train   trains the binary ResNet on digits, from nothing but Python, pip and make
# make test    lint, types, tests
# make docs    the pages of docs/ that are made from the code
# make bench   speed and memory of quantized training against float, with goals
#
# All work in .venv, which they make on the first run; a later run installs again only when
# pyproject.toml has changed. Another interpreter: make train PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help train test lint docs bench oracle clean
.NOTPARALLEL:  # all install into the same .venv

help:
	@echo "make train   make .venv, install, train the binary ResNet on digits"
	@echo "make test    make .venv, install with the test tools, run lint, types and tests"
	@echo "make lint    lint and types only"
	@echo "make docs    write the pages of docs/ that are made from the code"
	@echo "make bench   measure speed and memory against float; fails where a goal is missed"
	@echo "             make bench BENCH='--quick' is a first look; other options: --help"
	@echo "make oracle  install Brevitas for make test and make bench to compare with"
	@echo "make clean   remove .venv and caches (run folders stay)"

train: $(VENV)/.installed
	$(BIN)/qat train --recipe binary_resnet

# A process per core, each file in one of them; with more than one thread each they would get in
# each other's way.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tools.docs.generate

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.run_all $(BENCH)

# In a folder of its own and no extra of the project: every release of Brevitas pins
# dependencies==2.0.1, which pip cannot install beside the release that qat needs.
oracle: $(VENV)/.installed
	rm -rf $(VENV)/oracle
	$(INSTALL) --target $(VENV)/oracle --no-deps \
	  "brevitas>=0.12,<0.14" "dependencies==2.0.1" "unfoldNd>=0.2" "setuptools<81"

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# The stamps name what is installed: the program; the program with its test tools. The program is
# installed in place, so a changed source file needs no new installation.
$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@echo "installing qat into $(VENV) (torch is large; the first time takes some minutes)"
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.made
	@echo "installing qat with its test tools into $(VENV)"
	$(INSTALL) --editable ".[dev]"
	@touch $(VENV)/.installed $@

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "error: no '$(PYTHON)' found; install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "error: '$(PYTHON)' is $$($(PYTHON) --version 2>&1); Python 3.10 or newer is needed, name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "error: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@
