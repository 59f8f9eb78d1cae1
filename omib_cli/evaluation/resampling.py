"""Bootstrap resamples as counts per sample, and metrics of many resamples at once.

A resample is a row of counts: how often it drew each sample. Most metrics are then a matrix product. The metrics of
``WEIGHTED`` give for each row exactly what the task's own metric gives for the repeated samples (a test holds them
to it); a metric that is not there is computed by the task, resample after resample.

Why a matrix of counts and no lists of rows: a thousand resamples of ten thousand samples, each copied and handed to
scikit-learn, take minutes for every metric; as weights, what is sorted is sorted once for all resamples.

Notation: N samples, R resamples, C outputs; ``counts`` is (R, N); ``scores`` are :meth:`Task.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from omib_cli.tasks.base import Task
from omib_cli.tasks.classification import log_odds

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]
"""(scores (N, C), labels (N,), counts (R, N)) to the metric of each resample (R,)."""

CHUNK_CELLS = 4_000_000
"""Most cells of ``counts`` that are worked on at once (32 MiB in float64)."""
MIN_GROUPS = 10
"""Fewest groups that are resampled as wholes; an interval from fewer would say little."""


def group_codes(groups: NDArray[np.str_] | None) -> NDArray[np.intp] | None:
    """Index of each sample's group (N,), or None where samples are to be resampled one by one."""
    if groups is None:
        return None
    names, codes = np.unique(groups, return_inverse=True)
    return codes if len(names) >= MIN_GROUPS else None


def count_chunks(total: int, size: int, codes: NDArray[np.intp] | None, seed: int) -> Iterator[Floats]:
    """``total`` resamples of ``size`` samples, or of their groups, in chunks of counts (R, N)."""
    rng = np.random.default_rng(seed)
    units = size if codes is None else int(codes.max()) + 1
    step = max(1, CHUNK_CELLS // max(1, size))
    for start in range(0, total, step):
        drawn = rng.integers(0, units, size=(min(step, total - start), units))
        # One bincount counts every row at once, since each row's units have numbers of their own.
        offsets = np.arange(len(drawn))[:, None] * units
        counts = np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        yield counts if codes is None else counts[:, codes]


def resampled(task: Task, scores: Floats, labels: Floats, names: list[str], counts: Floats) -> dict[str, Floats]:
    """The metrics ``names`` of each resample (R,), NaN where undefined."""
    found = {name: WEIGHTED[name](scores, labels, counts) for name in names if name in WEIGHTED}
    if rest := [name for name in names if name not in WEIGHTED]:
        found |= _one_by_one(task, scores, labels, rest, counts)
    return found


def _one_by_one(task: Task, scores: Floats, labels: Floats, names: list[str], counts: Floats) -> dict[str, Floats]:
    rows = [np.repeat(np.arange(len(labels)), row.astype(np.intp)) for row in counts]
    each = [task.metrics(scores[index], labels[index]) for index in rows]
    return {name: np.array([values.get(name, np.nan) for values in each]) for name in names}


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))


def _mean(values: Floats, counts: Floats) -> Floats:
    return _ratio(counts @ values, counts.sum(axis=1))


