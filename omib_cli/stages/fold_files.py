"""What a cross-validation writes beside the tables of any grid: its page, all predictions, and the folds themselves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.embedding import probability_columns
from omib_cli.artifacts.files import replacing
from omib_cli.evaluation.comparison import Outcome
from omib_cli.evaluation.cross_validation import CrossValidation
from omib_cli.evaluation.pairing import Evidence
from omib_cli.report.cross_validation import cross_validation_page
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import run, train
from omib_cli.stages.cells import Cell, Launch

PREDICTIONS, FOLDS = "predictions.csv", "folds.csv"


def must_be_ready(cells: Sequence[Cell], launch: Launch, job: Job) -> None:
    """Make the first dataset of each recipe and repeat, so that what cannot be divided is refused before anything runs.

    Raises
    ------
    UsageError
        No input, a setting that does not fit the data.
    DataError
        More folds than classes or groups allow, or anything else that preparing refuses.
    """
    said: set[str] = set()
    waiting = [cell for cell in cells if not launch.is_done(cell)]
    for cell in {(cell.recipe.name, cell.seed): cell for cell in reversed(waiting)}.values():
        heard = job.progress if cell.recipe.name not in said else Progress()  # of other repeats it would be said again
        said.add(cell.recipe.name)
        own = replace(job, threads=launch.threads, memory=launch.memory, progress=heard)
        made = run.make_dataset(cell.recipe, launch.input_path, cell.folder, own, launch.shared)
        with Dataset(made.out) as data:
            train.must_start(cell.recipe, data)


def write_folds(
    stem: Path, found: CrossValidation, outcomes: Sequence[Outcome], repeats: Mapping[int, int], picture: str
) -> None:
    """Write ``RECIPE.html``, and ``predictions.csv`` and ``folds.csv`` into the recipe's folder.

    Parameters
    ----------
    stem
        ``OUT/RECIPE``.
    repeats
        Number of the repeat, by its seed.
    picture
        SVG for the page; may be empty.
    """
    places = [_place(own, repeats) for own in outcomes]
    done = [(own, place) for own, place in zip(outcomes, places, strict=True) if own.evidence is not None]
    stem.mkdir(parents=True, exist_ok=True)
    _replace(stem.with_name(stem.name + ".html"), cross_validation_page(found, picture))
    _replace(stem / PREDICTIONS, _table(_prediction_rows(done)))
    first = {(own.seed, own.fold): own for own, _ in reversed(done)}  # all variants have the same folds
    parts = [(own, place) for own, place in done if first[own.seed, own.fold] is own]
    _replace(stem / FOLDS, _table(_fold_rows(parts)))


Place = dict[str, Any]
"""Repeat, fold and seed of a line."""


def _place(own: Outcome, repeats: Mapping[int, int]) -> Place:
    return {"repeat": repeats[own.seed], "fold": own.fold, "seed": own.seed}


def _fold_rows(parts: Iterable[tuple[Outcome, Place]]) -> Iterable[dict[str, Any]]:
    for outcome, place in parts:
        own = _evidence(outcome)
        for row, name in enumerate(own.ids.tolist()):
            yield {**place, "id": name, **_known(own, row)}


def _prediction_rows(done: Iterable[tuple[Outcome, Place]]) -> Iterable[dict[str, Any]]:
    for outcome, place in done:
        own = _evidence(outcome)
        classes = own.task.classes
        columns = probability_columns(classes) if classes else []
        shares, guesses = own.task.readable(own.scores).tolist(), own.task.prediction(own.scores).tolist()
        for row, name in enumerate(own.ids.tolist()):
            guess = classes[int(guesses[row])] if classes else _number(guesses[row])
            chances = {column: _number(share) for column, share in zip(columns, shares[row], strict=False)}
            known = {"id": name, **_known(own, row), "prediction": guess}
            yield {"variant": outcome.variant, **place, **known, **chances}


def _evidence(outcome: Outcome) -> Evidence:
    assert outcome.evidence is not None, "only folds that were tested have lines"
    return outcome.evidence


def _known(own: Evidence, row: int) -> dict[str, Any]:
    """The sample's group, where there are groups, and its label: a class by name, or a value."""
    label = own.labels[row]
    group = {} if own.groups is None else {"group": str(own.groups[row])}
    return {**group, "label": own.task.classes[int(label)] if own.task.classes else _number(label)}


def _number(value: float) -> str:
    return f"{value:.9g}"


def _table(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as CSV, with all of the columns that any of them has."""
    every = list(rows)
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in every for name in row))
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(every)
    return buffer.getvalue()


def _replace(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
