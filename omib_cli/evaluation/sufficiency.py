"""The information plane of a run: what the embedding holds of the task, and of the modalities, from held-out samples.

Every quantity is a mean over samples in nats, so that its interval comes from resampling them (their groups where
there are any). Notation: N samples, M modalities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.metrics import Measurement, interval
from omib_cli.evaluation.resampling import count_chunks, group_codes
from omib_cli.evaluation.runs import Predictor, Run
from omib_cli.runtime.seeds import derive_seed

Floats = NDArray[np.float64]
Resamples = Callable[[], Iterator[Floats]]
"""Draws the same resamples anew, as counts (R, N) in chunks: all at once they take R times the samples' memory."""
NEIGHBOURS = 3
LEAST_LABELS = 20
"""Fewer labels say little about a density."""


@dataclass(frozen=True)
class Quantity:
    """A quantity with its interval and unit, and what it is in words."""

    name: str
    estimate: Measurement
    words: str
    unit: str = "nats"


def information_plane(run: Run, bootstrap: int) -> list[Quantity]:
    """Sufficiency, redundancy and what each modality's branch still adds; those that the run can give.

    * I(ξ; y) at least: H(y) of the split's labels less the cross-entropy of the fused prediction (Barber and Agakov
      2003). Of a regression the label's differential entropy is estimated from nearest neighbours, since a Gaussian of
      its variance has the largest there is and would claim too much; labels with ties have none.
    * Σ KL: the divergence of all bottlenecks from their prior, an upper bound on I(ξ; v_1..v_M) of sampled codes.
    * KL(ŷ_i ‖ ŷ): how far the prediction of a branch, which sees z_i beside ξ, is from that of ξ alone.
    """
    rows = (run.split == run.headline) & run.predictors[0].present & np.isfinite(run.labels)
    if not rows.any():
        return []
    resamples = _resamples(run, rows, bootstrap)
    found = []
    sufficiency = _sufficiency(run, rows, resamples)
    if sufficiency is not None:
        found.append(Quantity("I(ξ; y)", sufficiency, _claim(run)))
    if run.compression:
        total = np.sum([values[rows] for values in run.compression.values()], axis=0)
        words = "the bottlenecks' divergence from their prior, summed over their dimensions: "
        words += "with their noise on, I(ξ; all modalities) is at most this"
        if run.draws > 1:
            words += f" for an ξ of one draw; this one averages {run.draws}, and may hold more"
        found.append(Quantity("Σ KL", _mean(total, resamples), words))
    if run.branches_see_embedding:
        for branch in run.predictors[1:]:
            gap = _divergence(run, branch)
            if gap is not None:
                seen = branch.present[rows]
                estimate = _mean(gap[rows][seen], resamples, seen)
                words, unit = f"what {branch.name} beside ξ changes in the prediction", "nats"
                if run.recipe.task.kind == "regression":
                    words, unit = f"{words}; of Gaussians with variance 1", "label's unit squared"
                found.append(Quantity(f"KL(ŷ {branch.name} ‖ ŷ)", estimate, words, unit))
    return found


def _claim(run: Run) -> str:
    """What the bound on I(ξ; y) is, in words."""
    if run.headline == "train":
        return "the bound of the samples that the model was fitted to, and so no bound for new ones"
    words = "is at least this: what the embedding's prediction proves"
    if run.recipe.task.kind == "regression":
        words += ", if the label's entropy, estimated from nearest neighbours, is right"
    if run.headline == "validation":
        words += "; optimistic where this split chose the epoch"
    return words


def task_information(run: Run) -> float:
    """The lower bound on I(ξ; y) in nats on the headline split; NaN where the task predicts no distribution of y."""
    rows = (run.split == run.headline) & run.predictors[0].present & np.isfinite(run.labels)
    estimate = _sufficiency(run, rows, lambda: iter(())) if rows.any() else None
    return math.nan if estimate is None else estimate.value


