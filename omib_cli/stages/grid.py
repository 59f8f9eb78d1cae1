"""A grid of runs: recipes, variants, and seeds or folds; each cell is ``omib run`` in a folder of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from omib_cli.artifacts.record import RunRecord
from omib_cli.errors import Interrupted, UsageError
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.sources.common import FoldOptions, InnerFoldOptions
from omib_cli.runtime.job import Job
from omib_cli.stages.cells import Cell, Launch, Watch
from omib_cli.stages.folding import Folds, override_of
from omib_cli.stages.variants import Variant
from omib_cli.stages.workers import LOG, Work, Workers, here, in_a_process

POLL_SECONDS = 0.2


def cells_of(
    reference: str,
    variants: Iterable[Variant],
    seeds: Iterable[int],
    out: Path,
    overrides: Sequence[str] = (),
    folds: Folds | None = None,
) -> list[Cell]:
    """Every cell of a recipe, checked before the first one runs; seeds outermost, so that all variants come early.

    Parameters
    ----------
    folds
        Of a cross-validation: each seed is then one of its repeats.

    Raises
    ------
    RecipeError
        A variant that is no valid recipe.
    """
    variants = list(variants)
    runs = [(seed, None) for seed in seeds] if folds is None else folds.runs(seeds)
    return [cell_of(reference, variant, seed, out, overrides, fold=fold) for seed, fold in runs for variant in variants]


def cell_of(
    reference: str,
    variant: Variant,
    seed: int,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    fold: FoldOptions | None = None,
    inner: InnerFoldOptions | None = None,
    watch: Watch | None = None,
) -> Cell:
    """One cell, checked, with a folder below ``out`` that is named after recipe, variant, seed and folds.

    Parameters
    ----------
    inner
        The fold that validates, of a trial.

    Raises
    ------
    RecipeError
        It is no valid recipe.
    """
    own = (*overrides, *(f"{key}={json.dumps(value)}" for key, value in variant.overrides.items()))
    own += tuple(override_of(each) for each in (fold, inner) if each is not None)
    recipe = load_recipe(reference, own, seed)
    folder = out / recipe.name / variant.name / run_name(seed, fold, inner)
    return Cell(reference, variant, seed, recipe, own, folder, fold, watch)


def run_name(seed: int, fold: FoldOptions | None = None, inner: InnerFoldOptions | None = None) -> str:
    """The name of a run's folder, within its variant's."""
    parts = [f"{kind}-{one.number}-of-{one.folds}" for kind, one in (("fold", fold), ("inner", inner)) if one]
    return "-".join([f"seed-{seed}", *parts])


def must_be_apart(cells: Sequence[Cell]) -> None:
    """Refuse two cells in one folder: each would replace what the other has made.

    Raises
    ------
    UsageError
        Two recipes of the same name, or one that is given twice.
    """
    first: dict[Path, Cell] = {}
    for cell in cells:
        if (other := first.get(cell.folder)) is not None:
            raise UsageError(
                "two runs of the grid would share a folder",
                where=cell.folder,
                got=f"recipe {cell.recipe.name}, {cell.variant.name}, of {other.reference} and of {cell.reference}",
                do="give each recipe once, and each recipe file a `name` of its own",
            )
        first[cell.folder] = cell


class Supply(Protocol):
    """Where the next run comes from; what it is may depend on how others ended."""

    total: int
    """How many runs there are to be at most."""
    done: int
    """How many of them were done before."""

    def take(self) -> Cell | None:
        """The next cell to run; None where there is none, or none before another has ended."""

    def ended(self, cell: Cell) -> None:
        """Hear that a cell has ended; its record says how. Not of one that was stopped."""


class Listed:
    """The cells of a list, in its order, that are not done."""

    def __init__(self, cells: Sequence[Cell], launch: Launch) -> None:
        self._waiting = [cell for cell in cells if not launch.is_done(cell)]
        self.total, self.done = len(cells), len(cells) - len(self._waiting)

    def take(self) -> Cell | None:
        """The next one."""
        return self._waiting.pop(0) if self._waiting else None

    def ended(self, cell: Cell) -> None:
        """Nothing follows from it."""


def run_cells(cells: Sequence[Cell], launch: Launch, jobs: int, job: Job) -> None:
    """Run the cells that are not done, ``jobs`` at a time; one that fails leaves the others alone.

    Raises
    ------
    RecipeError, DataError
        A cell was done before, and whether on this input cannot be said, as the input cannot be read.
    Interrupted
        A stop was asked for; the cells at work have saved their state.
    """
    run_supply(Listed(cells, launch), launch, jobs, job)


def run_supply(supply: Supply, launch: Launch, jobs: int, job: Job) -> None:
    """Run what is supplied until there is no more, ``jobs`` at a time; as :func:`run_cells`."""
    job.progress.begin("grid", supply.total, "runs", done=supply.done)
    working: list[tuple[Cell, Work]] = []
    asked, workers = False, Workers(launch)
    try:
        while True:
            while len(working) < jobs and job.stop.reason is None and (cell := supply.take()) is not None:
                _begin(cell)
                working.append((cell, _start(cell, launch, jobs, workers, job)))
            if not working:
                break
            if job.stop.reason is not None and not asked:  # once: a second signal may find no handler any more
                asked = True
                _stop(working)
            for cell, process in [each for each in working if each[1].poll() is not None]:
                working.remove((cell, process))
                _finish(cell, process.wait(), job)
                if cell.record.state != "stopped":
                    supply.ended(cell)
            if working:
                time.sleep(POLL_SECONDS)
    finally:
        _stop(working)
        for _, process in working:
            process.wait()
        workers.dismiss()
    if job.stop.reason is not None:
        raise Interrupted(
            f"stopped ({job.stop.reason}); finished runs are kept, the others continue where they were",
            where=launch.out,
            do="run the same command again",
        )
    job.progress.end()


def _begin(cell: Cell) -> None:
    """Note that a cell is at work, so that one which is killed is told from one that was not begun."""
    before = cell.record
    record = RunRecord(before.recipe_hash) if before.state == "done" else before  # done with another input
    record.add("new", 0.0, 0.0).write(cell.folder)


def _start(cell: Cell, launch: Launch, jobs: int, workers: Workers, job: Job) -> Work:
    if launch.apart:
        return in_a_process(cell, launch)
    return here(cell, launch, job) if jobs == 1 else workers.start(cell)


def _finish(cell: Cell, code: int, job: Job) -> None:
    """Note how a run ended; one that was killed could not say so itself."""
    record = cell.record
    if code and record.state == "new" and job.stop.reason is not None:
        record.add("stopped", 0.0, 0.0, job.stop.reason).write(cell.folder)
    elif code < 0 or (code and record.state == "new"):
        reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}, see {LOG}"
        record.add("failed", 0.0, 0.0, reason).write(cell.folder)
    if record.state == "done":
        job.progress.note(f"{cell.name}: {record.seconds:.0f} s, {record.peak_mib:,.0f} MiB")
    elif record.state == "failed":
        job.progress.warn(f"{cell.name} failed: {record.reason}")
    job.progress.advance(1)


def _stop(working: Sequence[tuple[Cell, Work]]) -> None:
    for _, process in working:
        if process.poll() is None:
            process.terminate()
