# Everything is set up in .venv on first use, by the locks in requirements/; the second time is quick.
#   PYTHON       interpreter that makes the environment; else the first of 3.11, 3.12, 3.13 that is found
#   TORCH_INDEX  package index for torch alone; else that of its CPU builds where no GPU is found
PYTHON ?=
VENV ?= .venv
TORCH_INDEX ?=
UPGRADE ?=
AUDIT ?=
BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
TOOLS := build/tools
export PYTHON TORCH_INDEX UPGRADE

.PHONY: demo test slow chaos browser lint docs pictures bench evidence install lock pythons lowest newest audit clean
.DEFAULT_GOAL := demo

demo: $(RUN)  ## the whole path on simulated data: rfe-workspace/demo
	$(BIN)/rfe demo

test: $(DEV)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

slow: $(DEV)
	$(BIN)/python -m pytest -m "slow and not gpu and not browser"

chaos: $(DEV)  ## half an hour; as root it also fills a disk and cuts a network
	$(BIN)/python -m pytest -m chaos

browser: $(DEV)  ## needs chromium (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -m browser

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV)  ## the documentation site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(DEV)  ## remakes the example notebook and the README's pictures; minutes, needs chromium
	$(BIN)/python -m tests.docs.notebook
	$(BIN)/python -m tests.docs.pictures

bench: $(DEV)  ## reports/benchmarks of this machine: the engine and all around it, then whole searches; minutes
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.throughput --trials 16 --documented 4 --optuna 4 --rounds 1 --output reports/benchmarks/quick

evidence: $(DEV)  ## remakes reports/evidence; hours
	for script in tests/evidence/run_*.py; do $(BIN)/python -m "tests.evidence.$$(basename $$script .py)" || exit 1; done

install: $(DEV)

$(RUN): pyproject.toml requirements/run.txt requirements/torch.txt requirements/install.sh
	@sh requirements/install.sh $(VENV) run
	@touch $@

$(DEV): pyproject.toml requirements/dev.txt requirements/torch.txt requirements/install.sh
	@sh requirements/install.sh $(VENV) dev
	@touch $(RUN) $@  # dev has all of run

$(TOOLS)/.installed: requirements/tools.txt
	@test -x $(TOOLS)/bin/python || $(BIN)/python -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/tools.txt
	@touch $@

lock: $(RUN) $(TOOLS)/.installed  ## remakes requirements/*.txt, within the bounds of pyproject.toml; UPGRADE=--upgrade takes the newest
	sh requirements/lock.sh $(TOOLS)/bin/uv

pythons: $(DEV)  ## tries every other Python that is supported and found
	sh requirements/pythons.sh $(VENV)

lowest newest: $(RUN) $(TOOLS)/.installed  ## tries the lowest, or the newest, versions that pyproject.toml allows
	sh requirements/bounds.sh $@ $(TOOLS)/bin/uv $(abspath $(BIN))/python

audit: $(DEV) $(TOOLS)/.installed  ## known vulnerabilities of what the locks name; build/sbom.json lists what is installed (CycloneDX)
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-file build/sbom.json $(BIN)/python
	$(BIN)/python requirements/audit.py $(TOOLS)/bin/pip-audit $(AUDIT)

clean:  ## the environment and what tools cached; never a workspace
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
