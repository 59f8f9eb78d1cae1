"""A grid of runs: recipes, variants, and seeds or folds; each cell is ``omib run`` in a folder of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from omib_cli.artifacts.record import RunRecord
from omib_cli.errors import Interrupted, UsageError
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.sources.common import FoldOptions
from omib_cli.runtime.job import Job
from omib_cli.stages.cells import Cell, Launch
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
    found = []
    runs = [(seed, None) for seed in seeds] if folds is None else folds.runs(seeds)
    for seed, fold in runs:
        for variant in variants:
            own = (*overrides, *(f"{key}={json.dumps(value)}" for key, value in variant.overrides.items()))
            own += (override_of(fold),) if fold is not None else ()
            recipe = load_recipe(reference, own, seed)
            folder = out / recipe.name / variant.name / _folder_name(seed, fold)
            found.append(Cell(reference, variant, seed, recipe, own, folder, fold))
    return found


def _folder_name(seed: int, fold: FoldOptions | None) -> str:
    name = f"seed-{seed}"
    return name if fold is None else f"{name}-fold-{fold.number}-of-{fold.folds}"


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


def run_cells(cells: Sequence[Cell], launch: Launch, jobs: int, job: Job) -> None:
    """Run the cells that are not done, ``jobs`` at a time; one that fails leaves the others alone.

    Raises
    ------
    RecipeError, DataError
        A cell was done before, and whether on this input cannot be said, as the input cannot be read.
    Interrupted
        A stop was asked for; the cells at work have saved their state.
    """
    waiting = [cell for cell in cells if not launch.is_done(cell)]
    job.progress.begin("grid", len(cells), "runs", done=len(cells) - len(waiting))
    working: list[tuple[Cell, Work]] = []
    asked, workers = False, Workers(launch)
    try:
        while working or (waiting and job.stop.reason is None):
            while waiting and len(working) < jobs and job.stop.reason is None:
                cell = waiting.pop(0)
                _begin(cell)
                working.append((cell, _start(cell, launch, jobs, workers, job)))
            if job.stop.reason is not None and not asked:  # once: a second signal may find no handler any more
                asked = True
                _stop(working)
            for cell, process in [each for each in working if each[1].poll() is not None]:
                working.remove((cell, process))
                _finish(cell, process.wait(), job)
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
