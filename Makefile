# `make demo` and `make test` set up .venv by themselves; `make` alone lists what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
OLD    := .venv-minimum

# Waiting threads would spin, which slows the training many times on a machine with other work to do.
export GOMP_SPINCOUNT ?= 4000

.DEFAULT_GOAL := help
.PHONY: help demo test test-minimum audit bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/'

demo: $(VENV)/.demo  ## fit, sample and evaluate the bundled Adult table; writes demo/
	$(BIN)/synthgan demo --output demo

# Two workers of one thread each: the networks of the tests are too small for two threads.
test: $(VENV)/.test  ## format, lint, types, tests and doctests; cheap checks first
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile

# Old libraries warn of each other, so that only here warnings are no errors. What becomes of awkward tables is told
# for current versions: old ones have no types for some of them.
test-minimum: $(OLD)/.test  ## tests with the lowest version of each dependency, see tests/minimum.txt
	$(OLD)/bin/pytest -q -W default --ignore tests/test_awkward.py

TABLES ?= data

# What stands in benchmarks/results.csv already is not run again.
bench: $(VENV)/.test  ## our models and the peers on the tables in TABLES=folder; takes hours, see benchmarks/README.md
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.run $(TABLES) --models independent,bootstrap,tabular_gan,few_passes,few_passes_wgan,own_ctgan,tabular_diffusion,tabular_argn,arf,gaussian_copula,ctgan,tvae,smote --part fidelity --part utility

# Strict: a package that the database could not be asked about is a failure, too.
audit: $(VENV)/.demo  ## known security holes of what is installed; needs the network
	$(PIP) 'pip-audit>=2.7'
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > $(VENV)/audit.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r $(VENV)/audit.txt

clean:  ## remove the virtual environments, the demo's output and all caches
	rm -rf $(VENV) $(OLD) demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# A stamp is newer than what it was made from; the test set-up contains the demo's.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing synthgan into $(VENV) (a few minutes the first time) ..."
	$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing synthgan with its test tools into $(VENV) (a few minutes the first time) ..."
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.demo

$(OLD)/.test: pyproject.toml tests/minimum.txt
	@echo "Installing the lowest versions into $(OLD) (a few minutes) ..."
	$(PYTHON) -m venv --clear $(OLD)
	$(OLD)/bin/python -m pip --disable-pip-version-check install --quiet -c tests/minimum.txt -e . pytest hypothesis jsonschema
	@touch $@
