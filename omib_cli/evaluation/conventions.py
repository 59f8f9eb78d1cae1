"""What each metric is called, which way is better, and exactly what was computed, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_DECIMALS = 6
"""Beyond these, numbers are written with powers of ten."""


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
    "balanced_accuracy": Convention(
        "Balanced accuracy",
        "Share of each class's samples that are predicted right, averaged with equal weight per class.",
    ),
    "ece": Convention(
        "ECE",
        "Expected calibration error: samples in bins of equal numbers by the probability of their predicted class, as "
        "many bins as the cube root of the number of samples (15 at most); mean distance of a bin's accuracy from its "
        "mean probability. Few samples make it larger, and its interval with it: noise counts as an error.",
        False,
    ),
    "brier": Convention(
        "Brier score",
        "Mean squared distance of the class probabilities from the truth: of the second class for two, summed over the "
        "classes for more.",
        False,
    ),
    "log_loss": Convention("Log-loss", "Mean of −ln p of the true class, in nats.", False),
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
    "concordance": Convention(
        "Concordance",
        "Harrell's index: of the pairs of samples whose order of events is known, the share in which the earlier event "
        "has the larger predicted risk; equal risks count half. Depends on the censoring.",
    ),
    "time_dependent_auc": Convention(
        "Time-dependent AUC",
        "The chance that a sample with the event by a time has a larger risk than one without, cases weighed by the "
        "inverse of the chance of being followed so long; mean over the quartiles of the training events' times.",
    ),
    "integrated_brier": Convention(
        "Brier score, integrated",
        "Mean squared difference of predicted survival (baseline hazard of the training split) and being free of the "
        "event, weighed for censoring, from time 0 to the third quartile of the training events' times.",
        False,
    ),
}
"""Metrics by the name that a task gives them; a task may bring others, which are shown under that name."""


def convention(metric: str) -> Convention:
    """The convention of a metric; an unknown one is shown by its own name, without a claim about it."""
    return CONVENTIONS.get(metric, Convention(metric.replace("_", " "), "As the task defines it."))


def shown(value: float | None) -> str:
    """A number for a reader: three decimals below a hundred, one below a million, three figures elsewhere."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e6 or 0 < size < 0.01:
        return _plain(f"{value:.3g}")
    return _fixed(value, 3 if size < 100 else 1)


def shown_alike(values: Sequence[float], signed: bool = False) -> list[str]:
    """Numbers that are read together, with as many decimals as tell them apart: two figures of the least distance.

    At most three decimals where that is enough, so that equal ones do not look more exact than others.
    """
    known = [value for value in values if math.isfinite(value)]
    steps = [abs(a - b) for i, a in enumerate(known) for b in known[:i] if a != b]
    size = max((abs(value) for value in known), default=0.0)
    least = 3 if size < 100 else 1
    decimals = max(least, 1 - math.floor(math.log10(min(steps)))) if steps and least else least
    if decimals > MOST_DECIMALS or size >= 1e6:
        return [_plain(f"{value:+.4g}" if signed else f"{value:.4g}") for value in values]
    return [_fixed(value, decimals, signed) for value in values]


def _fixed(value: float, decimals: int, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    return _plain(f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}")


def _plain(text: str) -> str:
    return text.replace("-", "−")
