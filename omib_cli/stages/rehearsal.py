"""What ``--dry-run`` finds out by trying: a network is built, and one batch goes through it and back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from omib_cli.artifacts.dataset import Dataset, opened
from omib_cli.data.samples import read_samples
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.stages.fitting import must_have_warmup
from omib_cli.training.inference import training_facts
from omib_cli.training.model import fresh_model


def rehearse(recipe: Recipe, dataset: Dataset | Path, job: Job, *, main: bool) -> dict[str, Any]:
    """Pass one batch of the training split through warm-up, or through main training where ``main`` is set.

    Returns
    -------
    dict
        ``parameters`` of each encoder and of the fusion, ``batch`` (samples), ``seconds`` of the step (its first, so
        rather too many) and ``minutes`` that the phase would take at that rate.

    Raises
    ------
    UsageError
        There is no warm-up.
    DataError
        Data that the encoders cannot read, or weights that are not there.
    """
    device = prepare_torch(job)
    if not main:
        must_have_warmup(recipe, "omib train --dry-run")
    options = recipe.main_phase if main else recipe.warmup
    with opened(dataset) as data:
        rows = data.rows("train")
        batch = read_samples(data, range(rows.start, min(rows.stop, rows.start + options.batch)), torch.device("cpu"))
        model = fresh_model(recipe, training_facts(recipe, data), device, job.progress.warn)
    batch = batch.to(next(model.parameters()).device)
    started = time.monotonic()
    losses = (model.losses if main else model.warmup_losses)(batch.values, batch.batch)
    losses.total.backward()  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - started
    counts = {name: _count(encoder) for name, encoder in zip(model.names, model.encoders, strict=True)}
    return {
        "parameters": {**counts, "fusion": _count(model.fusion)},
        "batch": len(batch),
        "seconds": round(seconds, 3),
        "minutes": round(seconds * options.epochs * len(rows) / max(1, len(batch)) / 60, 1),
    }


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
