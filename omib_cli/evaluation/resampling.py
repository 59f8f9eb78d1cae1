"""Bootstrap resamples as counts per sample, and metrics of many resamples at once.

A resample is a row of counts: how often it drew each sample. Most metrics are then a matrix product. The metrics of
``WEIGHTED`` give for each row exactly what the task's own metric gives for the repeated samples (a test holds them
to it); a metric that is not there is computed by the task, resample after resample.

Why a matrix of counts and no lists of rows: a thousand resamples of ten thousand samples, each copied and handed to
scikit-learn, take minutes for every metric; as weights, what is sorted is sorted once for all resamples. So a metric
has two steps: scores and labels give a function, which gives the metric's values for counts.

Notation: N samples, R resamples, C outputs; ``counts`` is (R, N); ``scores`` are :meth:`Task.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from omib_cli.tasks.base import Task
from omib_cli.tasks.calibration import calibration_error, confidence_and_hits, squared_errors, surprises
from omib_cli.tasks.classification import log_odds

Floats = NDArray[np.float64]
Reweighted = Callable[[Floats], Floats]
"""Counts (R, N) to the metric of each resample (R,)."""
Metric = Callable[[Floats, Floats], Reweighted]
"""Scores (N, C) and labels (N,) to the metric as a function of counts."""

CHUNK_CELLS = 250_000
"""Most cells of ``counts`` that are worked on at once, unless a row has more: 2 MiB, which fit into a cache."""
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


def resampler(
    task: Task, scores: Floats, labels: Floats, names: Sequence[str]
) -> Callable[[Floats], dict[str, Floats]]:
    """The metrics ``names`` as a function of counts (R, N), each (R,), NaN where undefined."""
    own = task.reweighted(scores, labels)
    weighted = {name: WEIGHTED[name](scores, labels) for name in names if name in WEIGHTED and name not in own}
    weighted |= {name: metric for name, metric in own.items() if name in names}
    rest = [name for name in names if name not in weighted]

    def apply(counts: Floats) -> dict[str, Floats]:
        found = {name: metric(counts) for name, metric in weighted.items()}
        return found | (_one_by_one(task, scores, labels, rest, counts) if rest else {})

    return apply


def _one_by_one(task: Task, scores: Floats, labels: Floats, names: list[str], counts: Floats) -> dict[str, Floats]:
    rows = [np.repeat(np.arange(len(labels)), row.astype(np.intp)) for row in counts]
    each = [task.metrics(scores[index], labels[index]) for index in rows]
    return {name: np.array([values.get(name, np.nan) for values in each]) for name in names}


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))


def _mean(values: Floats, counts: Floats) -> Floats:
    return _ratio(counts @ values, counts.sum(axis=1))


def _mean_of(values: Floats) -> Reweighted:
    return partial(_mean, values)


def accuracy(outputs: Floats, labels: Floats) -> Reweighted:
    """Share of samples whose most probable class is the true one."""
    return _mean_of((outputs.argmax(axis=1) == labels).astype(np.float64))


def f1_of_codes(truth: NDArray[np.intp], guess: NDArray[np.intp], average: str) -> Reweighted:
    """F1 over the classes that a resample has in truth or prediction, averaged ``macro`` or ``weighted``."""
    classes = int(max(truth.max(), guess.max())) + 1
    is_hit = truth == guess
    hit = truth[is_hit]

    def apply(counts: Floats) -> Floats:
        support, claimed = _by_code(truth, counts, classes), _by_code(guess, counts, classes)
        hits = _by_code(hit, counts[:, is_hit], classes)
        there = support + claimed > 0
        f1 = np.where(there, 2.0 * hits / np.where(there, support + claimed, 1.0), 0.0)
        weights = support if average == "weighted" else there.astype(np.float64)
        return _ratio((f1 * weights).sum(axis=1), weights.sum(axis=1))

    return apply


def balanced_accuracy(outputs: Floats, labels: Floats) -> Reweighted:
    """Mean recall of the classes that a resample has."""
    truth = labels.astype(np.intp)
    classes, is_hit = int(truth.max()) + 1, outputs.argmax(axis=1) == truth

    def apply(counts: Floats) -> Floats:
        support, hits = _by_code(truth, counts, classes), _by_code(truth[is_hit], counts[:, is_hit], classes)
        there = support > 0
        return _ratio((hits / np.where(there, support, 1.0)).sum(axis=1), there.sum(axis=1).astype(np.float64))

    return apply


def expected_calibration_error(outputs: Floats, labels: Floats) -> Reweighted:
    """Distance of accuracy and confidence in bins of equal numbers of each resample's samples."""
    return calibration_error(*confidence_and_hits(outputs, labels))


