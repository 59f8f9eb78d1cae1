"""``omib warmup``: Algorithm 1, each modality's encoder with its own head. dataset.h5 -> warmup.safetensors."""

from __future__ import annotations

from pathlib import Path

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import already_done
from omib_cli.artifacts.checkpoint import write_checkpoint
from omib_cli.artifacts.dataset import Dataset, opened
from omib_cli.artifacts.partial import Partial
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.stages.fitting import (
    log_beside,
    make_provenance,
    must_have_validation,
    must_have_warmup,
    read_splits,
    state_key,
)
from omib_cli.stages.result import StageResult
from omib_cli.training.inference import training_facts
from omib_cli.training.loop import Trainer
from omib_cli.training.model import fresh_model
from omib_cli.training.phases import warmup_phase


def run(recipe: Recipe, dataset: Dataset | Path, out: Path, job: Job) -> StageResult:
    """Warm up on the training split of a dataset, open or by its path.

    Raises
    ------
    UsageError
        The method has no warm-up.
    MismatchError
        Recipe and dataset do not fit, or ``out`` was made otherwise.
    DataError
        The dataset cannot be trained on.
    NumericError
        The loss is not finite.
    Interrupted
        Stopped, state saved.
    """
    with opened(dataset) as data:
        must_start(recipe, data)
        parents = {fmt.DATASET: data.provenance.hash}
        if (found := already_done(out, fmt.WARMUP, recipe, parents, job)) is not None:
            return StageResult.of(out, found, already_there=True)
        device = prepare_torch(job)
        train, validation = read_splits(data, recipe.warmup, "warmup", device, job)
        facts = training_facts(recipe, data)
        partial = Partial(out, state_key(fmt.WARMUP, recipe, parents), job)
        model = fresh_model(recipe, facts, device, job.progress.warn)
        log = log_beside(out)
        trainer = Trainer(model, warmup_phase(model, recipe), recipe.seed, partial, log, job)
        kept = trainer.run(train, validation)
    provenance = make_provenance(fmt.WARMUP, recipe, parents, {**facts, "epoch": kept}, device, job)
    last = log.rows[kept - 1] if log.rows else {}
    provenance.notes = {"history": log.history, "figures": {"epoch": kept, "loss": last.get("loss")}}
    write_checkpoint(out, model.warmup_weights(), provenance)
    partial.discard()
    return StageResult.of(out, provenance)


def must_start(recipe: Recipe, data: Dataset) -> None:
    """Refuse what :func:`run` would refuse, before a network is built."""
    must_have_warmup(recipe, "omib train, which needs no warm-up for it")
    data.must_fit(list(recipe.modalities), recipe.task.kind)
    must_have_validation(data, recipe.warmup, "warmup")
