# Every target does its own set-up on a bare Debian machine and is quick the second time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test check fuzz zoo sanitize bench sizes golden clean
help:            ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 12

setup: $(STAMP)  ## virtual environment, Python packages, cross compiler, emulators
$(STAMP): pyproject.toml setup.py scripts/setup
	PYTHON=$(PYTHON) scripts/setup $(VENV)
	touch $@

demo: $(STAMP)   ## train, quantize, build, verify and profile on a virtual STM32H7
	$(BIN)/tinyvision demo

test: $(STAMP)   ## all tests that this machine can run
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/train
	if [ -d tests/train ]; then $(BIN)/python -m pytest -n 2 --dist worksteal tests/train; fi

check: $(STAMP)  ## what must pass before a commit: format, lint, types, unit and host tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit tests/golden tests/host

zoo: $(STAMP)    ## every network of the zoo, at full size too, on the host and virtual boards; an hour
	$(BIN)/python -m pytest tests/train/test_zoo_int8.py --zoo

fuzz: $(STAMP)   ## random graphs, mutated models and mutated serial frames, at length
	$(BIN)/python -m tests.fuzz.fuzz_graphs --count 1000
	$(BIN)/python -m tests.fuzz.fuzz_tflite --count 100000
	$(BIN)/python -m tests.fuzz.fuzz_serial --count 100000

MODELS ?= $(wildcard ../shared/models/*.tflite)
sanitize: $(STAMP) ## MODELS under every schedule on a virtual board, each access watched; ten minutes
	$(BIN)/python -m tools.sanitize $(MODELS)

bench: $(STAMP)  ## published networks on every virtual board, against the baseline and peers
	$(BIN)/tinyvision bench --suite published

sizes: $(STAMP)  ## code, data, SRAM of the demo network on every board, against the last release
	$(BIN)/tinyvision bench --suite demo

golden: $(STAMP) ## accept the generated text as the new golden files
	$(BIN)/python -m pytest tests/golden --update-golden

clean:           ## what building left behind (the virtual environment stays)
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
