# Two commands do everything on a fresh machine: `make look`, the main job, and `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: look test check bench picture

look: .venv/with-demo ## Look into a real model over a real text
	@mkdir -p out
	$(BIN)/regard look --file examples/texts/gettysburg.txt --html out/look.html --png out/look.png --json out/look.json
	@echo "The page: $(CURDIR)/out/look.html"

test: .venv/with-dev ## Run every test
	$(BIN)/python -m pytest

check: .venv/with-dev ## Format, lint, types, import table, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house.py tests/test_docs.py

bench: .venv/with-dev ## Measure speed and memory
	$(BIN)/python -m benchmarks.look
	$(INSTALL) '.[bench]'
	$(BIN)/python -m benchmarks.attend

picture: .venv/with-demo ## Draw the pictures of README and docs anew
	$(BIN)/python docs/draw.py

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer; set PYTHON")'
	$(PYTHON) -m venv .venv

.venv/with-demo: | .venv/bin/pip
.venv/with-demo: pyproject.toml constraints.txt
	@echo "Installing into .venv; this takes a few minutes, once."
	$(INSTALL) '.[demo]'
	@touch $@

.venv/with-dev: | .venv/bin/pip
.venv/with-dev: pyproject.toml constraints.txt
	@echo "Installing into .venv; this takes a few minutes, once."
	$(INSTALL) '.[dev]'
	@touch $@ .venv/with-demo
