"""Help is instant, complete and the same for every command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from omib_cli.cli.app import main

STAGES = ["simulate", "prepare", "estimate-mi", "warmup", "train", "embed", "evaluate", "run"]
COMMANDS = [
    [],
    *([name] for name in [*STAGES, "compare", "cross-validate", "sweep", "tune", "inspect", "recipe"]),
    *(["recipe", name] for name in ["new", "list", "show", "explain", "copy", "check", "schema"]),
]
HEAVY = {"torch", "optuna", "numpy", "h5py", "pandas", "scipy", "sklearn", "anndata", "matplotlib", "rich", "pydantic"}
OWN_HEAVY = {"omib_cli.recipe.schema", "omib_cli.artifacts.catalogue", "omib_cli.stages"}


def omib(*arguments, **options):
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "omib_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\nfrom omib_cli.cli.app import main\n"
        f"try:\n    main({[*command, '--help']!r})\nexcept SystemExit as end:\n    code = end.code\n"
        "print('MODULES', *sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("MODULES")[-1].split())
    assert "omib_cli.cli.app" in loaded
    assert not (HEAVY | OWN_HEAVY) & loaded


@pytest.fixture
def shown_help(monkeypatch, capsys):
    """The help of a command, asked for in this process."""
    monkeypatch.setenv("COLUMNS", "100")

    def ask(*command):
        with pytest.raises(SystemExit) as end:
            main([*command, "-h"])
        assert end.value.code == 0
        return capsys.readouterr().out

    return ask


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_two_worked_examples_that_name_the_command(shown_help, command):
    shown = shown_help(*command)
    lines = shown.split("Examples:\n")[1].strip().splitlines()
    assert len(lines) == 2
    assert all(line.strip().startswith(" ".join(["omib", *command])) for line in lines)
    assert "[bold]" not in shown
    assert "\b" not in shown


@pytest.mark.parametrize("command", STAGES)
def test_help_of_a_stage_says_what_it_writes_and_has_the_common_options(shown_help, command):
    shown = shown_help(command)
    assert "Writes " in shown
    for option in ("--out", "--fresh", "--max-minutes", "--json", "--quiet", "--verbose"):
        assert option in shown


def test_estimation_points_to_the_page_that_says_what_the_quantities_are(shown_help):
    assert "docs/information.md" in shown_help("estimate-mi")


def test_version_is_one_line_on_stdout():
    done = omib("--version")
    assert done.stdout.startswith("omib ")
    assert done.stdout.count("\n") == 1


def test_completion_knows_the_commands():
    environment = {**os.environ, "_OMIB_COMPLETE": "complete_bash", "COMP_WORDS": "omib tr", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "omib_cli"], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["train"]
