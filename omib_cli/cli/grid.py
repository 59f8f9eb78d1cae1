"""What ``omib compare``, ``sweep`` and ``cross-validate`` have in common: which recipes, and running the cells."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.cli.console import say, show_grid
from omib_cli.errors import UsageError

if TYPE_CHECKING:
    from omib_cli.recipe.study import Study
    from omib_cli.runtime.job import Job
    from omib_cli.stages.cells import Cell, Launch
    from omib_cli.stages.folding import Folds
    from omib_cli.stages.run import Until

LEAST_MEMORY = 2**29
"""Bytes for samples that a run is given unasked, however little there is: reading from disk takes half of it."""


@dataclass(frozen=True)
class Asked:
    """What to do with the cells, as the options of both commands have it."""

    jobs: int
    as_list: bool
    collect: bool
    as_json: bool


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


def threads_of(threads: int | None, jobs: int) -> int:
    """The CPU threads of each run: those given, or its part of what is granted."""
    from omib_cli.runtime.machine import granted_threads

    return threads or max(1, granted_threads() // jobs)


def launch_of(
    job: Job,
    out: Path | None,
    name: str,
    input_path: Path | None,
    device: str,
    jobs: int,
    until: Until = "report",
) -> Launch:
    """How cells are started, and with what they end; what they may use is divided among those at work.

    Those without a report of their own, folds and trials, are many runs of the same data: they share processes.
    """
    from omib_cli.runtime.machine import memory_for_samples
    from omib_cli.stages.cells import Launch

    memory = None if job.memory is None else job.memory // jobs
    if memory is None and jobs > 1:  # each alone would take half of what there is
        memory = max(LEAST_MEMORY, memory_for_samples() // jobs)
    return Launch(
        out or Path(name),
        input_path,
        device,
        job.threads,
        memory,
        until=until,
        apart=until == "report",
    )


def until_of(folds: Folds | None) -> Until:
    """With what the runs of a grid end: each with a report, those of folds with the embedding."""
    return "report" if folds is None else "embedding"


def work(
    cells: Sequence[Cell],
    launch: Launch,
    job: Job,
    asked: Asked,
    reference: str,
    study: Study | None = None,
    folds: Folds | None = None,
) -> None:
    """List the cells, or run them and show the tables."""
    from omib_cli.stages.grid import must_be_apart

    must_be_apart(cells)
    if asked.as_list:
        for cell in cells:
            say(shlex.join(["omib", *launch.words(cell)]))
        return
    from omib_cli.stages import compare as stage

    result = stage.run(
        cells, launch, job, reference=reference, study=study, folds=folds, jobs=asked.jobs, collect_only=asked.collect
    )
    show_grid(result, as_json=asked.as_json)
