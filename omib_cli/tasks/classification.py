"""Classification: cross-entropy on logits, softmax distributions, scikit-learn's metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.tasks.base import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Classification(Task):
    """One of C classes."""

    main_metric = "accuracy"

    @property
    def outputs(self) -> int:
        """C, the number of classes."""
        return len(self.classes)

    def loss(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats (Equation 4; choice A1): (..., B, C) logits, (B,) class indices to (..., B)."""
        each = output.shape[:-1]
        labels = label.long().expand(each).flatten()
        return F.cross_entropy(output.float().flatten(end_dim=-2), labels, reduction="none").view(each)

    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """KL(softmax(output) || softmax(reference)) in nats, from log-softmax; clamped at 0 against rounding."""
        p, q = F.log_softmax(output.float(), dim=-1), F.log_softmax(reference.float(), dim=-1)
        return (p.exp() * (p - q)).sum(dim=-1).clamp_min(0.0)

    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logarithm of the mean of the class probabilities: (S, B, C) logits to (B, C)."""
        return torch.logsumexp(F.log_softmax(outputs.float(), dim=-1), dim=0) - math.log(len(outputs))

    def readable(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, C)."""
        probabilities: NDArray[np.float32] = torch.softmax(torch.as_tensor(outputs).double(), dim=-1).float().numpy()
        return probabilities

    def prediction(self, readable: NDArray[np.float32]) -> NDArray[np.float64]:
        """Index of the most probable class (the first of several)."""
        best: NDArray[np.float64] = readable.argmax(axis=1).astype("float64")
        return best

    def metrics(self, readable: NDArray[np.float32], labels: NDArray[np.float64]) -> dict[str, float]:
        """Accuracy, macro and weighted F1, and AUC.

        AUC is the area under the ROC curve of the second class for two classes, and the unweighted mean of the
        one-versus-rest areas for more; NaN where a class has no sample.
        """
        from sklearn.metrics import f1_score, roc_auc_score

        truth = labels.astype(int)
        predicted = self.prediction(readable).astype(int)
        f1 = {
            f"f1_{average}": float(f1_score(truth, predicted, average=average, zero_division=0.0))
            for average in ("macro", "weighted")
        }
        if len(set(truth.tolist())) < self.outputs:
            auc = float("nan")
        elif self.outputs == 2:
            auc = float(roc_auc_score(truth, readable[:, 1]))
        else:  # probabilities in double precision, or scikit-learn finds that they do not sum to one
            exact = readable.astype("float64")
            auc = float(roc_auc_score(truth, exact / exact.sum(axis=1, keepdims=True), multi_class="ovr"))
        return {"accuracy": float((truth == predicted).mean()), "auc": auc, **f1}
