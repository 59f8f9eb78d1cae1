# make demo    install into .venv, run a recipe from data to report, say where the report is
# make test    install, run the tests        make lint    ruff        make types    mypy
# make clean   remove the virtual environment and the demo
#
# PYTHON=python3.12 make test    another Python (3.11 or newer)

PYTHON ?= python3
RECIPE ?= sim-i-best
DEMO ?= demo
VENV ?= .venv

bin := $(VENV)/bin
installed := $(VENV)/.installed

.PHONY: demo test lint types clean

demo: $(installed)
	$(bin)/omib run $(RECIPE) --out $(DEMO)
	@echo
	@echo "The report: $(DEMO)/report/report.html"

test: $(installed)
	$(bin)/python -m pytest -n 2

lint: $(installed)
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(installed)
	$(bin)/mypy

clean:
	rm -rf $(VENV) $(DEMO)

$(installed): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "omib needs Python 3.11 or newer, $(PYTHON) is older; try PYTHON=python3.11 make ..." >&2; exit 1; }
	test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install --quiet --upgrade pip
	$(bin)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(bin)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@