def _resamples(run: Run, rows: NDArray[np.bool_], bootstrap: int) -> Resamples:
    codes = None if run.groups is None else group_codes(run.groups[rows])
    seed = derive_seed(run.recipe.seed, "bootstrap", run.headline)
    return lambda: count_chunks(bootstrap, int(rows.sum()), codes, seed)


def _sufficiency(run: Run, rows: NDArray[np.bool_], resamples: Resamples) -> Measurement | None:
    """H(y) less the cross-entropy of the fused prediction, both as means over the same samples; None without either.

    Since the entropy's own terms are resampled, not the frequencies behind them, its bias does not enter twice.
    """
    scores, labels = run.predictors[0].scores[rows], run.labels[rows]
    if run.recipe.task.kind == "classification":
        codes = labels.astype(np.intp)
        shares = np.bincount(codes, minlength=scores.shape[1]) / len(codes)
        bias = ((shares > 0).sum() - 1) / (2 * len(codes))  # of an entropy of frequencies (Miller 1955)
        return _mean(scores[np.arange(len(codes)), codes] - np.log(shares[codes]) + bias, resamples)
    if run.recipe.task.kind == "regression" and (surprises := surprises_of(labels)) is not None:
        return _gaussian_bound(surprises, np.square(scores[:, 0] - labels), resamples)
    return None


def _gaussian_bound(surprises: Floats, errors: Floats, resamples: Resamples) -> Measurement:
    """h(y) less the cross-entropy of a Gaussian around the prediction, whose variance is the mean squared error.

    Any variance gives a bound; to choose it on the samples that are judged flatters by 1 / 2N, which is taken off.
    """

    def bound(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = 0.5 * np.log(2.0 * np.pi * np.e * (weights @ errors) / total)
        return np.asarray(weights @ surprises / total - loss - 0.5 / len(errors))

    value = float(bound(np.ones((1, len(errors))))[0])
    draws = [bound(each) for each in resamples()]
    return interval(value, np.concatenate(draws)) if draws else Measurement(value)


def surprises_of(labels: Floats) -> Floats | None:
    """-ln of each label's density in nats (N,), from its nearest neighbours; their mean is the differential entropy.

    Kozachenko and Leonenko's (1987) estimate, as Kraskov et al. (2004) write it: psi(N) - psi(k) + ln(2 distance to the
    k-th neighbour). None for labels with ties, which have no density, and for too few of them.
    """
    from scipy.special import digamma

    ordered = np.sort(labels)
    if len(ordered) < LEAST_LABELS or not np.diff(ordered).all():
        return None
    padded = np.pad(ordered, NEIGHBOURS, constant_values=(-np.inf, np.inf))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)  # k below, itself, k above
    distance = np.sort(np.abs(around - ordered[:, None]), axis=1)[:, NEIGHBOURS]
    distance = distance[np.argsort(np.argsort(labels))]
    return np.asarray(digamma(len(ordered)) - digamma(NEIGHBOURS) + np.log(2.0 * distance))


def _mean(values: Floats, resamples: Resamples, seen: NDArray[np.bool_] | None = None) -> Measurement:
    """A mean over samples (N,) with the interval of its resamples; ``seen`` says which of all samples these are."""
    if not len(values):
        return Measurement(math.nan)
    own = slice(None) if seen is None or seen.all() else seen
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = [each[:, own] @ values / each[:, own].sum(axis=1) for each in resamples()]
    value = float(values.mean())
    return interval(value, np.concatenate(draws)) if draws else Measurement(value)


def _divergence(run: Run, branch: Predictor) -> Floats | None:
    """KL of a branch's prediction from the fused one, (N,); None where outputs are anomaly scores."""
    p, q = branch.scores, run.predictors[0].scores
    if run.recipe.task.kind == "classification":
        return np.asarray((np.exp(p) * (p - q)).sum(axis=1))
    if run.recipe.task.kind == "regression":
        return np.asarray(0.5 * np.square(p - q).sum(axis=1))
    return None
