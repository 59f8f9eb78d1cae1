"""How much a sample of each class weighs in the loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from omib_cli.artifacts.dataset import Dataset
from omib_cli.errors import MismatchError, listed
from omib_cli.recipe.tasks import ClassificationOptions, TaskOptions


def class_weights(options: TaskOptions, data: Dataset) -> list[float] | None:
    """The weight of each class (C,), of mean 1 over the training samples; None where all weigh alike.

    Balanced, each class weighs as much as any other: its samples by the inverse of their number.

    Raises
    ------
    MismatchError
        The recipe weighs a class that the dataset does not have.
    """
    if not isinstance(options, ClassificationOptions) or options.weights is None:
        return None
    labels = data.labels(data.rows("train")).astype(np.intp)
    counts = np.bincount(labels, minlength=len(data.classes)).astype(np.float64)
    if options.weights == "balanced":
        weights = 1.0 / np.maximum(counts, 1.0)
    else:
        weights = np.array(_given(options.weights, data))
    found: list[float] = (weights * counts.sum() / (weights * counts).sum()).tolist()
    return found


def _given(weights: Mapping[str, float], data: Dataset) -> list[float]:
    """The weights (C,) that a recipe gives by name; 1 for those that it does not name."""
    unknown = [name for name in weights if name not in data.classes]
    if unknown:
        raise MismatchError(
            "task.weights names classes that the dataset does not have",
            where=data.path,
            got=listed(unknown),
            expected=listed(data.classes),
            do="name its classes, or leave them out: a class that is not named weighs 1",
        )
    return [weights.get(name, 1.0) for name in data.classes]
