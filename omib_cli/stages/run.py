"""``omib run``: the whole chain in one folder; a stage whose artifact is whole and up to date is skipped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.record import RunRecord
from omib_cli.errors import Interrupted, OmibError, Pruned, StaleError, UsageError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import exclusive
from omib_cli.runtime.machine import peak_memory_mib
from omib_cli.stages import embed, estimate_mi, evaluate, prepare, rehearsal, simulate, train
from omib_cli.stages.plan import INFORMATION, PlannedStep, kinds_of
from omib_cli.stages.result import StageResult
from omib_cli.stages.source_files import input_key

DATASET, MODEL, EMBEDDING, REPORT = "dataset.h5", "model.safetensors", "embedding.h5ad", "report"
Until = Literal["model", "embedding", "report"]
"""With which artifact a run ends."""
ENDINGS = {Interrupted: "stopped", Pruned: "pruned"}
"""What is noted of a run that an error has ended, where that is no failure."""


@dataclass
class Clock:
    """Wall time of a run since this was made: its own, and what went into artifacts that other runs use too."""

    started: float = field(default_factory=time.monotonic)
    shared: float = 0.0

    @property
    def own(self) -> float:
        """Seconds that are the run's alone."""
        return time.monotonic() - self.started - self.shared

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Count what happens within as shared, also where it is interrupted."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.shared += time.monotonic() - began


def run(
    recipe: Recipe,
    input_path: Path | None,
    folder: Path,
    job: Job,
    shared: Path | None = None,
    *,
    until: Until = "report",
) -> StageResult:
    """Run every stage that is not up to date, up to one of the last; the result is that one's.

    How it went, and what it took, is noted in ``run.json``.

    Parameters
    ----------
    shared
        A folder for dataset and information, which runs whose recipes agree on them then have in common; the time that
        these take is noted apart from the run's own.

    Raises
    ------
    UsageError
        The recipe reads data and no ``input_path`` says where they are.
    OmibError
        As the stages do.
    """
    _must_know_the_input(recipe, input_path)
    with exclusive(folder / ".lock", job):
        record, clock = RunRecord.of(folder, recipe.hash()), Clock()
        try:
            result, read = _chain(recipe, input_path, folder, job, shared, clock, until)
        except OmibError as error:
            state = next((name for kind, name in ENDINGS.items() if isinstance(error, kind)), "failed")
            record.add(state, clock.own, peak_memory_mib(), error.what, clock.shared).write(folder)
            raise
        if record.state == "done" and record.input != read:  # that was a run on other data
            record = RunRecord(recipe.hash())
        if not result.already_there or record.state != "done":
            record.input = read
            record.add("done", clock.own, peak_memory_mib(), shared=clock.shared).write(folder)
        return result


def rehearse(
    recipe: Recipe,
    input_path: Path | None,
    folder: Path,
    job: Job,
    shared: Path | None = None,
    *,
    until: Until = "report",
) -> tuple[list[PlannedStep], dict[str, Any] | None]:
    """All steps of the chain and, where there is a dataset already, what a batch of it shows (``stages.rehearsal``)."""
    dataset = _dataset_step(recipe, input_path, folder, shared)
    closing = _closing_steps(recipe, dataset.out, folder, until, shared)
    if not dataset.out.exists():
        return [dataset, *train.plan(recipe, dataset.out, folder / MODEL), *closing], None
    with Dataset(dataset.out) as data:
        training = _training_steps(recipe, data, folder, shared)
        return [dataset, *training, *closing], rehearsal.rehearse(recipe, data, job, main=True)


def _chain(
    recipe: Recipe, input_path: Path | None, folder: Path, job: Job, shared: Path | None, clock: Clock, until: Until
) -> tuple[StageResult, str]:
    """All stages; the result of the last, and the key of what was read (``stages.source_files``)."""
    dataset = _dataset_step(recipe, input_path, folder, shared)
    _make(dataset, job, shared, clock)
    with Dataset(dataset.out) as data:
        made = [_make(step, job, shared, clock) for step in _training_steps(recipe, data, folder, shared)]
        read = input_key(input_path, data.provenance.facts.get("files", {}))
    closing = _closing_steps(recipe, dataset.out, folder, until, shared)
    made += [_make(step, job, shared, clock) for step in closing]
    return made[-1], read


