"""Cox regression with a ridge penalty, as a reference beside networks for survival.

scikit-learn has no model that knows of censoring, and lifelines' takes minutes for hundreds of columns, of which a
penalty has to be chosen. The partial likelihood is that which networks are trained with, ties after Efron.
Notation: N samples, D columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Weights λ of D λ/2 |w|² beside the partial likelihood per event."""
STEPS = 100
"""Of L-BFGS, at most."""


class CoxRidge:
    """Log-hazards that are linear in the columns; :meth:`fit` and :meth:`predict` as scikit-learn has them.

    Parameters
    ----------
    penalties
        Of several the one of the largest cross-validated partial likelihood (Verweij and van Houwelingen 1993) is
        taken.
    folds
        Into how many parts samples are divided to choose it, events and censored ones alike.
    seed
        Of that division.
    """

    def __init__(self, penalties: Sequence[float] = PENALTIES, folds: int = 5, seed: int = 0) -> None:
        self.penalties, self.folds, self.seed = tuple(penalties), folds, seed
        self.weights: Floats = np.zeros(0)
        self.penalty = self.penalties[0]

    def fit(self, values: Floats, labels: Floats) -> CoxRidge:
        """Fit to centred columns (N, D) and signed times (N,), negative where censored."""
        # The solution lies in the span of the samples: of more columns than samples, N numbers say it.
        reduced, directions = _in_their_span(values)
        self.penalty = self._chosen(reduced, labels) if len(self.penalties) > 1 else self.penalties[0]
        self.weights = directions @ _fitted(reduced, labels, self.penalty * values.shape[1])
        return self

    def predict(self, values: Floats) -> Floats:
        """Log-hazards (N,) of rows (N, D)."""
        return np.asarray(values @ self.weights)

    def _chosen(self, values: Floats, labels: Floats) -> float:
        events = labels > 0
        if min(events.sum(), self.folds) < 2:  # nothing to compare
            return max(self.penalties)
        from sklearn.model_selection import StratifiedKFold

        count = min(self.folds, int(events.sum()), max(2, int((~events).sum())))
        parts = list(StratifiedKFold(count, shuffle=True, random_state=self.seed).split(values, events))
        gained = [
            sum(self._held_out(values, labels, fit, penalty * values.shape[1]) for fit, _ in parts)
            for penalty in self.penalties
        ]
        return self.penalties[int(np.argmax(gained))]

    @staticmethod
    def _held_out(values: Floats, labels: Floats, fit: NDArray[np.intp], penalty: float) -> float:
        """What the samples that were not fitted to add to the log partial likelihood."""
        risk = values @ _fitted(values[fit], labels[fit], penalty)
        return _loss(risk[fit], labels[fit]) - _loss(risk, labels)


def _in_their_span(values: Floats) -> tuple[Floats, Floats]:
    """Columns (N, min(N, D)) and the directions (D, min(N, D)) that they stand for."""
    if values.shape[1] <= len(values):
        return values, np.eye(values.shape[1])
    left, sizes, right = np.linalg.svd(values, full_matrices=False)
    return left * sizes, right.T


def _loss(risk: Floats, labels: Floats) -> float:
    """The negative log partial likelihood of log-hazards (N,) and signed times (N,)."""
    import torch

    from omib_cli.tasks.survival import efron

    return float(efron(torch.from_numpy(risk), torch.from_numpy(labels), None).sum())


def _fitted(values: Floats, labels: Floats, penalty: float) -> Floats:
    """Weights (D,) that minimise the loss per event plus half the penalty times their square."""
    import torch
    from scipy.optimize import minimize

    from omib_cli.tasks.survival import efron

    columns, times = torch.from_numpy(values), torch.from_numpy(labels)
    events = max(1, int((labels > 0).sum()))

    def objective(weights: Floats) -> tuple[float, Floats]:
        free = torch.from_numpy(weights).requires_grad_()
        total = efron(columns @ free, times, None).sum() / events + penalty / 2 * free.square().sum()
        (slope,) = torch.autograd.grad(total, free)
        return float(total.detach()), slope.numpy()

    start = np.zeros(values.shape[1])
    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)
