"""Classification: cross-entropy on logits, softmax distributions, scikit-learn's metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.tasks.base import Task
from omib_cli.tasks.calibration import calibration_error, confidence_and_hits, squared_errors, surprises

if TYPE_CHECKING:
    from numpy.typing import NDArray

TINY = float(np.finfo(np.float32).tiny)
"""What a probability of 0 in float32 may have been."""


class Classification(Task):
    """One of C classes."""

    has_logits = True
    main_metric = "accuracy"

    @property
    def outputs(self) -> int:
        """C, the number of classes."""
        return len(self.classes)

    def loss(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats (Equation 4; choice A1): (..., B, C) logits, (B,) class indices to (..., B).

        A sample's loss is multiplied by the weight of its class, where classes have weights.
        """
        losses = _cross_entropy(output, label)
        if self.weights is None:
            return losses
        return losses * torch.tensor(self.weights, dtype=torch.float32, device=label.device)[label.long()]

    def likelihood(self, output: torch.Tensor, label: torch.Tensor, there: torch.Tensor | None = None) -> torch.Tensor:
        """The probability of the true class: (..., B, C) logits, (B,) class indices to (..., B)."""
        return _cross_entropy(output, label).neg().exp()

    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """KL(softmax(output) || softmax(reference)) in nats, from log-softmax; clamped at 0 against rounding."""
        p, q = F.log_softmax(output.float(), dim=-1), F.log_softmax(reference.float(), dim=-1)
        return (p.exp() * (p - q)).sum(dim=-1).clamp_min(0.0)

    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logarithm of the mean of the class probabilities: (S, B, C) logits to (B, C)."""
        return torch.logsumexp(F.log_softmax(outputs.float(), dim=-1), dim=0) - math.log(len(outputs))

    def scores(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log-probabilities of the classes (N, C)."""
        found: NDArray[np.float64] = F.log_softmax(torch.as_tensor(outputs).double(), dim=-1).numpy()
        return found

    def readable(self, scores: NDArray[np.float64]) -> NDArray[np.floating]:
        """Class probabilities (N, C)."""
        return np.exp(scores).astype(np.float32)

    def from_readable(self, readable: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log-probabilities from class probabilities (N, C): what was rounded to 0 or 1 stays so."""
        return self.scores(np.log(np.maximum(readable.astype(np.float64), TINY)))

    def prediction(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Index of the most probable class (the first of several)."""
        best: NDArray[np.float64] = scores.argmax(axis=1).astype(np.float64)
        return best

    def nonconformity(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """-ln p of the true class (N,)."""
        return surprises(scores, labels)

    def headline(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
        """The accuracy."""
        return float((self.prediction(scores) == labels).mean())

    def metrics(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
        """Accuracy, its mean over classes, AUC, macro and weighted F1; calibration error, Brier score and log-loss.

        AUC is the area under the ROC curve of the second class for two classes, and the unweighted mean of the
        one-versus-rest areas for more, by :func:`log_odds`; NaN where a class has no sample. The balanced accuracy is
        the mean recall of the classes that have samples.
        """
        from sklearn.metrics import f1_score, roc_auc_score

        truth = labels.astype(int)
        predicted = self.prediction(scores).astype(int)
        f1 = {
            f"f1_{average}": float(f1_score(truth, predicted, average=average, zero_division=0.0))
            for average in ("macro", "weighted")
        }
        auc = math.nan
        if len(set(truth.tolist())) == self.outputs > 1:
            odds = log_odds(scores)
            judged = [1] if self.outputs == 2 else range(self.outputs)
            auc = float(np.mean([roc_auc_score(truth == code, odds[:, code]) for code in judged]))
        accuracy = {"accuracy": self.headline(scores, labels), "auc": auc}
        recalls = [float((predicted[truth == code] == code).mean()) for code in np.unique(truth)]
        return {**accuracy, "balanced_accuracy": float(np.mean(recalls)), **f1, **_calibration(scores, labels)}


def _cross_entropy(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    each = output.shape[:-1]
    labels = label.long().expand(each).flatten()
    return F.cross_entropy(output.float().flatten(end_dim=-2), labels, reduction="none").view(each)


def _calibration(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
    """How far probabilities are from the truth: expected calibration error, Brier score, log-loss in nats."""
    error = calibration_error(*confidence_and_hits(scores, labels))
    return {
        "ece": float(error(np.ones((1, len(labels))))[0]),
        "brier": float(squared_errors(scores, labels).mean()),
        "log_loss": float(surprises(scores, labels).mean()),
    }


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(p_c / (1 - p_c)) of each class (N, C), from log-probabilities (N, C).

    1 - p_c is summed from the other classes. Taken from p_c itself it would be 0 for every p_c within 1e-16 of 1 (in
    float32 6e-8), and samples that the network tells apart would be equals in a ranking.
    """
    others = np.empty_like(scores)
    for code in range(scores.shape[1]):
        others[:, code] = np.logaddexp.reduce(np.delete(scores, code, axis=1), axis=1)
    return np.asarray(scores - others)