def brier(outputs: Floats, labels: Floats) -> Reweighted:
    """Mean squared error of the class probabilities."""
    return _mean_of(squared_errors(outputs, labels))


def log_loss(outputs: Floats, labels: Floats) -> Reweighted:
    """Mean of -ln p of the true class."""
    return _mean_of(surprises(outputs, labels))


def _by_code(codes: NDArray[np.intp], counts: Floats, size: int) -> Floats:
    """How often each resample drew samples of each code: (R, size)."""
    return np.stack([np.bincount(codes, weights=row, minlength=size) for row in counts])


def _f1(outputs: Floats, labels: Floats, average: str) -> Reweighted:
    return f1_of_codes(labels.astype(np.intp), outputs.argmax(axis=1), average)


def binary_auc(scores: Floats, positive: NDArray[np.bool_]) -> Reweighted:
    """Area under the ROC curve, ties counting half; NaN where a resample lacks one of the two sides.

    Mann and Whitney's count of pairs: each sample of the smaller side meets all of the other side below it and half
    of those that equal it, which are sums of the other side's counts in the order of its scores.
    """
    few_are_positive = 2 * np.count_nonzero(positive) <= len(positive)
    few, many = (_ordered(scores, side) for side in (positive, ~positive)[:: 1 if few_are_positive else -1])
    below, up_to = (np.searchsorted(scores[many], scores[few], side=side) for side in ("left", "right"))
    has_ties = bool((below != up_to).any())

    def apply(counts: Floats) -> Floats:
        sums = np.zeros((len(counts), len(many) + 1))
        np.cumsum(counts[:, many], axis=1, out=sums[:, 1:])
        met = (sums[:, below] + sums[:, up_to]) / 2.0 if has_ties else sums[:, below]
        own = counts[:, few]
        won, pairs = (own * met).sum(axis=1), own.sum(axis=1) * sums[:, -1]
        return _ratio(won if few_are_positive else pairs - won, pairs)

    return apply


