"""Anomaly detection by deep one-class classification (Deep SVDD, Ruff et al. 2018; choices A1, B6, F).

A head's output is the position of a sample relative to the head's own centre, y - c; normal samples are drawn to it,
and the squared distance of the embedding's head is the score. What keeps the answer from becoming a constant: layers
without a bias, centres that are set once for each phase and kept away from 0 (tasks/head.py, training/one_class.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from omib_cli.tasks.base import Task
from omib_cli.tasks.head import CentredHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from omib_cli.recipe.heads import HeadOptions


class Anomaly(Task):
    """Normal samples only in training; the larger the score, the more anomalous."""

    main_metric = "auc"
    bias = False
    by_group = True

    @property
    def outputs(self) -> int:
        """C, the width of the space in which distances are taken."""
        width: int = self.options.width
        return width

    def make_head(self, width: int, options: HeadOptions, modality: int | None = None) -> CentredHead:
        """A head (B, width) to (B, C) without biases, whose outputs are relative to its centre."""
        return CentredHead(width, self.outputs, options, modality)

    def loss(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Squared distance from the centre (Section 4): (..., B, C) to (..., B); no label is used."""
        return output.float().square().sum(dim=-1)

    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """KL of unit-variance Gaussians around two centred outputs (choice B6): half the squared distance, (..., B)."""
        return 0.5 * (output.float() - reference.float()).square().sum(dim=-1)

    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """The mean output: (S, B, C) to (B, C)."""
        return outputs.mean(dim=0)

    def scores(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Squared distances from the centre (N, 1): in float64, for float32 makes equals of near ones."""
        return np.asarray(np.square(outputs.astype(np.float64)).sum(axis=1, keepdims=True))

    def prediction(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score (N,)."""
        return scores[:, 0]

    def metrics(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
        """AUC, F1 of the anomalies at their true number, average precision; samples without a label are left out."""
        known = labels == labels
        return anomaly_metrics(scores[known, 0], labels[known] == 1)


def anomaly_metrics(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics of scores (N,) against which samples are anomalous (N,); NaN where there are not both kinds.

    ``f1`` calls as many samples anomalous as there are anomalies, those of largest score; of equal scores the
    earlier samples (choice F6), so that a constant score is no better than the order of the file.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    count = int(truth.sum())
    if count == 0 or count == len(truth):
        return dict.fromkeys(("auc", "f1", "average_precision"), math.nan)
    chosen = np.argsort(-scores, kind="stable")[:count]
    return {
        "auc": float(roc_auc_score(truth, scores)),
        "f1": float(truth[chosen].mean()),  # precision and recall are one when as many are called as there are
        "average_precision": float(average_precision_score(truth, scores)),
    }
