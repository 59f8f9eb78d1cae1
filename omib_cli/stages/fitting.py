"""What the training stages share: their checks, splits, provenance, the key of resumable state, the log's place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import expect
from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.provenance import Provenance
from omib_cli.data.order import Order
from omib_cli.data.samples import Split, read_split
from omib_cli.data.stream import Stream, row_bytes
from omib_cli.distributed import processes
from omib_cli.errors import MismatchError, UsageError
from omib_cli.recipe.phases import PhaseOptions
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.machine import MEMORY_SHARE, memory_for_samples
from omib_cli.training.log import MetricsLog


def read_splits(
    data: Dataset, options: PhaseOptions, phase: str, device: torch.device, job: Job
) -> tuple[Split, Split | None]:
    """The training split and, where there is one, the validation split; refused as in :func:`must_have_validation`.

    What fits into the memory for samples is read into it (on an accelerator into the device's); what does not is read
    from the dataset as training goes, for which it must stay open.

    Raises
    ------
    UsageError
        ``--memory`` is less than reading from disk takes.
    """
    must_have_validation(data, options, phase)
    left = job.memory if job.memory is not None else memory_for_samples()
    if device.type == "cuda":
        left = min(left, int(MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]))
    found: list[Split] = []
    for split in ("train", "validation"):
        order = Order(len(data.rows(split)), row_bytes(data))
        if not order.count:
            continue
        if order.count * order.row_bytes <= left or _has_graph(data):
            left -= order.count * order.row_bytes
            found.append(read_split(data, split, device))
        else:
            left -= 2 * order.window * order.row_bytes
            if split == "train" and left < 0 and job.memory is not None:
                raise UsageError(
                    "--memory is too little to read this dataset from disk",
                    got=f"{job.memory / 2**20:,.0f}M",
                    expected=f"at least {2 * order.window * order.row_bytes / 2**20:,.0f}M, two windows of rows",
                )
            job.progress.note(f"the {split} split is read from disk as {phase} goes")
            found.append(Stream(data, split, device))
    return found[0], found[1] if len(found) > 1 else None


def _has_graph(data: Dataset) -> bool:
    """A graph is held in memory: the neighbourhoods of a batch are anywhere in it."""
    return any(modality.kind == fmt.GRAPH for modality in data.modalities.values())


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


def must_be_of(data: Dataset, files: Mapping[str, Path | None]) -> dict[str, str]:
    """The content hash of each file that there is, by kind; refuse one that was not made from this dataset.

    Raises
    ------
    DataError
        A file is missing, damaged, or of another kind.
    MismatchError
        It was made from another dataset.
    """
    hashes = {}
    for kind, path in files.items():
        if path is None:
            continue
        found = expect(path, kind)
        if (parent := found.parents.get(fmt.DATASET, "none")) != data.provenance.hash:
            raise MismatchError(
                f"{path.name} was made from another dataset",
                where=path,
                got=f"dataset {parent[:12]}",
                expected=f"{data.provenance.hash[:12]} ({data.path})",
                do="make it again from this dataset, or leave the option out",
            )
        hashes[kind] = found.hash
    return hashes


def must_be_divisible(recipe: Recipe) -> None:
    """Refuse several processes for a method, or a task, whose gradients need the whole batch in one place.

    Raises
    ------
    UsageError
        It is such a method, and there are several.
    """
    if processes.world_size() > 1 and recipe.fusion.couples_samples:
        raise UsageError(
            f"{recipe.fusion.method}, as the recipe has it, compares the samples of a batch and cannot be divided",
            got=f"{processes.world_size()} processes",
            do="train it in one process",
        )
    if processes.world_size() > 1 and recipe.task.couples_samples:
        raise UsageError(
            f"the loss of task {recipe.task.kind} compares the samples of a batch and cannot be divided",
            got=f"{processes.world_size()} processes",
            do="train it in one process",
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
