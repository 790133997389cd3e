# Two commands do everything on a fresh machine: `make look`, the main job, and `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

NODE_SERVES := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a === 20 && b >= 19 || a === 22 && b >= 12 || a > 22 ? 0 : 1)' 2>/dev/null

.PHONY: look test check check-page page bench picture

look: .venv/with-demo ## Look into a real model over a real text
	@mkdir -p out
	$(BIN)/regard look --file examples/texts/gettysburg.txt --html out/look.html --png out/look.png --json out/look.json
	@echo "The page: $(CURDIR)/out/look.html"

test: .venv/with-dev ## Run every test, in a process for each of up to four cores
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: .venv/with-dev ## Format, lint, types, import table, docs; of the page's sources too, where Node.js is there
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house.py tests/test_docs.py
	@if $(NODE_SERVES); then $(MAKE) --no-print-directory check-page; \
	else echo "no Node.js of version 20.19, or 22.12 and newer: the sources of the page were not checked"; fi

check-page: web/node_modules/.package-lock.json
	cd web && npm run check

page: web/node_modules/.package-lock.json ## Build the page anew from its sources in web/; needs Node.js
	cd web && npm run build

bench: .venv/with-dev ## Measure speed and memory
	$(BIN)/python -m benchmarks.look
	$(INSTALL) '.[bench]'
	$(BIN)/python -m benchmarks.attend

picture: .venv/with-demo ## Draw the pictures of README and docs anew
	$(BIN)/python docs/draw.py

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

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
