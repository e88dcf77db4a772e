PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DOCKER ?= docker
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' shim/__init__.py)

.PHONY: help try test quick coverage test-image test-kuberhealthy compatibility test-prometheus test-cluster \
    compatibility-cluster test-faults fuzz mutants bench audit image lint format docs pictures clean

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# Each stamp says what is installed in the environment: khshim alone, or its tools as well.
# Another interpreter (make try PYTHON=python3.12) makes the environment anew.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check >$(VENV)/pip.log 2>&1
INSTALL_FAILED = { echo "Packages could not be installed, as $(VENV)/pip.log shows:" \
    "is the package index in reach? Then run make again." >&2; exit 1; }
ifneq ($(shell cat $(VENV)/.interpreter 2>/dev/null),$(PYTHON))
.PHONY: $(VENV)/.khshim
endif

$(VENV)/.khshim: setup.cfg pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "khshim needs Python 3.10 or newer, and there is no $(PYTHON) here:" \
	    "install it, or name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "khshim needs Python 3.10 or newer, and $(PYTHON) is $$($(PYTHON) --version):" \
	    "make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) has no venv module: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --editable . || $(INSTALL_FAILED)
	@echo $(PYTHON) >$(VENV)/.interpreter
	@touch $@

$(VENV)/.khshim-dev: $(VENV)/.khshim
	@echo "Installing the development tools into $(VENV) (once)"
	@$(INSTALL) --editable '.[test,lint,docs]' || $(INSTALL_FAILED)
	@touch $@

try: $(VENV)/.khshim ## Run three example scripts as Kuberhealthy would
	@echo
	@echo "== 1. A script that passes: enough disk space? =="
	@$(BIN)/khshim try scripts/disk_space.sh
	@echo
	@echo "== 2. A script that fails: how long is a certificate valid? (no server runs on port 9) =="
	@! HOST=127.0.0.1 PORT=9 $(BIN)/khshim try scripts/tls_expiry.py
	@echo
	@echo "== 3. A script that hangs: waiting for a port; it is stopped before its deadline =="
	@! PORT=9 $(BIN)/khshim try --timeout 8s scripts/wait_for_port.py
	@echo
	@echo "Now try a script of your own:  $(BIN)/khshim try ./my_script.sh"

test: $(VENV)/.khshim-dev ## Run the tests
	$(BIN)/python -m pytest --numprocesses 3

quick: $(VENV)/.khshim-dev ## Run the tests that need no run of khshim, in seconds
	$(BIN)/python -m pytest --numprocesses 2 -m 'not whole_run'

coverage: $(VENV)/.khshim-dev ## Measure branch coverage, also of child processes
	@mkdir -p build
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 3
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-image: $(VENV)/.khshim-dev ## Build the image and test it in real containers (as root)
	tests/image/prepare
	$(BIN)/python -m pytest tests/image

# KUBERHEALTHY_SOURCE, a path or a URL, says where git finds its source, if not in public.
SERVERS ?= v3 v2
test-kuberhealthy: $(VENV)/.khshim-dev ## Build the real Kuberhealthy servers and test against them
	$(BIN)/python -m tests.kuberhealthy.build $(SERVERS)
	$(BIN)/python -m pytest -p tests.compatibility --servers "$(SERVERS)" tests/kuberhealthy

compatibility: $(VENV)/.khshim-dev ## The same, and write docs/COMPATIBILITY.md
	$(BIN)/python -m tests.kuberhealthy.build
	$(BIN)/python -m pytest -p tests.compatibility --compatibility=servers tests/kuberhealthy

test-prometheus: $(VENV)/.khshim-dev ## Try the alert rules and the dashboard with a real Prometheus
	@for tool in prometheus promtool prometheus-pushgateway; do command -v $$tool >/dev/null || { \
	    echo "There is no $$tool here: on Debian, apt install prometheus prometheus-pushgateway" >&2; exit 1; }; done
	$(BIN)/python -m pytest tests/prometheus

test-cluster: $(VENV)/.khshim-dev ## Test it in a real Kubernetes under real Kuberhealthy (as root)
	tests/cluster/run

compatibility-cluster: $(VENV)/.khshim-dev ## Do the same, and write docs/COMPATIBILITY.md
	tests/cluster/run --compatibility=cluster

test-faults: $(VENV)/.khshim-dev ## Run the thousands: signals at random moments, gibibytes
	$(BIN)/python -m pytest -s tests/faults

bench: $(VENV)/.khshim-dev ## Measure khshim beside its peers, and write docs/BENCHMARKS.md
	$(BIN)/python bench/run.py

FUZZ_SECONDS ?= 300
fuzz: $(VENV)/.khshim-dev ## Fuzz the way from a script's bytes to the report
	@$(INSTALL) --editable '.[fuzz]' || $(INSTALL_FAILED)
	@mkdir -p build/corpus
	$(BIN)/python tests/fuzz/fuzz_report.py build/corpus tests/fuzz/corpus \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 -artifact_prefix=build/
	@echo "Corpus: $$(ls build/corpus tests/fuzz/corpus | grep -c .) inputs"

MODULES ?=
mutants: $(VENV)/.khshim-dev ## Change the code a little, over and over: does a test fail each time? (an hour)
	$(BIN)/python tests/mutants.py $(MODULES)

audit: $(VENV)/.khshim-dev ## Look for known vulnerabilities in what the image installs
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.txt

BUILD_IMAGE = $(DOCKER) build --build-arg VERSION=$(VERSION) \
    --build-arg SOURCE="$$(git config --get remote.origin.url)"

image: ## Build the image, and the one to be put into others
	@command -v $(DOCKER) >/dev/null || { echo "The image is built by docker, and there is no $(DOCKER) here:" \
	    "install it, or name another one that builds: make image DOCKER=podman" >&2; exit 1; }
	$(BUILD_IMAGE) --tag khshim:$(VERSION) .
	$(BUILD_IMAGE) --tag khshim:$(VERSION)-runtime --target runtime .

lint: $(VENV)/.khshim-dev ## Check style, types and shell scripts
	$(BIN)/isort --quiet --check .
	$(BIN)/black --line-length 100 --quiet --check .
	$(BIN)/flake8
	$(BIN)/mypy
	$(BIN)/shellcheck scripts/*.sh examples/*/*.sh examples/*/*/*.sh .ci/run tests/image/prepare \
	    tests/cluster/build tests/cluster/namespaces tests/cluster/run

format: $(VENV)/.khshim-dev ## Lay the code out
	$(BIN)/isort --quiet .
	$(BIN)/black --line-length 100 --quiet .

pictures: $(VENV)/.khshim-dev ## Draw the pictures in docs/pictures anew, from real runs
	$(BIN)/python -m docs.terminal_pictures
	$(BIN)/python -m docs.dashboard_picture

docs: $(VENV)/.khshim-dev ## Write what is made from declarations: tables, man page, completions
	$(BIN)/python -m docs.generate

clean: ## Remove what was made here
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .hypothesis
