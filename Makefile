# Two commands are enough: 'make packages' and 'make test'. 'make help' lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILDER := $(BIN)/builder
PIP_INSTALL := $(BIN)/python -m pip install --quiet --root-user-action ignore
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header
# What slow cases and files cost ends the output: the first thing to look at where CI is slow.
PYTEST := $(BIN)/pytest --durations=25 --durations-min=5 --costs=20
# Where the runs of long cases note what has passed; docs/proof.md is made from it.
PROOF ?= docs/proof.json
RECORDS ?=
# Of 'make test': as in CI, what needs no host (local), and the others with 'make e2e' (hosts).
PART ?= all
TESTS_local := tests/unit tests/component tests/fuzz
TESTS_hosts := tests/integration tests/e2e
TESTS_all := $(TESTS_local) tests/integration
SPREAD_local := worksteal
SPREAD_hosts := loadgroup
SPREAD_all := worksteal
OUT ?= dist
ARGS ?=
PROFILE ?= fast
JOBS ?= auto
CHANNEL ?= testing
DISTRO ?= trixie
CASES ?= 100000
# Another one at every call; it is printed, and repeats the run.
SEED ?= $(shell date +%s)
# As root the build may install what compiling CPython needs; else it says what to install.
ROOT_ARGS := $(if $(filter 0,$(shell id -u)),--install-build-deps)
# The others are templates: tests render each in every variant and check the result.
SHELLCHECK_FILES := .ci/run .ci/engine .ci/install-venv .ci/build .ci/plan .ci/merge .ci/publish .ci/bump .ci/proof postinst/bin/backend.ai postinst/bin/backendai-ctl builder/bundle/target/bundle.sh

# Python keeps the bytecode of tests and tools: else each worker compiles them at each start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help packages package test test-full test-unit test-component fuzz test-one test-integration e2e e2e-full proof images node-image demo lint type format locks gates bench bench-gateway bench-install \
	clean repo setup setup-dev setup-sigstore toolchain

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages: setup ## build all packages of the default release into dist/: make packages [PROFILE=fast|release|compat]
	$(BUILDER) build --out $(OUT) --profile $(PROFILE) $(ROOT_ARGS) $(ARGS)

package: setup ## build one package: make package PKG=manager
	@test -n "$(PKG)" || { echo "error: PKG is not set; e.g. make package PKG=manager" >&2; exit 2; }
	$(BUILDER) build $(PKG) --out $(OUT) --profile $(PROFILE) $(ROOT_ARGS) $(ARGS)

repo: packages ## add dist/ to a repository and publish it: make repo REPO=/srv/repo
	@test -n "$(REPO)" || { echo "error: REPO is not set; 'builder repo init' makes one" >&2; exit 2; }
	$(BUILDER) repo add --root $(REPO) --channel $(CHANNEL) $(OUT)
	$(BUILDER) repo publish --root $(REPO)

test: setup-dev ## run every test that this machine can; what needs Docker is skipped without it
	@test -n "$(TESTS_$(PART))" || { echo "error: PART=$(PART): there are all, local and hosts" >&2; exit 2; }
	@$(BUILDER) --quiet build --out $(OUT) $(ROOT_ARGS) || \
		echo "warning: no packages: the tests that install them are skipped" >&2
	$(PYTEST) -n $(JOBS) --dist $(SPREAD_$(PART)) $(TESTS_$(PART)) $(ARGS)

test-full: ## the same, with the cases that take long; notes in docs/proof.md what has passed
	BUILDER_FULL=1 $(MAKE) test ARGS="--proof $(PROOF) $(ARGS)"

test-unit: setup-dev ## run the tests that start no other program: under a minute
	$(PYTEST) -p no:hypothesispytest -p no:anyio -n $(JOBS) --dist worksteal tests/unit $(ARGS)

test-component: setup-dev ## run the tests of one part with real programs; no network, root or Docker
	$(PYTEST) -p no:hypothesispytest -p no:anyio -n $(JOBS) --dist worksteal tests/component $(ARGS)

