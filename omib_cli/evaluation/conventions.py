"""What each metric is called, which way is better, and exactly what was computed, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """How a metric is shown and what it means."""

    label: str
    words: str
    higher_is_better: bool = True


CONVENTIONS: dict[str, Convention] = {
    "accuracy": Convention("Accuracy", "Share of samples whose most probable class is the true one."),
    "auc": Convention(
        "AUC",
        "Area under the ROC curve of the anomaly score, or of the second of two classes; for more, the unweighted mean "
        "of the one-versus-rest areas. Undefined where a class has no sample.",
    ),
    "f1": Convention(
        "F1",
        "F1 of the anomalies when as many samples are called anomalous as there are, those of largest score; of equal "
        "scores the earlier samples.",
    ),
    "average_precision": Convention(
        "Average precision", "Area under the precision-recall curve of the anomalies, as a step function."
    ),
    "f1_macro": Convention(
        "F1, macro", "Harmonic mean of precision and recall of each class, averaged with equal weight per class."
    ),
    "f1_weighted": Convention(
        "F1, weighted", "Harmonic mean of precision and recall of each class, averaged by the classes' true counts."
    ),
    "mae": Convention("MAE", "Mean absolute error over all samples, in units of the label.", False),
    "rmse": Convention("RMSE", "Root of the mean squared error over all samples, in units of the label.", False),
    "pearson_r": Convention("Pearson r", "Linear correlation of prediction and truth over all samples."),
    "acc7": Convention(
        "Acc-7",
        "Prediction and truth are clipped to [−3, 3] and rounded to the nearest integer, halves to the even one; "
        "share of samples that agree. All samples.",
    ),
    "acc2_nonneg": Convention(
        "Acc-2, ≥ 0", "All samples; a score of 0 or more against one below 0, for prediction and truth alike."
    ),
    "f1_nonneg": Convention("F1, ≥ 0", "F1 of the same two classes as Acc-2 (≥ 0), weighted by their true counts."),
    "acc2_nonzero": Convention(
        "Acc-2, ≠ 0",
        "Samples with a true score of exactly 0 are left out; positive against negative, and a prediction of exactly "
        "0 counts as positive.",
    ),
    "f1_nonzero": Convention("F1, ≠ 0", "F1 of the same two classes as Acc-2 (≠ 0), weighted by their true counts."),
    "mae_nonzero": Convention("MAE, ≠ 0", "Mean absolute error over the samples whose true score is not 0.", False),
    "pearson_r_nonzero": Convention("Pearson r, ≠ 0", "Correlation over the samples whose true score is not 0."),
}
"""Metrics by the name that a task gives them; a task may bring others, which are shown under that name."""


def convention(metric: str) -> Convention:
    """The convention of a metric; an unknown one is shown by its own name, without a claim about it."""
    return CONVENTIONS.get(metric, Convention(metric.replace("_", " "), "As the task defines it."))


def shown(value: float | None, signed: bool = False) -> str:
    """A number for a reader: three decimals near one, three figures elsewhere, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    text = (
        f"{value:+.3g}" if signed else f"{value:.3f}" if size < 100 and (size >= 0.01 or value == 0) else f"{value:.3g}"
    )
    return text.replace("-", "−")
