"""Inference with a trained network, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_checkpoint
from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.provenance import Provenance
from omib_cli.data.samples import read_samples
from omib_cli.errors import MismatchError, listed
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.machine import pick_device
from omib_cli.training.model import MultimodalModel, build_model
from omib_cli.training.weights import class_weights


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """What a network must know of a dataset: kinds, shapes, configurations and features of modalities, classes."""
    named = {name: dataset.features(name) for name in dataset.modalities}
    return {
        "shapes": {name: list(modality.shape) for name, modality in dataset.modalities.items()},
        "kinds": {name: modality.kind for name, modality in dataset.modalities.items()},
        "configs": {name: modality.config for name, modality in dataset.modalities.items() if modality.config},
        "classes": dataset.classes,
        "features": {name: features for name, features in named.items() if features is not None},
    }


def training_facts(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """:func:`dataset_facts`, and what classes weigh in the loss of a network that is to be trained."""
    weights = class_weights(recipe.task, dataset)
    return dataset_facts(dataset) | ({} if weights is None else {"class_weights": weights})


def load_model(path: Path, recipe: Recipe, dataset: Dataset, job: Job) -> tuple[MultimodalModel, Provenance]:
    """A trained model, ready for inference on a dataset.

    Raises
    ------
    MismatchError
        The dataset has other modalities, shapes or classes than the one the model was trained on.
    """
    weights, provenance = read_checkpoint(path, fmt.MODEL)
    must_match(provenance, dataset, path)
    model = build_model(recipe, provenance.facts, pick_device(job.device))
    model.load_state_dict(weights)
    return model.eval(), provenance


def must_match(provenance: Provenance, dataset: Dataset, path: Path, but: Sequence[str] = ()) -> None:
    """Refuse a dataset whose modalities, shapes, features or classes are not those of a checkpoint.

    Checkpoints of earlier versions do not hold the names of features: those are then not compared; nor is what ``but``
    names.
    """
    facts = dataset_facts(dataset)
    features = facts.pop("features")
    for key, found in facts.items():
        if key not in but and provenance.facts[key] != found:
            raise MismatchError(
                f"checkpoint and dataset have different {key}",
                where=f"{path} and {dataset.path}",
                got=f"dataset: {found}",
                expected=f"checkpoint: {provenance.facts[key]}",
                do="use the dataset the checkpoint was trained on, or one prepared in the same way",
            )
    for name, trained in provenance.facts.get("features", {}).items():
        _must_be_the_same(trained, features.get(name), f"modality {name!r} of {dataset.path}", path)


def _must_be_the_same(trained: Sequence[str], found: Sequence[str] | None, where: str, path: Path) -> None:
    """Refuse features that are other ones, or in another order, than a network was trained on.

    Features without names, in as great a number, can only be taken for the same ones.
    """
    if found is None or list(found) == list(trained):
        return
    missing = sorted(set(trained) - set(found))
    more = sorted(set(found) - set(trained))
    if missing or more:
        said = [f"{words} {listed(names)}" for words, names in (("without", missing), ("with", more)) if names]
        got, expected = "; ".join(said), f"the {len(trained)} features that the model was trained on"
    else:
        place = next(place for place, pair in enumerate(zip(trained, found, strict=True)) if len(set(pair)) > 1)
        got = f"the same features in another order: number {place + 1} is {found[place]!r}"
        expected = repr(trained[place])
    raise MismatchError(
        "these are not the features that the model was trained on",
        where=f"{where}, and {path}",
        got=got,
        expected=expected,
        do="prepare the dataset with the same columns in the same order",
    )


@torch.no_grad()
def encode_all(
    checkpoint: Path, recipe: Recipe, dataset: Dataset, split: str, job: Job
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Frozen encodings z_i of a split after warm-up: by modality, values (N, d_i) and presence (N,), on the CPU."""
    weights, provenance = read_checkpoint(checkpoint, fmt.WARMUP)
    must_match(provenance, dataset, checkpoint)
    device = pick_device(job.device)
    model = build_model(recipe, provenance.facts, device)
    model.load_warmup(weights, checkpoint)
    model.eval()
    pieces: dict[str, list[torch.Tensor]] = {name: [] for name in model.names}
    for rows in dataset.blocks(dataset.rows(split)):
        samples = read_samples(dataset, rows, device)
        for batch in samples.batches(samples.inference_batch):
            for name, z in zip(model.names, model.encode(batch.values, batch.batch), strict=True):
                pieces[name].append(z.cpu())
    present = torch.from_numpy(dataset.present(dataset.rows(split)))
    return {name: (torch.cat(z), present[:, i]) for i, (name, z) in enumerate(pieces.items())}