test-one: setup-dev ## run one test file, one test, or all unit and component tests of a name: make test-one T=tests/unit/base/test_cache.py
	@test -n "$(T)" || { echo "error: T is not set; e.g. make test-one T=tests/unit/base/test_cache.py" >&2; exit 2; }
	BUILDER_FULL=1 $(PYTEST) -q $(if $(or $(findstring /,$(T)),$(findstring .py,$(T))),$(T),tests/unit tests/component -k "$(T)") $(ARGS)

fuzz: setup-dev ## feed every reader with many more mutated inputs: make fuzz [CASES=100000] [SEED=…]
	FUZZ_CASES=$(CASES) FUZZ_SEED=$(SEED) $(PYTEST) -n $(JOBS) tests/fuzz $(ARGS)

test-integration: setup-dev ## run the tests that build and install real packages
	$(PYTEST) tests/integration $(ARGS)

e2e: setup-dev ## clean hosts become nodes that people use; pictures in build/e2e
	$(PYTEST) -n $(JOBS) --dist loadgroup tests/e2e $(ARGS)

e2e-full: setup-dev ## the same, with the cases that take long; notes in docs/proof.md what has passed
	BUILDER_FULL=1 $(MAKE) e2e ARGS="--proof $(PROOF) $(ARGS)"

proof: setup-dev ## merge records of other machines into docs/proof.json and .md: make proof RECORDS="FILE ..."
	BUILDER_FULL=1 $(BIN)/python -m tests.proof $(RECORDS)

images: setup-dev ## make what the hosts of tests are made of, which tests else do when they need it
	$(BIN)/python -m tests.e2e.images

node-image: setup-dev ## the same for the node of dist/ that tests clone
	$(BIN)/python -m tests.integration.clones

demo: setup-dev ## a running single node to look at: make demo [DISTRO=bookworm|trixie|rpm]
	@ls $(OUT)/*.deb $(OUT)/*.rpm >/dev/null 2>&1 || $(MAKE) packages
	$(BIN)/python -m tests.e2e.demo --distro $(DISTRO) --dist $(OUT)

lint: setup-dev ## ruff, shellcheck, codespell, schemas and locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck $(SHELLCHECK_FILES)
	$(BIN)/codespell $$(git ls-files)
	$(BUILDER) schema --check
	$(BUILDER) lock --check

type: setup-dev ## mypy --strict
	$(BIN)/mypy

format: setup-dev ## format, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

locks: setup ## resolve the default release again
	$(BUILDER) lock

gates: setup ## check every service of the default release before anybody installs it
	$(BUILDER) gate $(ROOT_ARGS) $(ARGS)

bench-gateway: setup-dev ## time the GraphQL gateway beside upstream's own choice, where Node is there
	$(BIN)/python -m tests.bench.gateway $(ARGS)

bench: setup-dev ## time a build of all services beside pip, dpkg-deb, rpmbuild and tar: make bench [ARGS=--docs]
	$(BIN)/python -m tests.bench $(ARGS)

bench-install: setup-dev ## time an installation to the first login beside the official guide's steps
	$(BIN)/python -m tests.bench.install $(ARGS)

clean: ## remove what was built here; the cache stays
	rm -rf $(OUT) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

setup: $(VENV)/.ready ## make .venv with the pinned tools that a build needs

setup-dev: $(VENV)/.ready-dev ## the same, and what tests and checks need

setup-sigstore: setup ## add what 'builder attest --sigstore' and the check of its bundles need
	$(PIP_INSTALL) --require-hashes --requirement pkgspec/toolchain-sigstore.txt

toolchain: setup ## pin the tools anew
	$(COMPILE) --extra setup pyproject.toml --output-file pkgspec/toolchain.txt
	$(COMPILE) --extra setup --extra sigstore pyproject.toml --constraints pkgspec/toolchain.txt \
		--output-file pkgspec/toolchain-sigstore.txt
	$(COMPILE) --extra setup --extra dev pyproject.toml --constraints pkgspec/toolchain-sigstore.txt \
		--output-file pkgspec/toolchain-dev.txt

$(VENV)/.ready: pyproject.toml pkgspec/toolchain.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; set PYTHON to a newer one" >&2; exit 10; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh .ci/install-venv
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --require-hashes --requirement pkgspec/toolchain.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready pkgspec/toolchain-dev.txt
	$(PIP_INSTALL) --require-hashes --requirement pkgspec/toolchain-dev.txt
	@touch $@
