"""Simple models in the tables of a cross-validation: fitted in each fold, once for all methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.evaluation.comparison import Outcome
from omib_cli.evaluation.metrics import measured
from omib_cli.evaluation.pairing import Evidence
from omib_cli.evaluation.references import kept_predictors, label_of, obstacle, predictors
from omib_cli.evaluation.runs import Predictor, Run, read_run
from omib_cli.runtime.job import Job
from omib_cli.stages.cells import Cell, Launch
from omib_cli.stages.run import dataset_path


def reference_outcomes(
    outcomes: Mapping[Cell, Outcome], launch: Launch, job: Job, wanted: Sequence[str] | None
) -> list[Outcome]:
    """What the references reach on each fold that some method was tested on, as if each were a method.

    Parameters
    ----------
    wanted
        Their names, as `evaluate.references` has them; None for those of the recipe.
    """
    first: dict[tuple[int, int | None], Cell] = {}
    for cell, found in outcomes.items():
        if found.evidence is not None:
            first.setdefault((found.seed, found.fold), cell)
    job.progress.begin("references", len(first), "folds")
    rows: list[Outcome] = []
    said = ""
    for cell in first.values():
        run = read_run(cell.embedding)
        kinds = run.recipe.evaluate.references if wanted is None else wanted
        predictors, why = _predictors_of(run, cell, kinds, launch)
        if why and why != said:
            job.progress.warn(f"no simple models beside the methods: {why}")
            said = why
        rows += [_outcome(run, each, outcomes[cell]) for each in predictors]
        job.progress.advance(1)
    job.progress.end()
    return sorted(rows, key=lambda row: list(dict.fromkeys(each.variant for each in rows)).index(row.variant))


def _predictors_of(run: Run, cell: Cell, kinds: Sequence[str], launch: Launch) -> tuple[list[Predictor], str]:
    """Those of one fold, and why there are none."""
    if not kinds:
        return [], ""
    if (found := kept_predictors(run, kinds, launch.shared)) is not None:
        return found, ""
    dataset = dataset_path(cell.recipe, launch.input_path, cell.folder, launch.shared)
    if not dataset.exists():
        return [], f"{dataset.name} is not there to fit them to; the command without --collect, with --input, makes it"
    with Dataset(dataset, EVERYTHING) as data:
        if why := obstacle(run, data):
            return [], why
        return predictors(run, data, kinds, launch.shared), ""


def _outcome(run: Run, reference: Predictor, beside: Outcome) -> Outcome:
    """A reference as an outcome of the same samples as a method's."""
    rows = reference.present
    groups = None if run.groups is None else run.groups[rows]
    task = run.task.of_branch()
    own = Evidence(task, run.headline, reference.scores[rows], run.labels[rows], run.ids[rows], groups)
    return Outcome(
        label_of(reference.name, run),
        beside.seed,
        "done",
        seconds=math.nan,
        values=measured(task, own.scores, own.labels, groups),
        evidence=own,
        dataset=beside.dataset,
        origin=beside.origin,
        main_metric=beside.main_metric,
        shared_seconds=0.0,
        fold=beside.fold,
        sizes=beside.sizes,
    )
