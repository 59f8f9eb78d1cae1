"""Start from a trained model: its weights for a new cohort, with new heads where the classes are others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_checkpoint
from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import MismatchError, listed
from omib_cli.recipe.schema import Recipe
from omib_cli.training.inference import dataset_facts, must_match
from omib_cli.training.model import MultimodalModel, build_model


def start_from(path: Path, model: MultimodalModel, recipe: Recipe, data: Dataset) -> tuple[Provenance, list[str]]:
    """Put a trained model's weights into a fresh one; its provenance, and the names of weights that start anew.

    Those are the last layers of the heads, where the dataset has other classes than the model.

    Raises
    ------
    MismatchError
        Another network, or a dataset with other modalities, shapes or features.
    """
    weights, provenance = read_checkpoint(path, fmt.MODEL)
    must_match(provenance, data, path, but=["classes"])
    own = model.state_dict()
    anew = _of_classes(recipe, data) if provenance.facts["classes"] != data.classes else []
    different = [
        name
        for name in sorted({*own, *weights})
        if name not in anew and (name not in own or name not in weights or own[name].shape != weights[name].shape)
    ]
    if different:
        raise MismatchError(
            "the recipe's network is not the one that training is to start from",
            where=path,
            got=f"{len(different)} differing weights: {listed(different)}",
            do="leave --recipe out: the model's own recipe says which network it is",
        )
    model.load_state_dict({name: own[name] if name in anew else weights[name] for name in own})
    return provenance, anew


def _of_classes(recipe: Recipe, data: Dataset) -> list[str]:
    """Names of the weights that depend on how many classes there are."""
    facts = dataset_facts(data)
    shapes = [
        {name: value.shape for name, value in build_model(recipe, some, torch.device("cpu")).state_dict().items()}
        for some in (facts, {**facts, "classes": [*data.classes, "one more"]})
    ]
    return [name for name, shape in shapes[0].items() if shape != shapes[1][name]]


def freeze(model: MultimodalModel, parts: Sequence[str]) -> None:
    """Keep the weights of parts of a model as they are; its encoders, without dropout then."""
    if "encoders" in parts:
        model.encoders.requires_grad_(False)
        model.frozen = True
