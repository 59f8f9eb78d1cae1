"""Metrics of log-hazards against censored times, each as a function of how often resamples drew each sample.

Notation: N samples, R resamples; ``risk`` (N,) log-hazards; ``labels`` (N,) signed times, positive where the event took
place; counts (R, N). Samples drawn several times count as so many samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from omib_cli.tasks.hazard import Baseline

Floats = NDArray[np.float64]
Reweighted = Callable[[Floats], Floats]
"""Counts (R, N) to the metric of each resample (R,), NaN where it is undefined."""
Comparable = Callable[[NDArray[np.intp]], NDArray[np.bool_]]
"""Cases (K,) to the samples (K, N) that each of them is compared with."""

CELLS = 4_000_000
"""Most pairs that are held at once."""
GRID = 100
"""Times at which the Brier score is taken."""


def concordance(risk: Floats, labels: Floats) -> Reweighted:
    """Harrell's concordance index: of the pairs whose order is known, those in which the earlier has the larger risk.

    Equal risks count half. Known is the order of an event and whoever was followed longer, or as long and censored; two
    events at one time have none. It weighs no pair by the chance of having been seen, and so depends on the censoring.
    """
    time, event = np.abs(labels), labels > 0

    def comparable(cases: NDArray[np.intp]) -> NDArray[np.bool_]:
        own = time[cases, None]
        return np.asarray((time > own) | ((time == own) & ~event))

    return _pairs(risk, np.flatnonzero(event), np.ones(len(risk)), comparable)


def dynamic_auc(risk: Floats, labels: Floats, baseline: Baseline) -> Reweighted:
    """Cumulative, dynamic AUC (Uno et al. 2007), the mean of those at the horizons of the baseline.

    Up to a horizon t: the chance that who has had the event by t has a larger risk than who has not. Cases are weighed
    by the inverse of the chance of having been followed so long, as the training split says. Horizons at which there
    are not both kinds are left out.
    """
    time, event = np.abs(labels), labels > 0
    weight = 1.0 / np.maximum(baseline.uncensored(time, just_before=True), 1e-12)
    areas = [
        _pairs(risk, np.flatnonzero(event & (time <= horizon)), weight, _followed_beyond(time, horizon))
        for horizon in baseline.horizons
        if (event & (time <= horizon)).any() and (time > horizon).any()
    ]

    def mean(counts: Floats) -> Floats:
        if not areas:
            return np.full(len(counts), np.nan)
        return np.asarray(np.mean([area(counts) for area in areas], axis=0))

    return mean


def brier_score(risk: Floats, labels: Floats, baseline: Baseline) -> Reweighted:
    """The Brier score of predicted survival (Graf et al. 1999), its mean from time 0 to the baseline's last horizon.

    At a time t the squared difference of predicted survival and whether the sample is free of the event, weighed by
    the inverse of the chance of being followed so long; who was censored before t counts 0.
    """
    time, event = np.abs(labels), labels > 0
    times = np.linspace(0.0, baseline.horizons[-1], GRID + 1)[1:]
    predicted = baseline.survival(risk, times)
    happened, free = (time[:, None] <= times) & event[:, None], time[:, None] > times
    own = np.maximum(baseline.uncensored(time, just_before=True), 1e-12)[:, None]
    others = np.maximum(baseline.uncensored(times), 1e-12)
    error = (happened * predicted**2 / own + free * (1.0 - predicted) ** 2 / others).mean(axis=1)
    return lambda counts: np.asarray(counts @ error / counts.sum(axis=1))


def _followed_beyond(time: Floats, horizon: float) -> Comparable:
    return lambda cases: np.broadcast_to(time > horizon, (len(cases), len(time)))


def _pairs(risk: Floats, cases: NDArray[np.intp], weight: Floats, comparable: Comparable) -> Reweighted:
    """Of the pairs of a case and a sample that it is compared with, the share in which the case has the larger risk.

    Parameters
    ----------
    weight
        (N,) of a pair, by its case.
    """
    step = max(1, CELLS // max(1, len(risk)))

    def share(counts: Floats) -> Floats:
        won, every = np.zeros(len(counts)), np.zeros(len(counts))
        for start in range(0, len(cases), step):
            some = cases[start : start + step]
            others = comparable(some)
            ahead = (risk[some, None] > risk) + 0.5 * (risk[some, None] == risk)
            own = counts[:, some] * weight[some]
            every += (own * (counts @ others.T.astype(np.float64))).sum(axis=1)
            won += (own * (counts @ (others * ahead).T)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(every > 0, won / every, np.nan)

    return share
