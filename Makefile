# Two commands are enough: 'make packages' and 'make test'. 'make help' lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILDER := $(BIN)/builder
PYTEST := $(BIN)/pytest
OUT ?= dist
ARGS ?=
# As root the build may install what compiling CPython needs; else it says what to install.
ROOT_ARGS := $(if $(filter 0,$(shell id -u)),--install-build-deps)
SHELLCHECK_FILES := $(shell git ls-files '*.sh' .ci/run .ci/engine postinst/backend.ai postinst/backendai-ctl)

.DEFAULT_GOAL := help
.PHONY: help packages package test test-unit test-integration lint type format locks bench clean setup

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages: setup ## build all packages of the default release into dist/
	$(BUILDER) build --out $(OUT) $(ROOT_ARGS) $(ARGS)

package: setup ## build one package: make package PKG=manager
	@test -n "$(PKG)" || { echo "error: PKG is not set; e.g. make package PKG=manager" >&2; exit 2; }
	$(BUILDER) build $(PKG) --out $(OUT) $(ROOT_ARGS) $(ARGS)

test: setup ## run every test that this machine can; what needs Docker is skipped without it
	$(PYTEST) $(ARGS)

test-unit: setup ## run the tests that need no network, root or Docker
	$(PYTEST) tests/unit $(ARGS)

test-integration: setup ## run the tests that build and install real packages
	$(PYTEST) tests/integration $(ARGS)

lint: setup ## ruff, shellcheck, codespell, schemas and locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck $(SHELLCHECK_FILES)
	$(BIN)/codespell $$(git ls-files)
	$(BUILDER) schema --check
	$(BUILDER) lock --check

type: setup ## mypy --strict
	$(BIN)/mypy

format: setup ## format and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

locks: setup ## resolve the default release again
	$(BUILDER) lock

bench: setup ## time every phase of a manager build beside tar and zstd
	$(BIN)/python -m tests.bench $(ARGS)

clean: ## remove what was built here; the cache stays
	rm -rf $(OUT) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

setup: $(VENV)/.ready ## make .venv with the pinned tools

$(VENV)/.ready: pyproject.toml pkgspec/toolchain.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; set PYTHON to a newer one" >&2; exit 10; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh .ci/install-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement pkgspec/toolchain.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
