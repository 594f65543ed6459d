# Every target sets up .venv by itself: once, and again when pyproject.toml or constraints.txt changes.

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python

# The first of these that is Python 3.11 or newer, with venv and pip, makes .venv.
PYTHON := python3.13 python3.12 python3.11 python3

.DEFAULT_GOAL := help
.PHONY: demo test check coverage bench docs tree wheels clean help

demo: $(VENV)/.demo  ## simulate, train, stream, decode and show, all on this machine (ARGS="--headless" and others)
	$(VENV)/bin/necomimi demo $(ARGS)

test: $(VENV)/.test  ## run every test (ARGS="tests/realtime -x" for some)
	$(VENV_PYTHON) -m pytest $(ARGS)

check: $(VENV)/.test  ## lint, format, types (here, on Windows, on macOS), architecture, documents
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(MAKE) docs
	$(VENV_PYTHON) -m pytest -q tests/test_architecture.py tests/test_docstrings.py tests/test_documents.py

coverage: $(VENV)/.test  ## which lines of necomimi/ and realtime/ no test runs (half an hour)
	$(VENV_PYTHON) -m coverage erase
	$(VENV_PYTHON) -m coverage run -m pytest --timeout=900 tests/core tests/realtime tests/replay
	$(VENV_PYTHON) -m coverage combine -q
	$(VENV_PYTHON) -m coverage report --fail-under=90

docs: $(VENV)/.test  ## build the documents, build/docs/html/index.html; a warning is an error
	$(VENV_PYTHON) docs/build.py

bench: $(VENV)/.demo  ## print the figures that the README quotes
	$(VENV)/bin/necomimi bench live
	@for file in $(filter-out benchmarks/synthetic_feed.py,$(wildcard benchmarks/*.py)); do echo "== $$file"; $(VENV_PYTHON) "$$file" || exit 1; done

tree: $(VENV)/.demo  ## redraw the tree in README.md from the first docstring lines
	$(VENV_PYTHON) docs/tree.py

wheels: | $(VENV_PYTHON)  ## build; install and try each extra in an environment of its own (ARGS="core clip" for some)
	$(VENV_PYTHON) tests/installation.py $(ARGS)

clean:  ## remove what builds and tests leave behind; .venv stays
	rm -rf build dist *.egg-info demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

define install
	@echo "necomimi: installing what this needs into $(VENV); minutes and about 6 GB the first time (torch)"
	@$(VENV_PYTHON) -c 'import pip' 2>/dev/null || $(VENV_PYTHON) -m ensurepip
	$(VENV_PYTHON) -m pip install --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@
endef

$(VENV)/.demo: EXTRAS = demo
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV_PYTHON)
	$(install)

$(VENV)/.test: EXTRAS = demo,clip,diffusion,bench,ray,braindecode,dev
$(VENV)/.test: pyproject.toml constraints.txt | $(VENV_PYTHON)
	$(install)
	@touch $(VENV)/.demo

$(VENV_PYTHON):
	@for name in $(PYTHON); do \
	    if "$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "necomimi: making $(VENV) with $$("$$name" --version) ($$(command -v "$$name"))"; \
	        exec "$$name" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "necomimi: no Python 3.11 or newer with venv and pip among: $(PYTHON)" >&2; \
	echo "expected: one of them (Debian, Ubuntu: apt install python3 python3-venv)" >&2; \
	echo "try: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	exit 1