def _ordered(scores: Floats, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The chosen samples from the smallest score to the largest."""
    places = np.flatnonzero(chosen)
    return places[np.argsort(scores[places], kind="stable")]


def auc(outputs: Floats, labels: Floats) -> Reweighted:
    """AUC of a score, or of the second of two classes; for more, the mean of the one-versus-rest areas."""
    if outputs.shape[1] == 1:
        return binary_auc(outputs[:, 0], labels == 1)
    odds = log_odds(outputs)
    if outputs.shape[1] == 2:
        return binary_auc(odds[:, 1], labels == 1)
    areas = [binary_auc(odds[:, code], labels == code) for code in range(outputs.shape[1])]

    def apply(counts: Floats) -> Floats:
        return np.asarray(sum(area(counts) for area in areas) / len(areas))

    return apply


def f1_at_true_count(outputs: Floats, labels: Floats) -> Reweighted:
    """F1 when as many samples are called anomalous as there are, those of largest score, of equals the earlier."""
    order = np.argsort(-outputs[:, 0], kind="stable")
    positive = (labels[order] == 1).astype(np.float64)

    def apply(counts: Floats) -> Floats:
        weights = counts[:, order]
        wanted = weights @ positive
        # Of the repeated samples, best first, the first `wanted` are called: of each what of its count falls in.
        before = np.cumsum(weights, axis=1) - weights
        called = np.clip(wanted[:, None] - before, 0.0, weights)
        known = np.where(wanted < weights.sum(axis=1), wanted, 0.0)  # with nothing but anomalies it is undefined
        return _ratio(called @ positive, known)

    return apply


def average_precision(outputs: Floats, labels: Floats) -> Reweighted:
    """Precision averaged over the anomalies, equal scores taken together."""
    order = np.argsort(-outputs[:, 0], kind="stable")
    ranked, positive = outputs[order, 0], (labels[order] == 1).astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])

    def apply(counts: Floats) -> Floats:
        weights = counts[:, order]
        found = np.add.reduceat(weights * positive, starts, axis=1)
        called = np.cumsum(np.add.reduceat(weights, starts, axis=1), axis=1)
        precision = np.cumsum(found, axis=1) / np.maximum(called, 1.0)
        total = found.sum(axis=1)
        return _ratio((found * precision).sum(axis=1), np.where(total < counts.sum(axis=1), total, 0.0))

    return apply


def mae(outputs: Floats, labels: Floats) -> Reweighted:
    """Mean absolute error."""
    return _mean_of(np.abs(outputs[:, 0] - labels))


def rmse(outputs: Floats, labels: Floats) -> Reweighted:
    """Root mean squared error."""
    mean = _mean_of(np.square(outputs[:, 0] - labels))
    return lambda counts: np.asarray(np.sqrt(mean(counts)))


def pearson_r(outputs: Floats, labels: Floats) -> Reweighted:
    """Pearson's correlation, NaN where either side is constant."""
    a, b = outputs[:, 0] - outputs[:, 0].mean(), labels - labels.mean()  # centred first: the products stay accurate
    floor = 1e-20 * max(float((a * a).mean() * (b * b).mean()), 1e-300)

    def apply(counts: Floats) -> Floats:
        mean_a, mean_b = _mean(a, counts), _mean(b, counts)
        variances = (_mean(a * a, counts) - mean_a**2) * (_mean(b * b, counts) - mean_b**2)
        covariance = np.where(variances > floor, _mean(a * b, counts) - mean_a * mean_b, np.nan)
        return np.asarray(covariance / np.sqrt(np.maximum(variances, floor)))

    return apply


def acc7(outputs: Floats, labels: Floats) -> Reweighted:
    """Agreement after clipping to [-3, 3] and rounding half to even."""
    same = np.round(np.clip(outputs[:, 0], -3, 3)) == np.round(np.clip(labels, -3, 3))
    return _mean_of(same.astype(np.float64))


def acc2(outputs: Floats, labels: Floats) -> Reweighted:
    """Agreement on the sign, 0 counting as positive."""
    return _mean_of(((outputs[:, 0] >= 0) == (labels >= 0)).astype(np.float64))


def f1_sign(outputs: Floats, labels: Floats) -> Reweighted:
    """Weighted F1 of the sign, 0 counting as positive."""
    return f1_of_codes((labels >= 0).astype(np.intp), (outputs[:, 0] >= 0).astype(np.intp), "weighted")


def without_zeros(metric: Metric) -> Metric:
    """The metric over samples whose label is not 0."""

    def prepare(outputs: Floats, labels: Floats) -> Reweighted:
        keep = labels != 0
        inner = metric(outputs[keep], labels[keep])
        return lambda counts: inner(counts[:, keep])

    return prepare


WEIGHTED: dict[str, Metric] = {
    "accuracy": accuracy,
    "auc": auc,
    "balanced_accuracy": balanced_accuracy,
    "ece": expected_calibration_error,
    "brier": brier,
    "log_loss": log_loss,
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
