"""Whether probabilities mean what they say: bins of equal numbers of samples, and how far they are from the truth.

Notation: N samples, R resamples of them, K bins. A *confidence* is the probability of the class that is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_BINS = 15
"""Most bins of a calibration error."""


@dataclass(frozen=True)
class Bins:
    """Mean confidence (K,) and accuracy (K,) of ``count`` samples each (of equal confidences a share), in order."""

    confidence: Floats
    accuracy: Floats
    count: float

    @property
    def error(self) -> float:
        """The expected calibration error."""
        return float(np.abs(self.accuracy - self.confidence).mean())


def bin_count(samples: float) -> int:
    """K for so many samples: their cube root, at which bias and noise of the error are in balance; 15 at most."""
    return max(1, min(MOST_BINS, round(math.cbrt(samples))))


def confidence_and_hits(scores: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Confidence (N,) and whether the prediction is right (N,), from log-probabilities (N, C) and labels (N,)."""
    return np.exp(scores.max(axis=1)), (scores.argmax(axis=1) == labels).astype(np.float64)


def binned(confidence: Floats, hits: Floats) -> Bins:
    """Samples in bins of equal numbers, from the least to the most confident."""
    sums = _cumulated(confidence, np.stack([confidence, hits]))(np.ones((1, len(hits))))
    total = float(len(hits))
    edges = np.linspace(0.0, total, bin_count(total) + 1)
    each = total / (len(edges) - 1)
    means = [np.diff(np.interp(edges, sums[0][0], values[0])) / each for values in sums[1:]]
    return Bins(means[0], means[1], each)


def calibration_error(confidence: Floats, hits: Floats) -> Callable[[Floats], Floats]:
    """The expected calibration error as a function of how often a resample drew each sample: (R, N) to (R,)."""
    prepared = _cumulated(confidence, (hits - confidence)[None])

    def apply(counts: Floats) -> Floats:
        weights, gaps = prepared(counts)
        return np.array([_error(*row) for row in zip(weights, gaps, strict=True)])

    return apply


def _error(weights: Floats, gaps: Floats) -> float:
    """From cumulated numbers and gaps of samples, by confidence."""
    total = weights[-1]
    if total == 0:
        return float("nan")
    edges = np.linspace(0.0, total, bin_count(total) + 1)
    return float(np.abs(np.diff(np.interp(edges, weights, gaps))).sum() / total)


def _cumulated(confidence: Floats, values: Floats) -> Callable[[Floats], list[Floats]]:
    """Counts (R, N) to cumulated numbers of samples and cumulated values (V, N), each (R, T + 1), by confidence.

    Equal confidences are taken together (T of them are different), so that an edge which falls among them takes a
    share of all, and the order of the samples has no say.
    """
    order = np.argsort(confidence, kind="stable")
    ranked = confidence[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])

    def apply(counts: Floats) -> list[Floats]:
        weights = counts[:, order]
        parts = [weights, *[weights * own[order] for own in values]]
        sums = [np.cumsum(np.add.reduceat(part, starts, axis=1), axis=1) for part in parts]
        return [np.pad(each, ((0, 0), (1, 0))) for each in sums]

    return apply


def error_by_chance(confidence: Floats, seed: int, draws: int = 200) -> float:
    """The error that confidences (N,) which are exactly right have on average over so many samples: noise alone."""
    rng = np.random.default_rng(seed)
    hits = (rng.random((draws, len(confidence))) < confidence).astype(np.float64)
    return float(np.mean([calibration_error(confidence, row)(np.ones((1, len(row))))[0] for row in hits]))


def squared_errors(scores: Floats, labels: Floats) -> Floats:
    """What each sample adds to the Brier score (N,): squared distance from the truth, of two classes that of one."""
    wrong = np.exp(scores)
    wrong[np.arange(len(labels)), labels.astype(np.intp)] -= 1.0
    total: Floats = np.square(wrong).sum(axis=1)
    return total / 2.0 if scores.shape[1] == 2 else total


def surprises(scores: Floats, labels: Floats) -> Floats:
    """-ln p of the true class of each sample (N,), in nats."""
    return -scores[np.arange(len(labels)), labels.astype(np.intp)]
