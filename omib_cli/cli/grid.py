"""What ``omib compare``, ``sweep`` and ``cross-validate`` have in common: which recipes, and running the cells."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.cli.console import say, show_grid
from omib_cli.cli.options import names
from omib_cli.errors import UsageError

if TYPE_CHECKING:
    from omib_cli.cli.grid_options import Grid
    from omib_cli.recipe.study import Study
    from omib_cli.runtime.job import Job
    from omib_cli.stages.cells import Cell, Launch
    from omib_cli.stages.folding import Folds
    from omib_cli.stages.run import Until


def study_and_recipes(names: Sequence[str], command: str) -> tuple[Study | None, list[str]]:
    """A study if the first name is one, with its recipes or those named after it; else the recipes.

    Raises
    ------
    UsageError
        A study that the other command runs.
    """
    from omib_cli.recipe.load import load_study

    study = load_study(names[0])
    if study is None:
        return None, list(names)
    if study.command != command:
        raise UsageError(f"{study.study} is not for omib {command}", do=f"omib {study.command} {study.study}")
    return study, list(names[1:]) or study.recipes


def reference_names(text: str) -> list[str]:
    """The simple models that ``--references`` names; none of ``none``.

    Raises
    ------
    UsageError
        A name that is none of theirs.
    """
    from omib_cli.recipe.evaluation import REFERENCES

    if text == "none":
        return []
    found = names(text)
    if unknown := [name for name in found if name not in REFERENCES]:
        raise UsageError("no such reference", got=", ".join(unknown), expected=f"{', '.join(REFERENCES)}, or none")
    return found


def until_of(folds: Folds | None) -> Until:
    """With what the runs of a grid end: each with a report, those of folds with the embedding."""
    return "report" if folds is None else "embedding"


def work(
    cells: Sequence[Cell],
    launch: Launch,
    job: Job,
    grid: Grid,
    reference: str,
    study: Study | None = None,
    folds: Folds | None = None,
    references: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """List the cells, or run them and show the tables."""
    from omib_cli.stages.grid import must_be_apart

    must_be_apart(cells)
    if grid.as_list:
        for cell in cells:
            say(shlex.join(["omib", *launch.words(cell)]))
        return
    from omib_cli.stages import compare as stage

    result = stage.run(
        cells,
        launch,
        job,
        reference=reference,
        study=study,
        folds=folds,
        jobs=grid.jobs,
        collect_only=grid.collect,
        references=references,
        notes=notes,
    )
    show_grid(result, as_json=grid.as_json)
