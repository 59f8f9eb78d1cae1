"""What a prediction proves about information: a lower bound on I(ξ; y) in nats, from held-out samples."""

from __future__ import annotations

import math

import numpy as np

from omib_cli.evaluation.runs import Run


def task_information(run: Run) -> float:
    """Lower bound on I(ξ; y) in nats on the headline split; NaN for a task that predicts no distribution of y.

    Classification: H(y) of the split's labels less the cross-entropy of the fused prediction (Barber and Agakov 2003).
    Regression: ½ ln(var(y) / mean squared error), the same with Gaussians. Below 0 the prediction is worse than the
    split's own label frequencies, or mean.
    """
    fused = run.predictors[0]
    rows = (run.split == run.headline) & fused.present & np.isfinite(run.labels)
    outputs, labels = fused.outputs[rows].astype(np.float64), run.labels[rows]
    if not len(labels):
        return math.nan
    if run.recipe.task.kind == "classification":
        codes = labels.astype(np.intp)
        shares = np.bincount(codes) / len(codes)
        entropy = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
        chosen = outputs[np.arange(len(codes)), codes]
        return entropy + float(np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())
    if run.recipe.task.kind == "regression":
        error = float(np.square(outputs[:, 0] - labels).mean())
        return 0.5 * math.log(float(labels.var()) / error) if error > 0 and labels.var() > 0 else math.nan
    return math.nan
