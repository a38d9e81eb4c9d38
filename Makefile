# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV   ?= .venv
# two workers, a file to one of them: most of what takes long waits for something
PYTEST_ARGS ?= -n 2 --dist loadfile
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs
READY  := $(VENV)/.ready
# what it is measured against
PEERS  := .venv-peers/.ready

.PHONY: help demo replay test lint quality bench fuzz pictures format clean schemas

help:            ## List what can be made
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/: .*##/:/' | column -t -s:

# what it takes to run, and on top of that what it takes to test
$(RUNS): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(READY): $(RUNS)
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@

demo: $(RUNS)   ## A simulated market through the whole service, no broker needed; what was planted against what was caught
	$(BIN)/tapewatch demo

replay: $(RUNS) ## Replay small captures; their alerts appear on the console
	$(BIN)/tapewatch replay -c examples/binance.yaml tests/data/spot_btcusdt.gz tests/data/spot_ethusdt.gz tests/data/usdm_btcusdt.gz

test: $(READY)   ## Linters, then all tests, those against a real Kafka broker included
	$(MAKE) lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

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

fuzz: $(READY)   ## A million inputs to the JSON kernels, against parsers; lines of TAPEWATCH_DATA too, where it is set
	$(BIN)/python tests/json_kernels/scan_fuzz.py

quality: $(READY) ## Rarities asked for against those that came; real trades too, where TAPEWATCH_DATA names them
	$(BIN)/python -m benchmarks.quality

pictures: $(RUNS) ## The pictures of the README, drawn anew from a real run; needs Chromium
	$(BIN)/pip install --quiet --editable '.[pictures]'
	$(BIN)/python docs/images/draw.py

clean:           ## Remove the virtual environment and caches
	rm -rf $(VENV) $(dir $(PEERS)) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

schemas: $(READY) ## Export the JSON Schemas of events and of the configuration to docs/schemas
	$(BIN)/python -c "import json; from streamer.decoding.event_schema import json_schema as s; print(json.dumps(s(), indent=2))" > docs/schemas/event.json
	$(BIN)/python -c "import json; from streamer.config import json_schema as s; print(json.dumps(s(), indent=2))" > docs/schemas/configuration.json
