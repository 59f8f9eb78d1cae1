"""Regression: squared or absolute error, or a Gaussian's likelihood, and the metrics of sentiment analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from omib_cli.tasks.base import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from omib_cli.recipe.tasks import RegressionOptions


LEAST_VARIANCE = 1e-4
"""Of the Gaussian's likelihood, in squared units of output: what fits a batch better is not weighed more."""


class Regression(Task):
    """One real number."""

    main_metric = "mae"
    options: RegressionOptions

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    def loss(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Squared error (Appendix H), absolute error, or -ln q of a Gaussian: (..., B, 1), (B,) to (..., B)."""
        return self.loss_among(output, label, None)

    def loss_among(self, output: torch.Tensor, label: torch.Tensor, there: torch.Tensor | None) -> torch.Tensor:
        """As :meth:`loss`, in units of output; a Gaussian's variance is the mean squared error among ``there``.

        -ln q = (error^2 / v + ln v) / 2 up to a constant. For the gradient v is a constant: at the v that fits best the
        likelihood does not change with it.
        """
        error = output.float().squeeze(-1) - (label.float() - self.options.centre) / self.options.scale
        if self.options.loss == "l1":
            return error.abs()
        if self.options.loss == "mse":
            return error.square()
        counted = torch.ones_like(error) if there is None else there.to(error.dtype).expand(error.shape)
        total = (error.detach().square() * counted).sum(dim=-1, keepdim=True)
        variance = (total / counted.sum(dim=-1, keepdim=True).clamp_min(1)).clamp_min(LEAST_VARIANCE)
        return 0.5 * (error.square() / variance + variance.log())

    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """KL between unit-variance Gaussians, half the squared distance of the outputs [B6]."""
        return 0.5 * (output.float() - reference.float()).square().sum(dim=-1)

    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """Their mean: (S, B, 1) to (B, 1)."""
        return outputs.float().mean(dim=0)

    def scores(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """The values (N, 1), in the label's unit."""
        return self.options.centre + self.options.scale * outputs.astype(np.float64)

    def readable(self, scores: NDArray[np.float64]) -> NDArray[np.floating]:
        """The values (N, 1), in the label's unit."""
        return scores.astype(np.float32)

    def prediction(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The value (N,)."""
        return scores[:, 0]

    def nonconformity(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance from the true value (N,), in the label's unit."""
        return np.abs(self.prediction(scores) - labels)

    def metrics(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
        """Mean absolute error, root mean squared error and Pearson's r; with ``sentiment`` those of Appendix K too."""
        predicted = self.prediction(scores)
        found = _errors(predicted, labels)
        return {**found, **sentiment_metrics(predicted, labels)} if self.options.sentiment else found


def _errors(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    return {
        "mae": float(np.abs(predicted - truth).mean()),
        "rmse": float(np.sqrt(np.square(predicted - truth).mean())),
        "pearson_r": pearson(predicted, truth),
    }


def pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's correlation; NaN where either side is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / scale if scale > 0.0 else float("nan")


def sentiment_metrics(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    """Metrics of sentiment scores in [-3, 3], each convention under its own name.

    ``acc7``: both sides clipped to [-3, 3] and rounded half to even. ``acc2_nonneg``: all samples, score >= 0 against
    < 0. ``acc2_nonzero``: samples whose true score is not 0, positive against negative. F1 weighted by true counts.
    ``mae_nonzero`` and ``pearson_r_nonzero`` leave out true zeros, as MIB's published scores do.
    """
    from sklearn.metrics import f1_score

    seven = np.round(np.clip(predicted, -3, 3)) == np.round(np.clip(truth, -3, 3))
    found = {"acc7": float(seven.mean())}
    for name, keep in (("nonneg", np.ones(len(truth), dtype=bool)), ("nonzero", truth != 0)):
        if not keep.any():
            continue
        actual, guess = truth[keep] >= 0, predicted[keep] >= 0
        found[f"acc2_{name}"] = float((actual == guess).mean())
        found[f"f1_{name}"] = float(f1_score(actual, guess, average="weighted", zero_division=0.0))
    if (truth != 0).any():
        nonzero = _errors(predicted[truth != 0], truth[truth != 0])
        found |= {"mae_nonzero": nonzero["mae"], "pearson_r_nonzero": nonzero["pearson_r"]}
    return found