def accuracy(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Share of samples whose most probable class is the true one."""
    return _mean((outputs.argmax(axis=1) == labels).astype(np.float64), counts)


def f1_of_codes(truth: NDArray[np.intp], guess: NDArray[np.intp], counts: Floats, average: str) -> Floats:
    """F1 over the classes that a resample has in truth or prediction, averaged ``macro`` or ``weighted``."""
    classes = int(max(truth.max(), guess.max())) + 1
    support, claimed, hits = (np.zeros((len(counts), classes)) for _ in range(3))
    for code in range(classes):
        is_true, is_guessed = truth == code, guess == code
        support[:, code] = counts[:, is_true].sum(axis=1)
        claimed[:, code] = counts[:, is_guessed].sum(axis=1)
        hits[:, code] = counts[:, is_true & is_guessed].sum(axis=1)
    there = support + claimed > 0
    f1 = np.where(there, 2.0 * hits / np.where(there, support + claimed, 1.0), 0.0)
    weights = support if average == "weighted" else there.astype(np.float64)
    return _ratio((f1 * weights).sum(axis=1), weights.sum(axis=1))


def _f1(outputs: Floats, labels: Floats, counts: Floats, average: str) -> Floats:
    return f1_of_codes(labels.astype(np.intp), outputs.argmax(axis=1), counts, average)


def binary_auc(scores: Floats, positive: NDArray[np.bool_], counts: Floats) -> Floats:
    """Area under the ROC curve, ties counting half; NaN where a resample lacks one of the two sides.

    Mann and Whitney's count of pairs: samples sorted by score once, equal scores taken together, and for each such
    tie the positives in it meet all negatives below and half of the negatives beside them.
    """
    order = np.argsort(scores, kind="stable")
    ranked, is_positive = scores[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    weights = counts[:, order]
    above = np.add.reduceat(weights * is_positive, starts, axis=1)
    below = np.add.reduceat(weights * (1.0 - is_positive), starts, axis=1)
    under = np.cumsum(below, axis=1) - 0.5 * below
    return _ratio((above * under).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))


def auc(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """AUC of a score, or of the second of two classes; for more, the mean of the one-versus-rest areas."""
    if outputs.shape[1] == 1:
        return binary_auc(outputs[:, 0], labels == 1, counts)
    odds = log_odds(outputs)
    if outputs.shape[1] == 2:
        return binary_auc(odds[:, 1], labels == 1, counts)
    total = np.zeros(len(counts))
    for code in range(outputs.shape[1]):
        total += binary_auc(odds[:, code], labels == code, counts)
    return np.asarray(total / outputs.shape[1])


def f1_at_true_count(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """F1 when as many samples are called anomalous as there are, those of largest score, of equals the earlier."""
    order = np.argsort(-outputs[:, 0], kind="stable")
    weights, positive = counts[:, order], (labels[order] == 1).astype(np.float64)
    wanted = weights @ positive
    # Of the repeated samples, best first, the first `wanted` are called: of each sample what of its count falls in.
    before = np.cumsum(weights, axis=1) - weights
    called = np.clip(wanted[:, None] - before, 0.0, weights)
    known = np.where(wanted < weights.sum(axis=1), wanted, 0.0)  # with nothing but anomalies it is undefined
    return _ratio(called @ positive, known)


def average_precision(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Precision averaged over the anomalies, equal scores taken together."""
    order = np.argsort(-outputs[:, 0], kind="stable")
    ranked, positive = outputs[order, 0], (labels[order] == 1).astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    found = np.add.reduceat(counts[:, order] * positive, starts, axis=1)
    called = np.cumsum(np.add.reduceat(counts[:, order], starts, axis=1), axis=1)
    precision = np.cumsum(found, axis=1) / np.maximum(called, 1.0)
    total = found.sum(axis=1)
    return _ratio((found * precision).sum(axis=1), np.where(total < counts.sum(axis=1), total, 0.0))


def mae(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Mean absolute error."""
    return _mean(np.abs(outputs[:, 0] - labels), counts)


def rmse(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Root mean squared error."""
    return np.asarray(np.sqrt(_mean(np.square(outputs[:, 0] - labels), counts)))


def pearson_r(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Pearson's correlation, NaN where either side is constant."""
    a, b = outputs[:, 0] - outputs[:, 0].mean(), labels - labels.mean()  # centred first: the products stay accurate
    mean_a, mean_b = _mean(a, counts), _mean(b, counts)
    variances = (_mean(a * a, counts) - mean_a**2) * (_mean(b * b, counts) - mean_b**2)
    floor = 1e-20 * max(float((a * a).mean() * (b * b).mean()), 1e-300)
    covariance = np.where(variances > floor, _mean(a * b, counts) - mean_a * mean_b, np.nan)
    return np.asarray(covariance / np.sqrt(np.maximum(variances, floor)))


def acc7(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Agreement after clipping to [-3, 3] and rounding half to even."""
    same = np.round(np.clip(outputs[:, 0], -3, 3)) == np.round(np.clip(labels, -3, 3))
    return _mean(same.astype(np.float64), counts)


def acc2(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Agreement on the sign, 0 counting as positive."""
    return _mean(((outputs[:, 0] >= 0) == (labels >= 0)).astype(np.float64), counts)


def f1_sign(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
    """Weighted F1 of the sign, 0 counting as positive."""
    return f1_of_codes((labels >= 0).astype(np.intp), (outputs[:, 0] >= 0).astype(np.intp), counts, "weighted")


def without_zeros(metric: Metric) -> Metric:
    """The metric over samples whose label is not 0."""

    def apply(outputs: Floats, labels: Floats, counts: Floats) -> Floats:
        keep = labels != 0
        return metric(outputs[keep], labels[keep], counts[:, keep])

    return apply


WEIGHTED: dict[str, Metric] = {
    "accuracy": accuracy,
    "auc": auc,
    "f1_macro": partial(_f1, average="macro"),
    "f1_weighted": partial(_f1, average="weighted"),
    "f1": f1_at_true_count,
    "average_precision": average_precision,
    "mae": mae,
    "rmse": rmse,
    "pearson_r": pearson_r,
    "acc7": acc7,
    "acc2_nonneg": acc2,
    "f1_nonneg": f1_sign,
    "acc2_nonzero": without_zeros(acc2),
    "f1_nonzero": without_zeros(f1_sign),
    "mae_nonzero": without_zeros(mae),
    "pearson_r_nonzero": without_zeros(pearson_r),
}
"""By the names that the tasks use."""
