# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV   ?= .venv
# four workers on two cores, a file to one of them: most of what takes long waits for something
PYTEST_ARGS ?= -n 4 --dist loadfile --no-loadscope-reorder
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs
READY  := $(VENV)/.ready
DOCS   := $(VENV)/.docs
RELEASE := $(VENV)/.release
# what it is measured against
PEERS  := .venv-peers/.ready

.PHONY: help demo replay test jars lint kernels faults quality clocks bench fuzz pictures format clean schemas docs dist lock audit

help:            ## List what can be made
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/: .*##/:/' | column -t -s:

# the pip that comes with Python may be years old, and then chooses versions for a minute instead of seconds
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	-$(BIN)/pip install -qq --upgrade pip

# what it takes to run, and on top of that what it takes to test
$(RUNS): pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -qq --editable .
	@touch $@

$(READY): pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -qq --no-compile --editable '.[test]'
	@touch $(RUNS) $@

$(DOCS): $(RUNS)
	$(BIN)/pip install -qq --editable '.[docs]'
	@touch $@

$(RELEASE): $(RUNS)
	$(BIN)/pip install -qq --editable '.[release]'
	@touch $@

demo: $(RUNS)   ## A simulated market through the whole service, no broker needed; what was planted against what was caught
	$(BIN)/tapewatch demo

replay: $(RUNS) ## Replay small captures; their alerts appear on the console
	$(BIN)/tapewatch replay -c examples/binance.yaml tests/data/spot_btcusdt.gz tests/data/spot_ethusdt.gz tests/data/usdm_btcusdt.gz

# processes import the same modules over and over: let Python keep what it compiles of them
export PYTHONDONTWRITEBYTECODE =

test:            ## Linters, then all tests, those against a real Kafka broker included
	$(MAKE) -j 2 $(READY) jars
	$(MAKE) -j 2 lint kernels
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# the local broker's; tests say what is missing where they need it
jars:
	-@cd tests && $(PYTHON) -c 'from broker.local import jars; jars()' 2>/dev/null

faults: $(READY) ## The campaign of docs/reliability.md in its long form: kills, faults, a month, storms; an hour or more
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m long tests

# compile kernels and the tests' bytecode once, before parallel workers would each do it
kernels: $(READY)
	$(BIN)/python tests/kernels.py
	@found=$$($(BIN)/python -m pytest --collect-only -qq 2>&1) || { echo "$$found"; exit 1; }

lint: $(READY)   ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format all code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) $(PEERS) ## What it costs, against River, peers and clients (docs/performance.md); ROWS="a c" for some
	$(BIN)/python -m benchmarks --peers $(dir $(PEERS)) $(ROWS)

# where they cannot be installed, their rows say so
$(PEERS): benchmarks/requirements-peers.txt
	-$(PYTHON) -m venv $(dir $(PEERS)) && $(dir $(PEERS))bin/pip install --quiet -r $< && touch $@

fuzz: $(READY)   ## A million inputs to the JSON kernels, against parsers, and as many hostile records to every format
	$(BIN)/python tests/json_kernels/scan_fuzz.py
	$(BIN)/python tests/decoding/format_fuzz.py

quality: $(READY) ## Rarities asked for against those that came; real trades too, where TAPEWATCH_DATA names them
	$(BIN)/python -m benchmarks.quality

clocks: $(READY)  ## What lying times do to clocks and to silence, by maxima and by the guard (docs/event-time.md)
	$(BIN)/python -m benchmarks.lying_clocks

pictures: $(RUNS) ## The pictures of the README, drawn anew from a real run; needs Chromium
	$(BIN)/pip install -qq --editable '.[pictures]'
	$(BIN)/python docs/images/draw.py

docs: $(DOCS)    ## The documentation as a website in site/; broken links are errors
	$(BIN)/mkdocs build --strict

dist: $(RELEASE) ## Build sdist and wheel into dist/, install the wheel into a clean environment, run the demo from it
	rm -rf build dist
	$(BIN)/python -m build
	set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder/venv"; \
	"$$folder/venv/bin/pip" install --quiet dist/*.whl; \
	cd "$$folder"; export NUMBA_CACHE_DIR="$$folder/kernels"; \
	venv/bin/tapewatch --version; \
	venv/bin/tapewatch demo --minutes 15 --port 0

lock: $(RELEASE) ## Lock the versions and hashes the image installs; LOCK_ARGS=--upgrade for the newest
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --group build --custom-compile-command 'make lock' --output-file requirements.lock $(LOCK_ARGS) pyproject.toml

audit: $(RELEASE) ## Look up known vulnerabilities of the locked versions; needs the advisory database
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off $(AUDIT_ARGS) \
	  --requirement requirements.lock || { echo "make audit: failed. Either vulnerabilities are listed above, or the" \
	  "advisory database could not be reached and nothing was audited." >&2; exit 1; }

clean:           ## Remove the virtual environments, caches and built files
	rm -rf $(VENV) $(dir $(PEERS)) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist site *.egg-info

schemas: $(READY) ## Export the JSON Schemas of events and of the configuration to docs/schemas
	$(BIN)/python -c "import json; from streamer.decoding.event_schema import json_schema as s; print(json.dumps(s(), indent=2))" > docs/schemas/event.json
	$(BIN)/python -c "import json; from streamer.config.exported_schema import json_schema as s; print(json.dumps(s(), indent=2))" > docs/schemas/configuration.json
