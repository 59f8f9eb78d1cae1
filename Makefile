# make demo    install into .venv, run a recipe from data to report, say where the report is
# make test    install, run the tests        make lint    ruff        make types    mypy
# make test-lowest, make test-newest    a choice of the tests with the lowest versions that pyproject.toml claims, and
#              with the newest that fit together, each in a virtual environment of its own
# make mutants change one thing at a time in the code and see whether a test notices (hours); MUTANTS narrows it:
#              make mutants MUTANTS='omib_cli.information.bounds*'
# make clean   remove the virtual environments, the mutants and the demo
#
# PYTHON=python3.12 make test    another Python (3.11 or newer)

PYTHON ?= python3
MUTANTS ?=
RECIPE ?= sim-i-best
DEMO ?= demo
VENV ?= .venv

bin := $(VENV)/bin
installed := $(VENV)/.installed

# What depends on the versions of others: imports, encoders, files read and written, training, figures.
smoke := tests/test_imports.py tests/encoders tests/sources/test_tables.py tests/sources/test_spatial.py \
	tests/stages/test_chain.py tests/report

# Constraints beside torch's, whose other builds are gigabytes.
lowest = sed -nE 's/^    "([A-Za-z0-9_-]+)>=([0-9.]+)",$$/\1==\2/p' pyproject.toml
newest = true

.PHONY: demo test test-lowest test-newest lint types mutants clean

demo: $(installed)
	$(bin)/omib run $(RECIPE) --out $(DEMO)
	@echo
	@echo "The report: $(DEMO)/report/report.html"

test: $(installed)
	$(bin)/python -m pytest -n 2

test-lowest test-newest: test-%: $(VENV)-%/.installed
	$(VENV)-$*/bin/python -m pytest -n 2 $(smoke)

lint: $(installed)
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(installed)
	$(bin)/mypy

mutants: $(installed)
	$(bin)/python -m pip install --quiet -e '.[mutants]' -c constraints.txt
	$(bin)/mutmut run $(if $(MUTANTS),'$(MUTANTS)')
	$(bin)/mutmut results

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest mutants $(DEMO)

$(VENV)-%/.installed: pyproject.toml setup.py constraints.txt
	rm -rf $(VENV)-$*
	$(PYTHON) -m venv $(VENV)-$*
	{ grep '^torch==' constraints.txt; $($*); } >$(VENV)-$*/constraints.txt
	$(VENV)-$*/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-$*/bin/python -m pip install --quiet --no-compile "$$(grep '^torch==' constraints.txt)"
	$(VENV)-$*/bin/python -m pip install --quiet --no-compile -e '.[test]' -c $(VENV)-$*/constraints.txt
	touch $@

$(installed): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "omib needs Python 3.11 or newer, $(PYTHON) is older; try PYTHON=python3.11 make ..." >&2; exit 1; }
	test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install --quiet --upgrade pip
	$(bin)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(bin)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@
