"""``omib compare``, ``sweep`` and ``cross-validate``: run a grid of cells, and bring what they found together."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import REPORT_FILE
from omib_cli.artifacts.files import replacing
from omib_cli.errors import OmibError
from omib_cli.evaluation.comparison import VALIDATION, Comparison, Outcome, compare
from omib_cli.evaluation.conventions import convention
from omib_cli.evaluation.cross_validation import INNER, OPTIMISM, cross_validation
from omib_cli.evaluation.metrics import measured
from omib_cli.evaluation.pairing import evidence_of
from omib_cli.evaluation.runs import Run, read_run
from omib_cli.evaluation.sufficiency import task_information
from omib_cli.recipe.study import Study
from omib_cli.report.drawing import styled
from omib_cli.report.variants import sweep_figure, variants_figure
from omib_cli.runtime.job import Job
from omib_cli.stages.cells import Cell, Launch
from omib_cli.stages.fold_files import must_be_ready, write_folds
from omib_cli.stages.fold_references import reference_outcomes
from omib_cli.stages.folding import Folds
from omib_cli.stages.grid import run_cells
from omib_cli.stages.run import REPORT


@dataclass(frozen=True)
class GridResult:
    """The tables of a grid, one for each recipe, and the folder of their files."""

    out: Path
    comparisons: list[Comparison]

    @property
    def missing(self) -> int:
        """Number of cells that the tables lack."""
        return sum(len(row.missing) for table in self.comparisons for row in table.rows)


def run(
    cells: Sequence[Cell],
    launch: Launch,
    job: Job,
    *,
    reference: str,
    study: Study | None = None,
    folds: Folds | None = None,
    jobs: int = 1,
    collect_only: bool = False,
    bootstrap: int = 1000,
    references: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> GridResult:
    """Run what is not done yet, then write the tables of what is there.

    Writes into ``launch.out``: for each recipe ``RECIPE.md``, ``RECIPE.json``, ``RECIPE.csv`` (a line a cell) and
    ``RECIPE.png``; of folds also ``RECIPE.html``, ``RECIPE/predictions.csv`` and ``RECIPE/folds.csv``.

    Parameters
    ----------
    reference
        The variant that the others are compared with.
    study
        Where the cells are from, if they are: its printed values and notes go into the tables.
    folds
        The cells are those of a cross-validation.
    collect_only
        Run nothing.
    bootstrap
        Resamples behind the interval of a difference.
    references
        Simple models that stand in the tables of folds; None for those of the recipe.
    notes
        What is to be said below every table.

    Raises
    ------
    Interrupted
        A stop was asked for.
    DataError
        The data cannot be divided into so many folds.
    """
    if not collect_only:
        if folds is not None:
            must_be_ready(cells, launch, job)
        run_cells(cells, launch, jobs, job)
    outcomes = {cell: outcome(cell, launch, job) for cell in cells}
    comparisons: list[Comparison] = []
    for name in dict.fromkeys(cell.recipe.name for cell in cells):
        own = {cell: found for cell, found in outcomes.items() if cell.recipe.name == name}
        if folds is not None:
            every = [*own.values(), *reference_outcomes(own, launch, job, references)]
            table = cross_validation(name, every, reference, folds.count, folds.repeats, bootstrap, notes)
            repeats = {cell.seed: cell.fold.repeat for cell in own if cell.fold is not None}
            write_folds(launch.out / name, table, every, repeats, _write(launch.out / name, table, every))
            comparisons.append(table)
            continue
        printed = study.printed.get(name) if study else None
        comparisons.append(
            compare(name, list(own.values()), reference, printed, [*(study.notes if study else ()), *notes], bootstrap)
        )
        _write(launch.out / name, comparisons[-1], list(own.values()))
    return GridResult(launch.out, comparisons)


def outcome(cell: Cell, launch: Launch, job: Job) -> Outcome:
    """What became of a cell; one whose files cannot be read counts as failed.

    Without an input to compare with (``--collect`` alone), a cell counts whatever its input was.
    """
    record = cell.record
    found = partial(
        Outcome,
        cell.variant.name,
        cell.seed,
        at=cell.variant.at,
        shared_seconds=record.shared_seconds,
        fold=None if cell.fold is None else cell.fold.number,
    )
    if record.state != "done":
        return found(record.state, record.reason)
    if launch.input_path is not None and not launch.is_done(cell):
        return found("new", "it was made from another --input, or from other files in it")
    try:
        run, reported = read_run(cell.embedding), _reported(cell)
        own, extra = evidence_of(run), _extra(run)
        values = measured(own.task, own.scores, own.labels, own.groups)
        return found(
            "done",
            seconds=record.seconds,
            peak_mib=record.peak_mib,
            values=values,
            evidence=own,
            sizes=(len(run.labels) - len(own.labels), len(own.labels)),
            dataset=run.provenance.parents.get(fmt.DATASET, ""),
            origin=str(run.provenance.facts.get("data", "")),
            main_metric=run.task.main_metric,
            extra={**extra, **_recovery(reported), **_optimism(cell, values, run.task.main_metric)},
            kl_unit=run.kl_unit if any(name.startswith("kl/") for name in extra) else "",
            subvectors=reported.get("subvectors", {}),
        )
    except OmibError as error:
        job.progress.warn(f"{cell.name}: {error.what}")
        return found("failed", error.what)


def _extra(run: Run) -> dict[str, float]:
    """Beta, the terms of the epoch that was kept, and what the prediction proves about I(ξ; y)."""
    kept: dict[str, Any] = next(
        (row for row in reversed(run.history) if row.get("kept") and row.get("phase") == "train"), {}
    )
    terms = {name: float(value) for name, value in kept.items() if name.startswith(("kl/", "r/", VALIDATION))}
    beta = run.beta or {}
    known = {name: beta[key] for name, key in (("beta", "value"), ("M_l", "lower"), ("M_u", "upper")) if beta.get(key)}
    return {**{name: float(value) for name, value in known.items()}, **terms, "I(xi;y)": task_information(run)}


def _optimism(cell: Cell, values: Mapping[str, float], metric: str) -> dict[str, float]:
    """Of settings that were chosen inside a fold: the score that chose them, and by how much it was too good."""
    if cell.inner_score is None or not math.isfinite(values.get(metric, math.nan)):
        return {}
    gap = cell.inner_score - values[metric]
    return {INNER: cell.inner_score, OPTIMISM: gap if convention(metric).higher_is_better else -gap}


def _reported(cell: Cell) -> dict[str, Any]:
    """The run as its report has it; nothing of a report that cannot be read."""
    try:
        report = json.loads((cell.folder / REPORT / REPORT_FILE).read_text(encoding="utf-8"))
        return dict(report["runs"][0])
    except (OSError, ValueError, LookupError):
        return {}


def _recovery(reported: dict[str, Any]) -> dict[str, float]:
    """R² with which each part of simulated data can be read from the embedding."""
    return {f"r2/{part}": float(found["r2"]) for part, found in reported.get("recovery", {}).items()}


def _write(stem: Path, table: Comparison, outcomes: Sequence[Outcome]) -> str:
    """The files of one recipe's table; the SVG of its figure, if there is one."""
    text: dict[str, Callable[[], str]] = {
        ".md": lambda: table.markdown() + "\n",
        ".json": lambda: json.dumps(table.plain(), indent=1, allow_nan=False) + "\n",
        ".csv": lambda: _csv(table.recipe, outcomes),
    }
    for suffix, make in text.items():
        with replacing(stem.with_name(stem.name + suffix)) as temporary:
            temporary.write_text(make(), encoding="utf-8")
    swept = any(row.at is not None for row in table.rows)
    drawn = styled(lambda: sweep_figure(table) if swept else variants_figure(table, outcomes))
    if drawn is not None:
        with replacing(stem.with_name(stem.name + ".png")) as temporary:
            temporary.write_bytes(drawn[1])
    return "" if drawn is None else drawn[0]


def _csv(recipe: str, outcomes: Sequence[Outcome]) -> str:
    """A line for each cell, whatever became of it."""
    metrics = list(dict.fromkeys(name for found in outcomes for name in (*found.values, *found.extra)))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    known = ["variant", "seed", "fold", "state", "reason", "seconds", "shared_seconds", "peak_mib", "kl_unit"]
    writer.writerow(["recipe", *known, *metrics])
    for found in outcomes:
        figures = {**found.values, **found.extra}
        facts = [recipe, *(getattr(found, name) for name in known)]
        writer.writerow([*facts, *(figures.get(name, "") for name in metrics)])
    return buffer.getvalue()