def make_dataset(recipe: Recipe, input_path: Path | None, folder: Path, job: Job, shared: Path) -> StageResult:
    """The dataset alone, where :func:`run` with the same ``shared`` finds it.

    Raises
    ------
    OmibError
        As :func:`run`, of the data.
    """
    _must_know_the_input(recipe, input_path)
    return _make(_dataset_step(recipe, input_path, folder, shared), job, shared, Clock())


def dataset_path(recipe: Recipe, input_path: Path | None, folder: Path, shared: Path | None) -> Path:
    """Where :func:`run` with the same arguments has its dataset."""
    return _dataset_step(recipe, input_path, folder, shared).out


def _must_know_the_input(recipe: Recipe, input_path: Path | None) -> None:
    if not isinstance(recipe.data, SimulationOptions) and input_path is None:
        raise UsageError(f"recipe {recipe.name} reads data", do="say where they are: --input PATH")


def _dataset_step(recipe: Recipe, input_path: Path | None, folder: Path, shared: Path | None) -> PlannedStep:
    """The dataset, in the run's own folder or among the shared ones."""
    origin = None if input_path is None else str(input_path.resolve())
    out = _place(folder, shared, DATASET, [recipe.hash("dataset"), origin])
    words = f"data: {input_path or recipe.data.source}"
    if isinstance(recipe.data, SimulationOptions) or input_path is None:
        return PlannedStep(out, words, partial(simulate.run, recipe, out))
    return PlannedStep(out, words, partial(prepare.run, recipe, input_path, out))


def _training_steps(recipe: Recipe, data: Dataset, folder: Path, shared: Path | None) -> list[PlannedStep]:
    """Warm-up, estimation and training; estimates on the run's own encodings are not shared."""
    train.must_start(recipe, data)
    among = None if estimate_mi.needs_encodings(recipe, kinds_of(recipe, data)) else shared
    estimates = _place(folder, among, INFORMATION, [recipe.hash("information"), data.provenance.hash])
    return train.plan(recipe, data, folder / MODEL, estimates=estimates)


def _closing_steps(recipe: Recipe, dataset: Path, folder: Path, until: Until, shared: Path | None) -> list[PlannedStep]:
    """What follows training: the embedding of all samples, which training never read, and its report if asked for."""
    model, embedding, page = folder / MODEL, folder / EMBEDDING, folder / REPORT
    judge = partial(
        evaluate.run, [embedding], page, bootstrap=recipe.evaluate.bootstrap, datasets=[dataset], kept=shared
    )
    steps = [
        PlannedStep(embedding, "embed", partial(embed.run, dataset, model, embedding)),
        PlannedStep(page, "evaluate", judge),
    ]
    return steps[: {"model": 0, "embedding": 1, "report": 2}[until]]


def _place(folder: Path, shared: Path | None, name: str, made_of: list[str | None]) -> Path:
    """Where an artifact goes; a shared one is named after what it is made of."""
    if shared is None:
        return folder / name
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    stem, _, suffix = name.partition(".")
    return shared / f"{stem}-{key}.{suffix}"


def _make(step: PlannedStep, job: Job, shared: Path | None, clock: Clock) -> StageResult:
    """Take a step; what another recipe or other inputs left in the folder is replaced, as ``make`` would.

    A shared artifact is made by one process while the others wait; who comes first is chance, and is not charged.
    """
    with ExitStack() as stack:
        if shared is not None and step.out.parent == shared:
            stack.enter_context(clock.sharing())
            stack.enter_context(exclusive(step.out.with_name(f".{step.out.name}.lock"), job))
        try:
            result = step.make(job)
        except StaleError as stale:
            job.progress.note(f"making {Path(stale.where or '').name} again: {stale.got or stale.what}")
            result = step.make(replace(job, fresh=True))
    if result.already_there:
        job.progress.note(f"{result.out.name} is up to date")
    return result
