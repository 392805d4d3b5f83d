# Everything is set up in .venv on first use; the second time is quick.
#   PYTHON       interpreter that makes the environment (3.11)
#   TORCH_INDEX  package index for torch alone, where the usual one offers another build than wanted, e.g. CUDA on a
#                machine without a GPU: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3.11
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# pip says nothing while all is well, and everything when it is not
PIP_LOG := $(VENV)/install.log
pip_install = @$(BIN)/python -m pip install --disable-pip-version-check --no-input --constraint constraints.txt $(1) \
	>$(PIP_LOG) 2>&1 || { tail -n 20 $(PIP_LOG); echo "pip install $(strip $(1)) failed; all it said is in $(PIP_LOG)"; exit 1; }

.PHONY: demo test slow browser lint docs pictures bench evidence install clean
.DEFAULT_GOAL := demo

demo: install  ## the whole path on simulated data: rfe-workspace/demo
	$(BIN)/rfe demo

test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

slow: install
	$(BIN)/python -m pytest -m "slow and not gpu and not browser"

browser: install  ## needs chromium (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -m browser

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install  ## the documentation site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: install  ## remakes the example notebook and the README's pictures; minutes, needs chromium
	$(BIN)/python -m tests.docs.notebook
	$(BIN)/python -m tests.docs.pictures

bench: install  ## reports/benchmarks of this machine: the engine and all around it, then whole searches; minutes
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.throughput --trials 16 --documented 4 --optuna 4 --rounds 1 --output reports/benchmarks/quick

evidence: install  ## remakes reports/evidence; hours
	for script in tests/evidence/run_*.py; do $(BIN)/python -m "tests.evidence.$$(basename $$script .py)" || exit 1; done

install: $(STAMP)

# torch comes in a step of its own, because it alone may come from another index
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there; install Python 3.11 or say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call pip_install,$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0)
	$(call pip_install,--editable '.[dev]')
	@touch $@

clean:  ## the environment and what tools cached; never a workspace
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
