# Six verbs: demo, smoke, test, check, bench, docs (and two for long nights: fuzz, hostile). Each sets up what it needs;
# nothing has to be installed beforehand but Python 3.11 or newer, make, and Node 20 or newer (without Node a wheel
# brings one).

PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --require-virtualenv
# One more than cores: some tests wait, for leases and for brokers that say nothing. With two more, each worker's own
# servers and slides eat up what that gains.
WORKERS ?= 3
VIEWERS := tests/browser/viewers
NPM := PATH="$$PATH:$(abspath $(BIN))" npm
# Each slide is read by a process of its own: it starts in two thirds of the time when Python need not compile our modules
# anew, which it does on every start where PYTHONDONTWRITEBYTECODE is set and in a folder it may not write to.
COMPILE := $(RUN) -m compileall -q coverslip service workers samples

.PHONY: help demo smoke test check system style types suite bench chaos docs iiif fuzz hostile lock clean

help:
	@echo "make demo    a real slide uploaded, de-identified, verified, tiled and shown in your browser"
	@echo "make smoke   the same unattended, checked"
	@echo "make test    everything CI runs: checks and the whole suite"
	@echo "make check   formatting, types, layers"
	@echo "make bench   ratios against peers, in one run"
	@echo "make chaos   everything shot at random for minutes, and what docs/reliability.md reports"
	@echo "make iiif    the IIIF validator against a front end of ours (needs Python 3.12 or newer beside; VALIDATOR_PYTHON=…)"
	@echo "make docs    the documents that are made from the code"
	@echo "make fuzz    a minute of atheris for each of our own walkers (SECONDS=3600 for an hour)"
	@echo "make hostile 500 damaged slides of each kind through the confined child (RUNS=…)"

iiif: .venv/.dev
	$(RUN) -m scripts.iiif $(if $(VALIDATOR_PYTHON),--python $(VALIDATOR_PYTHON))

demo: .venv/.app service/static/vendor/.ready
	$(COMPILE)
	$(RUN) -m scripts.demo

smoke: .venv/.app service/static/vendor/.ready
	$(COMPILE)
	$(RUN) -m scripts.demo --smoke

# Downloads wait for the network and mypy for one core: each has company. Not where Node comes as a wheel: two pips in
# one environment do not look out for each other.
test:
	$(MAKE) --no-print-directory --jobs $(if $(shell command -v npm),3,1) .venv/.dev service/static/vendor/.ready $(VIEWERS)/node_modules/.ready system
	$(MAKE) --no-print-directory style
	$(COMPILE)
	$(MAKE) --no-print-directory --jobs 2 types suite

check: style types

system:
	sh scripts/test-needs.sh

style: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: .venv/.dev
	$(BIN)/mypy

suite: .venv/.dev
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal

bench: .venv/.bench service/static/vendor/.ready
	sh scripts/bench-needs.sh
	$(COMPILE)
	$(RUN) -m benchmarks

chaos: .venv/.dev
	sh scripts/test-needs.sh
	$(COMPILE)
	sh scripts/chaos.sh

docs: .venv/.dev
	$(RUN) -m docs.make

fuzz: .venv/.dev
	$(RUN) -m fuzz.runs
	$(RUN) -m fuzz --seconds $(or $(SECONDS),60)

hostile: .venv/.dev
	$(RUN) -m tests.hostile.figures --runs $(or $(RUNS),500)

lock: .venv/.dev
	$(PIP) uv
	PATH="$(abspath $(BIN)):$$PATH" sh scripts/lock.sh

clean:
	rm -rf .venv node_modules $(VIEWERS)/node_modules service/static/vendor var dist

.venv/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Coverslip needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/.app: requirements/app.lock requirements/uv.lock pyproject.toml | .venv/pyvenv.cfg
	sh scripts/install.sh requirements/app.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

.venv/.dev: requirements/dev.lock .venv/.app
	sh scripts/install.sh requirements/dev.lock
	touch $@

.venv/.bench: requirements/bench.lock .venv/.dev
	sh scripts/install.sh requirements/bench.lock
	touch $@

node_modules/.ready: package-lock.json requirements/node.lock | .venv/.app
	command -v npm >/dev/null || $(PIP) --require-hashes -r requirements/node.lock
	$(NPM) ci --no-fund --no-audit --ignore-scripts
	touch $@

# other people's viewers, for the tests alone
$(VIEWERS)/node_modules/.ready: $(VIEWERS)/package-lock.json node_modules/.ready
	cd $(VIEWERS) && $(NPM) ci --no-fund --no-audit --ignore-scripts
	touch $@

service/static/vendor/.ready: node_modules/.ready service/vendor.py
	$(RUN) -m service.vendor
	touch $@
