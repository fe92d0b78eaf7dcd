# Every target sets up what it needs. The second time there is nothing to set up.
# A new .venv takes the Python that versions.toml names, where it is installed; PYTHON=python3.12 make … takes another
# (3.11 to 3.13), and `lockstep check --fix` then records it.

LOCKED := python$(shell sed -n 's/^python = "\(.*\)"/\1/p' versions.toml 2>/dev/null)
ifndef PYTHON
PYTHON := $(shell $(LOCKED) -c 0 2>/dev/null && echo $(LOCKED) || echo python3)
endif
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
export DVC_NO_ANALYTICS := 1
export ITERATIVE_DO_NOT_TRACK := 1
export BENTOML_DO_NOT_TRACK := true
export NML_DISABLE_USAGE_LOGGING := 1
export ORT_DISABLE_TELEMETRY := 1
export UV_PYTHON_DOWNLOADS := never
# Imports are most of what a short stage costs: let Python keep the bytecode that set-up compiles.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONHOME
# uv looks for packages where pip does.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

REQUIREMENTS := requirements/uv.txt requirements/pipeline.txt
RELEASE := requirements/serve.txt requirements/release.txt
SYNC := uv pip sync --quiet --require-hashes --compile-bytecode
EDITABLE := uv pip install --quiet --no-deps --no-build-isolation --editable .
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-config --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: help repro verify report serve test check bench bench-serving lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s  %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

repro: .venv/.pipeline  ## run the pipeline: whatever changed, and what depends on it
	@lockstep repro
	@echo "metrics: reports/metrics.json"
	@echo "the model, in words: model/card.md"

verify: .venv/.pipeline  ## is dvc.lock true: fresh, sealed, kept? `lockstep verify --rebuild` proves it
	@lockstep verify

report: .venv/.pipeline  ## this branch's model against its base's, as the pull request will show it (BASE=REV)
	@lockstep report $(if $(BASE),--base $(BASE))

serve: .venv/.release  ## answer rows by model/ on port 3000 of this machine, as the image does
	@lockstep serve

test: .venv/.dev tests/node/node_modules/.installed  ## run all tests
	@pytest

check: .venv/.dev  ## look without running: style, types, spec, dvc.yaml, versions
	@ruff check
	@ruff format --check
	@mypy
	@lockstep check

bench: .venv/.dev  ## measure the pipeline against plain scripts
	@python -m benchmarks

bench-serving: .venv/.dev  ## measure the service beside others, in environments of their own
	@python -m benchmarks.serving

lock: .venv/.uv  ## resolve requirements anew; UPGRADE=1 takes the newest versions
	@$(COMPILE) --extra s3 pyproject.toml requirements/pipeline.in --output-file requirements/pipeline.txt
	@$(COMPILE) requirements/serve.in --output-file requirements/serve.txt
	@$(COMPILE) requirements/release.in --output-file requirements/release.txt
	@$(COMPILE) requirements/dev.in --output-file requirements/dev.txt
	@$(COMPILE) requirements/uv.in --output-file requirements/uv.txt
	@$(MAKE) --no-print-directory .venv/.pipeline
	@lockstep check --fix

clean:  ## remove the environment and what tools left; data, model and reports stay
	@rm -rf .venv tests/node/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. A stamp is touched when its step is whole, so that an interrupted one starts again.
.venv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: choose one with PYTHON=python3.11 make …" >&2; exit 1; }
	@echo "setting up .venv"
	@$(PYTHON) -m venv --clear .venv
	@python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

.venv/.pipeline: .venv/.uv requirements/pipeline.txt pyproject.toml
	@echo "installing requirements/pipeline.txt"
	@rm -f .venv/.release .venv/.dev
	@$(SYNC) $(REQUIREMENTS)
	@$(EDITABLE)
	@python -m compileall -q src
	@lockstep merge-driver --install
	@touch $@

# What builds and tries the serving image, and what runs in it.
.venv/.release: .venv/.pipeline requirements/serve.txt requirements/release.txt
	@echo "installing requirements/serve.txt and requirements/release.txt"
	@rm -f .venv/.dev
	@$(SYNC) $(REQUIREMENTS) $(RELEASE)
	@$(EDITABLE)
	@touch $@

.venv/.dev: .venv/.release requirements/dev.txt
	@echo "installing requirements/dev.txt"
	@$(SYNC) $(REQUIREMENTS) $(RELEASE) requirements/dev.txt
	@$(EDITABLE)
	@touch $@

# What tests look at charts and workflows with. Without npm those tests say that they are skipped.
tests/node/node_modules/.installed: tests/node/package.json tests/node/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing tests/node/package-lock.json"; \
		npm --prefix tests/node ci --no-progress --loglevel=error >/dev/null && touch $@; \
	fi
