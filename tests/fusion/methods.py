"""Small fusion methods of every kind, and batches for them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import torch

from omib_cli.fusion.base import FusionMethod
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.heads import HeadOptions
from omib_cli.recipe.tasks import AnomalyOptions, ClassificationOptions, RegressionOptions, SurvivalOptions
from omib_cli.tasks.anomaly import Anomaly
from omib_cli.tasks.base import Task
from omib_cli.tasks.classification import Classification
from omib_cli.tasks.regression import Regression
from omib_cli.tasks.survival import Survival

KINDS = {kind.model_fields["method"].default: kind for kind in get_args(get_args(FUSIONS.union())[0])}
COMPARED = [name for name in KINDS if name != "omib"]
WIDTH = 8
SMALL = {
    "misa": {"width": 8},
    "mmib-zhang": {"latent": 6, "hidden": 16},
    "e-mib": {"hidden": 16},
    "l-mib": {"hidden": 16},
    "c-mib": {"hidden": 16},
}
"""Narrower than the defaults, so that tests are quick."""


def make_task(kind: str) -> Task:
    if kind == "classification":
        return Classification(ClassificationOptions(), ["a", "b", "c"])
    if kind == "survival":
        return Survival(SurvivalOptions(), [])
    return Regression(RegressionOptions(), []) if kind == "regression" else Anomaly(AnomalyOptions(width=5), [])


def make(
    name: str,
    count: int = 2,
    task: str = "classification",
    hidden: int = 16,
    widths=None,
    dropout: float = 0.0,
    **options,
) -> FusionMethod:
    """A method with the weights of seed 0, for modalities m0, m1, .. of width 8 unless there are `widths`."""
    torch.manual_seed(0)
    widths = widths or {f"m{i}": WIDTH for i in range(count)}
    made = KINDS[name](**{**SMALL.get(name, {}), **options})
    return FUSIONS.implementation(name)(made, widths, make_task(task), HeadOptions(hidden=hidden, dropout=dropout))


def encodings(count: int = 2, batch: int = 12, seed: int = 1, requires_grad: bool = False) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, WIDTH, generator=generator).requires_grad_(requires_grad) for _ in range(count)]


def labels(task: str = "classification", batch: int = 12) -> torch.Tensor:
    if task == "survival":  # ties, and a third censored
        return (torch.arange(batch) // 2 + 1.0) * torch.tensor([1.0, 1.0, -1.0]).repeat(batch)[:batch]
    return torch.linspace(-1, 1, batch) if task == "regression" else torch.arange(batch).float() % 3


def batch(count: int = 2, present=None, y=None, complete: bool | None = None) -> Batch:
    """A whole batch of `count` modalities, with the labels of :func:`labels` unless there are others."""
    label = labels() if y is None else y
    here = torch.ones(len(label), count, dtype=torch.bool) if present is None else present
    return Batch.of(label, here, complete)


def losses(fusion: FusionMethod, z, y, present=None, seed: int = 3):
    """Losses with the noise of a seed."""
    torch.manual_seed(seed)
    return fusion.losses(z, batch(len(z), present, y))


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
    """W x + b, from the layer's weights."""
    bias = 0.0 if layer.bias is None else array(layer.bias)
    return x @ array(layer.weight).T + bias


def cross_entropy(logits: np.ndarray, y: torch.Tensor) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(logits)), y.long().numpy()].mean())


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)
