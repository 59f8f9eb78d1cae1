"""What the training stages share: splits, provenance, the key of resumable state, the place of the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.provenance import Provenance
from omib_cli.data.samples import Samples, read_split
from omib_cli.errors import MismatchError, UsageError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.training import PhaseOptions
from omib_cli.runtime.job import Job
from omib_cli.training.log import MetricsLog


def read_splits(
    data: Dataset, options: PhaseOptions, phase: str, device: torch.device
) -> tuple[Samples, Samples | None]:
    """The training split and, where there is one, the validation split; refused as in :func:`must_have_validation`."""
    must_have_validation(data, options, phase)
    has_validation = len(data.rows("validation")) > 0
    return read_split(data, "train", device), read_split(data, "validation", device) if has_validation else None


def must_have_validation(data: Dataset, options: PhaseOptions, phase: str) -> None:
    """Refuse to select on a validation split that the dataset does not have.

    Raises
    ------
    MismatchError
        Recipe and dataset do not fit.
    """
    if options.select == "validation" and len(data.rows("validation")) == 0:
        raise MismatchError(
            f"{phase}.select is validation, but the dataset has no validation split",
            where=data.path,
            do=f"make one (data.validation or data.split.validation: 0.1), or --set {phase}.select=last"
            + (f" --set {phase}.patience=null" if options.patience else ""),
        )


def must_have_warmup(recipe: Recipe, do: str) -> None:
    """Refuse to warm up for a method that trains in a single phase; ``do`` is what to do instead.

    Raises
    ------
    UsageError
        It does.
    """
    if not recipe.fusion.has_warmup:
        raise UsageError(
            f"fusion method {recipe.fusion.method} has no warm-up",
            expected=f"one phase of {recipe.main_phase.epochs} epochs (warmup.epochs + train.epochs)",
            do=do,
        )


def state_key(stage: str, recipe: Recipe, parents: Mapping[str, str]) -> str:
    """What a resumable state belongs to."""
    return hashlib.sha256(json.dumps([stage, recipe.hash(stage), dict(parents)]).encode()).hexdigest()


def make_provenance(
    stage: str, recipe: Recipe, parents: Mapping[str, str], facts: Mapping[str, Any], device: torch.device, job: Job
) -> Provenance:
    """The self-description of an artifact that was computed with torch."""
    return Provenance(
        kind=stage,
        recipe=recipe.resolved(),
        recipe_hash=recipe.hash(stage),
        parents=dict(parents),
        facts=dict(facts),
        device=str(device),
        threads=job.threads,
        command=job.command,
    )


def log_beside(out: Path, before: list[dict[str, Any]] | None = None) -> MetricsLog:
    """The log of metrics next to an artifact: ``model.metrics.jsonl`` beside ``model.safetensors``."""
    return MetricsLog(out.with_suffix(".metrics.jsonl"), before)
