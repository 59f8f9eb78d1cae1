"""``omib evaluate``: metrics with intervals, figures and a report. embedding.h5ad, one or more -> report/."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import REPORT_FILE, already_done
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.artifacts.files import explained, sweep, sync, temporary_beside
from omib_cli.artifacts.hdf5 import open_hdf5, read_provenance
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError, MismatchError, UsageError
from omib_cli.evaluation.metrics import score_run
from omib_cli.evaluation.probes import recover
from omib_cli.evaluation.references import with_references
from omib_cli.evaluation.rows import Key, key_of
from omib_cli.evaluation.runs import Run, read_run
from omib_cli.evaluation.shares import coverage, recall_by_class
from omib_cli.evaluation.sufficiency import information_plane
from omib_cli.recipe.schema import Recipe
from omib_cli.report.figures import draw_run, headline_metrics
from omib_cli.report.page import Chapter, facts, write_report
from omib_cli.runtime.job import Job
from omib_cli.stages.result import StageResult
from omib_cli.stages.truth import truth_of


def run(
    embeddings: list[Path],
    out: Path,
    job: Job,
    bootstrap: int | None = None,
    datasets: Sequence[Path] = (),
    kept: Path | None = None,
) -> StageResult:
    """Evaluate one embedding, or several runs of the same task together; those of a recipe, method and data in a row.

    Parameters
    ----------
    embeddings
        Files of ``omib embed``.
    out
        The folder of the report; an older report there is replaced as a whole.
    bootstrap
        Resamples behind each interval; None takes the recipe's.
    datasets
        What was embedded, to fit references to; of an embedding whose dataset is none of these, ``dataset.h5`` beside
        it if it is the one.
    kept
        A folder in which references are kept for other runs of the same dataset.

    Raises
    ------
    UsageError
        No embedding, the same run twice, or an output folder that holds something else.
    MismatchError
        The embeddings are of different tasks or classes, a dataset is that of none, or ``out`` was made otherwise.
    DataError
        An embedding is missing or damaged.
    """
    started = time.monotonic()
    runs = [read_run(path) for path in embeddings]
    _must_fit(runs)
    recipe = _recipe(runs, bootstrap)
    found_datasets = _datasets(runs, datasets, job)
    parents = _parents(runs, found_datasets)
    _must_be_free(out)
    if (found := already_done(out, fmt.REPORT, recipe, parents, job)) is not None:
        return _result(out, found, already_there=True)
    chapters = [
        _chapter(each, path, recipe.evaluate.bootstrap, job, kept)
        for each, path in zip(runs, found_datasets, strict=True)
    ]
    provenance = Provenance(
        kind=fmt.REPORT,
        recipe=recipe.resolved(),
        recipe_hash=recipe.hash(fmt.REPORT),
        parents=parents,
        facts=facts(chapters),
        notes={"seconds": round(time.monotonic() - started, 3), "figures": _figures(chapters)},
        threads=job.threads,
        command=job.command,
    ).seal({})
    with _replacing_folder(out) as folder:
        write_report(folder, chapters, provenance)
    return _result(out, provenance)


def _must_fit(runs: Sequence[Run]) -> None:
    if not runs:
        raise UsageError("no embedding to evaluate", do="omib evaluate EMBEDDING [EMBEDDING ...] -o FOLDER")
    seen: dict[str, Path] = {}
    seeds: dict[tuple[Key, int], Path] = {}
    for each in runs:
        if (twin := seen.get(each.provenance.hash)) is not None:
            raise UsageError(
                "the same embedding is given twice, and would count twice", where=f"{twin} and {each.path}"
            )
        _must_agree(runs[0], each)
        if (twin := seeds.get(seed := (key_of(each), each.recipe.seed))) is not None:
            raise UsageError(
                "two runs of the same recipe, data and seed: their spread would not be one over seeds",
                where=f"{twin} and {each.path}",
                got=f"seed {each.recipe.seed} twice",
                do="omib run --seed N gives each run its own; or evaluate the two one by one",
            )
        seen[each.provenance.hash] = seeds[seed] = each.path


def _must_agree(first: Run, other: Run) -> None:
    for what, wanted, got in (
        ("tasks", first.recipe.task.kind, other.recipe.task.kind),
        ("classes", first.classes, other.classes),
    ):
        if wanted != got:
            raise MismatchError(
                f"the embeddings are of different {what} and have no metrics in common",
                where=f"{first.path} and {other.path}",
                got=got,
                expected=f"{wanted}, as in {first.path.name}",
                do="evaluate them one by one",
            )


def _recipe(runs: Sequence[Run], bootstrap: int | None) -> Recipe:
    recipe = runs[0].recipe
    if bootstrap is None:
        return recipe
    if bootstrap < 0:
        raise UsageError("--bootstrap is a number of resamples", got=bootstrap, expected="0 (no intervals) or more")
    return recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"bootstrap": bootstrap})})


def _parents(runs: Sequence[Run], datasets: Sequence[Path | None]) -> dict[str, str]:
    """Hashes of the embeddings, and of the datasets that references are fitted to."""
    found = {}
    for number, (each, path) in enumerate(zip(runs, datasets, strict=True), start=1):
        place = "" if len(runs) == 1 else f"-{number}"
        found[f"{fmt.EMBEDDING}{place}"] = each.provenance.hash
        if path is not None:
            found[f"{fmt.DATASET}{place}"] = each.provenance.parents[fmt.DATASET]
    return found


def _datasets(runs: Sequence[Run], given: Sequence[Path], job: Job) -> list[Path | None]:
    """The dataset of each run, among those given or beside its embedding; None where it is not, or not wanted."""
    hashes = {_hash_of(path): path for path in given}
    wanted = {each.provenance.parents.get(fmt.DATASET, "") for each in runs}
    for found, path in hashes.items():
        if found not in wanted:
            raise MismatchError(
                "no embedding was made from this dataset",
                where=path,
                got=f"a dataset of hash {found[:12]}",
                expected=" or ".join(sorted(one[:12] for one in wanted)),
                do="name the dataset that omib embed was given",
            )
    return [_dataset_of(each, hashes, job) if each.recipe.evaluate.references else None for each in runs]


def _dataset_of(run: Run, given: Mapping[str, Path], job: Job) -> Path | None:
    wanted, beside = run.provenance.parents.get(fmt.DATASET, ""), run.path.with_name("dataset.h5")
    if wanted in given or not beside.exists():
        return given.get(wanted)
    try:
        return beside if _hash_of(beside) == wanted else None
    except DataError as error:
        job.progress.warn(f"{beside} cannot be read, so that there are no references: {error.what}")
        return None


def _hash_of(path: Path) -> str:
    with open_hdf5(path, fmt.DATASET) as file:
        return read_provenance(file, path).hash


def _must_be_free(out: Path) -> None:
    """Refuse to put a report where something else lies: replacing the folder would delete it."""
    if not out.exists() or (out / REPORT_FILE).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise UsageError(
            "this is not a report, and a report would replace it",
            where=out,
            do="move it away, or name with -o a folder that does not exist yet",
        )
    out.rmdir()


def _chapter(run: Run, dataset: Path | None, bootstrap: int, job: Job, kept: Path | None) -> Chapter:
    if not run.is_held_out:
        job.progress.warn(f"{run.path.name} has no test split: the report is about its {run.headline} split")
    with ExitStack() as stack:
        data = None if dataset is None else stack.enter_context(Dataset(dataset, EVERYTHING))
        scores = with_references(score_run(run, bootstrap, job.progress), run, data, kept)
    rows = run.split == run.headline
    truth = truth_of(run, bootstrap)
    recovery = recover(run.values[rows], truth.targets, run.recipe.seed)
    pictures, plane = draw_run(run, scores), information_plane(run, bootstrap)
    return Chapter(
        run,
        scores,
        pictures,
        plane,
        recovery,
        truth.subvectors,
        recalls=recall_by_class(run, bootstrap),
        coverage=coverage(run, bootstrap),
    )


def _figures(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Mean and deviation of the fused prediction's metrics, main ones first; of several rows each under its name."""
    rows: list[dict[str, Any]] = facts(chapters)["across"]
    first = headline_metrics(chapters[0].run, chapters[0].scores)
    found: dict[str, Any] = {"runs": len(chapters)}
    for row in rows:
        place = f"{row['split']}/" if len(rows) == 1 else f"{row['name']}: {row['split']}/"
        for name in dict.fromkeys([*first, *row["metrics"]]):
            value = row["metrics"].get(name, {})
            found |= {f"{place}{name}": value.get("mean"), f"{place}{name}_sd": value.get("sd")}
    return found


def _result(out: Path, provenance: Provenance, *, already_there: bool = False) -> StageResult:
    shown = {**provenance.notes.get("figures", {}), "report": str(out / "report.html")}
    return StageResult.of(out, provenance, already_there=already_there, **shown)


@contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; on success it takes the place of ``target``, on failure it goes."""
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = temporary_beside(target), temporary_beside(target, "old")
    try:
        with explained(target):
            fresh.mkdir()
            yield fresh
            for file in fresh.rglob("*"):
                sync(file)
            if target.exists():
                target.rename(old)
            fresh.rename(target)
            sync(target.parent)
        sweep(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not target.exists():  # the second rename failed
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
