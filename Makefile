# make run    installs once into .venv and starts the page on http://127.0.0.1:7860
# make test   the whole test suite;  make test ARGS="tests/test_registry.py -x"  a part of it
# make lint   ruff: rules and formatting
# make bench  the engine beside PEFT and llama.cpp on the shape of Llama-3.2-1B (40 minutes); make bench-quick: 135M

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
CHROMIUM = $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: run test lint bench bench-quick

run: $(VENV)/run.stamp
	$(VENV)/bin/python app.py

test: $(VENV)/test.stamp
ifeq ($(CHROMIUM),)
	@echo "No Chromium found: the browser tests will be skipped. On Debian: apt-get install chromium"
endif
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/test.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(VENV)/bench.stamp
	$(VENV)/bin/python -m benchmarks $(ARGS)

bench-quick: $(VENV)/bench.stamp
	$(VENV)/bin/python -m benchmarks --quick $(ARGS)

# A stamp is younger than the requirements that it stands for, so that changed ones are installed again.
$(VENV)/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp training/requirements.txt tests/requirements.txt
	$(PIP) install -r requirements.txt -r training/requirements.txt -r tests/requirements.txt
	@touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp benchmarks/requirements.txt
	$(PIP) install -r requirements.txt -r benchmarks/requirements.txt
	@touch $@
