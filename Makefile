# Two commands: make demo, make test. Both set up .venv from requirements.lock first.

VENV := .venv
BIN := $(VENV)/bin
# The first Python from 3.13 down to 3.11 that runs and can make virtual environments.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$p && break; done)
# Fewer workers than cores would leave cores idle; more would starve TensorFlow's own threads.
WORKERS ?= 2

# CUDA=1 sets up with NVIDIA's libraries, for a GPU on Linux.
CUDA ?=
WITH := $(if $(CUDA),-cuda)

.PHONY: help setup demo web test slow lint bench guard site lock licences clean

help:
	@echo "make setup  make .venv alone; CUDA=1 adds NVIDIA's libraries, for a GPU on Linux"
	@echo "make demo   train a GAN on embedded images, compress it, generate from the int8 file"
	@echo "make web    show a generator in the browser: the demo's, or MODEL=FILE.tflite"
	@echo "make test   lint, types and the fast tests"
	@echo "make slow   the tests that take minutes"
	@echo "make lint   formatter, linter and type checker alone"
	@echo "make bench  Tapestry beside plain Keras and PyTorch, an hour or two: docs/performance.md"
	@echo "make guard  whether training here is slower than on main, by turns"
	@echo "make site   these pages and the docstrings as a site: build/site/index.html"
	@echo "make lock   resolve the lock files anew from setup.cfg and requirements-site.in"
	@echo "make licences   list the licences of all that these name: docs/licences.md"
	@echo "make clean  remove .venv and what tools left"
	@echo "The scripts: . $(BIN)/activate, then python -m scripts.train --help"

setup: $(VENV)/ready$(WITH)

$(VENV)/ready$(WITH): requirements$(WITH).lock setup.cfg pyproject.toml
	@test -z "$(CUDA)" || test "$$(uname -s)" = Linux || { echo "error: CUDA=1 is for Linux." >&2; exit 2; }
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 to 3.13 with venv is needed; set PYTHON=/path/to/it." >&2; exit 2; }
	@echo "Setting up $(VENV) with $(PYTHON): some $(if $(CUDA),7,2) GB, a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements$(WITH).lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VENV)/ready $@

demo: setup
	@$(BIN)/python -m scripts.demo

# What make web shows, and where.
MODEL ?= runs/demo/device/pruned_int8.tflite
PORT ?= 8000

web:
	@test -f "$(MODEL)" || { echo "error: no file $(MODEL); run make demo first, or make web MODEL=FILE.tflite." >&2; exit 2; }
	@$(MAKE) --silent --no-print-directory setup demo/web/node_modules/ready
	@$(BIN)/python -m scripts.web --model="$(MODEL)" --port=$(PORT)

demo/web/node_modules/ready: demo/web/package-lock.json demo/web/package.json
	@command -v npm >/dev/null || { echo "error: npm is needed to install LiteRT.js; it comes with Node.js." >&2; exit 2; }
	@npm ci --prefix demo/web --no-audit --no-fund --silent
	@touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist=loadfile

slow: setup
	$(BIN)/python -m pytest -m slow

# PyTorch lives in an environment of its own. Its builds differ by platform, so no hashes.
TORCH := build/torch
BENCH_FLAGS ?=

bench: setup $(TORCH)/ready
	@$(BIN)/python -m benchmarks.bench --torch_python=$(TORCH)/bin/python \
		--out=docs/performance --page=docs/performance.md $(BENCH_FLAGS)

guard: setup
	@$(BIN)/python -m benchmarks.guard $(GUARD_FLAGS)

$(TORCH)/ready: benchmarks/requirements-torch.txt
	@$(PYTHON) -m venv $(TORCH)
	@$(TORCH)/bin/python -m pip install --quiet -r benchmarks/requirements-torch.txt
	@touch $@

# What makes the site needs nothing of .venv: docstrings are read, not imported.
SITE := build/site-env

site: $(SITE)/ready
	@$(SITE)/bin/python -m tools.site

$(SITE)/ready: requirements-site.lock
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 to 3.13 with venv is needed; set PYTHON=/path/to/it." >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(SITE)
	@$(SITE)/bin/python -m pip install --quiet --require-hashes -r requirements-site.lock
	@touch $@

COMPILE := build/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --quiet
EXTRAS := setup.cfg requirements-build.in --extra test --extra bench --extra litert --extra svg

# The second is the first and NVIDIA's libraries.
lock:
	@$(PYTHON) -m venv build/uv && build/uv/bin/python -m pip install --quiet uv
	$(COMPILE) $(EXTRAS) -o requirements.lock
	$(COMPILE) $(EXTRAS) --extra cuda --constraint requirements.lock -o requirements-cuda.lock
	$(COMPILE) requirements-site.in -o requirements-site.lock

licences: setup
	@$(BIN)/python -m tools.list_licences

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
