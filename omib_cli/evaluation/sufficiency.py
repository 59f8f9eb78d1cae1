"""The information plane of a run: what the embedding holds of the task, and of the modalities, from held-out samples.

Every quantity is a mean over samples in nats, so that its interval comes from resampling them (their groups where
there are any). Notation: N samples, M modalities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.metrics import Measurement, interval
from omib_cli.evaluation.resampling import count_chunks, group_codes
from omib_cli.evaluation.runs import Predictor, Run
from omib_cli.runtime.seeds import derive_seed

TINY = float(np.finfo(np.float32).tiny)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """A quantity in nats with its interval, and what it is in words."""

    name: str
    estimate: Measurement
    words: str


def information_plane(run: Run, bootstrap: int) -> list[Quantity]:
    """Sufficiency, redundancy and what each modality's branch still adds; those that the run can give.

    * I(ξ; y) at least: H(y) of the split's labels less the cross-entropy of the fused prediction (Barber and Agakov
      2003); of a regression ½ ln(var(y) / mean squared error), the same with Gaussians.
    * Σ KL: the divergence of all bottlenecks from their prior, an upper bound on I(ξ; v_1..v_M) of sampled codes.
    * KL(ŷ_i ‖ ŷ): how far the prediction of a branch, which sees z_i beside ξ, is from that of ξ alone.
    """
    rows = (run.split == run.headline) & run.predictors[0].present & np.isfinite(run.labels)
    if not rows.any():
        return []
    counts = _resamples(run, rows, bootstrap)
    found = []
    sufficiency = _sufficiency(run, rows, counts)
    if sufficiency is not None:
        found.append(Quantity("I(ξ; y)", sufficiency, "is at least this: what the embedding's prediction proves"))
    if run.compression:
        total = np.sum([values[rows] for values in run.compression.values()], axis=0)
        words = (
            "the bottlenecks' divergence from their prior: with their noise on, I(ξ; all modalities) is at most this"
        )
        found.append(Quantity("Σ KL", _mean(total, counts), words))
    if run.branches_see_embedding:
        for branch in run.predictors[1:]:
            gap = _divergence(run, branch)
            if gap is not None:
                seen = branch.present[rows]
                estimate = _mean(gap[rows][seen], [each[:, seen] for each in counts])
                words = f"what {branch.name} beside ξ changes in the prediction"
                found.append(Quantity(f"KL(ŷ {branch.name} ‖ ŷ)", estimate, words))
    return found


def task_information(run: Run) -> float:
    """The lower bound on I(ξ; y) in nats on the headline split; NaN where the task predicts no distribution of y."""
    rows = (run.split == run.headline) & run.predictors[0].present & np.isfinite(run.labels)
    estimate = _sufficiency(run, rows, []) if rows.any() else None
    return math.nan if estimate is None else estimate.value


def _resamples(run: Run, rows: NDArray[np.bool_], bootstrap: int) -> list[Floats]:
    codes = None if run.groups is None else group_codes(run.groups[rows])
    seed = derive_seed(run.recipe.seed, "bootstrap", run.headline)
    return list(count_chunks(bootstrap, int(rows.sum()), codes, seed))


def _sufficiency(run: Run, rows: NDArray[np.bool_], counts: list[Floats]) -> Measurement | None:
    outputs, labels = run.predictors[0].outputs[rows].astype(np.float64), run.labels[rows]
    if run.recipe.task.kind == "classification":
        codes = labels.astype(np.intp)
        log_loss = -np.log(np.maximum(outputs[np.arange(len(codes)), codes], TINY))
        members = np.eye(outputs.shape[1])[codes]

        def bound(weights: Floats) -> Floats:
            total = weights.sum(axis=1)
            shares = weights @ members / total[:, None]
            entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
            return np.asarray(entropy - weights @ log_loss / total)

    elif run.recipe.task.kind == "regression":
        errors, centred = np.square(outputs[:, 0] - labels), labels - labels.mean()

        def bound(weights: Floats) -> Floats:
            total = weights.sum(axis=1)
            variance = weights @ centred**2 / total - (weights @ centred / total) ** 2
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(0.5 * np.log(variance / (weights @ errors / total)))

    else:
        return None
    value = float(bound(np.ones((1, len(labels))))[0])
    return interval(value, np.concatenate([bound(each) for each in counts])) if counts else Measurement(value)


def _mean(values: Floats, counts: list[Floats]) -> Measurement:
    """A mean over samples (N,) with the interval of its resamples."""
    if not len(values):
        return Measurement(math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = [each @ values / each.sum(axis=1) for each in counts]
    value = float(values.mean())
    return interval(value, np.concatenate(draws)) if draws else Measurement(value)


def _divergence(run: Run, branch: Predictor) -> Floats | None:
    """KL of a branch's prediction from the fused one, (N,); as the task has it, None where outputs are scores."""
    p, q = branch.outputs.astype(np.float64), run.predictors[0].outputs.astype(np.float64)
    if run.recipe.task.kind == "classification":
        p, q = np.maximum(p, TINY), np.maximum(q, TINY)
        return np.asarray((p * (np.log(p) - np.log(q))).sum(axis=1))
    if run.recipe.task.kind == "regression":
        return np.asarray(0.5 * np.square(p - q).sum(axis=1))
    return None
