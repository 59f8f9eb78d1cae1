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
CELLS = 2_000_000
"""Most pairs that are held at once."""
GRID = 100
"""Times at which the Brier score is taken."""


def concordance(risk: Floats, labels: Floats) -> Reweighted:
    """Harrell's concordance index: of the pairs whose order is known, those in which the earlier has the larger risk.

    Equal risks count half. Known is the order of an event and whoever was followed longer, or as long and censored; two
    events at one time have none. It weighs no pair by the chance of having been seen, and so depends on the censoring.
    """
    time, event = np.abs(labels), labels > 0
    order = np.lexsort((~event, time))  # of equal times the events first: whoever comes after them was followed longer
    time, event, ranked = time[order], event[order], risk[order]
    cases = np.flatnonzero(event)
    later = np.searchsorted(time, time[cases], side="left") + _events_at(time, event)[cases]
    step = max(1, CELLS // max(1, len(risk)))

    def share(counts: Floats) -> Floats:
        weights = counts[:, order]
        left = np.concatenate([np.cumsum(weights[:, ::-1], axis=1)[:, ::-1], np.zeros((len(counts), 1))], axis=1)
        every, won = (weights[:, cases] * left[:, later]).sum(axis=1), np.zeros(len(counts))
        exact = weights.astype(np.float32)  # sums of halves below 2^24
        for start in range(0, len(cases), step):
            some, first = cases[start : start + step], int(later[start])
            own, others = ranked[some, None], ranked[None, first:]
            ahead = (own > others) + np.float32(0.5) * (own == others)
            ahead[np.arange(first, len(risk)) < later[start : start + step, None]] = 0.0
            won += (weights[:, some] * (exact[:, first:] @ ahead.T)).sum(axis=1)
        return _ratio(won, every)

    return share


def _events_at(time: Floats, event: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many events there are at each sample's time, (N,), times increasing."""
    first, last = np.searchsorted(time, time, side="left"), np.searchsorted(time, time, side="right")
    before = np.concatenate([[0], np.cumsum(event)])
    return np.asarray(before[last] - before[first])


def dynamic_auc(risk: Floats, labels: Floats, baseline: Baseline) -> Reweighted:
    """Cumulative, dynamic AUC (Uno et al. 2007), the mean of those at the horizons of the baseline.

    Up to a horizon t: the chance that who has had the event by t has a larger risk than who has not. Cases are weighed
    by the inverse of the chance of having been followed so long, as the training split says. Horizons at which there
    are not both kinds are left out.
    """
    time, event = np.abs(labels), labels > 0
    weight = 1.0 / np.maximum(baseline.uncensored(time, just_before=True), 1e-12)
    sides = [(event & (time <= horizon), time > horizon) for horizon in baseline.horizons]
    areas = [_area(risk, cases, weight, controls) for cases, controls in sides if cases.any() and controls.any()]

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


def _area(risk: Floats, is_case: NDArray[np.bool_], weight: Floats, is_control: NDArray[np.bool_]) -> Reweighted:
    """Area under the ROC curve of cases, each of its weight (N,), against controls; equal risks count half."""
    cases, controls = np.flatnonzero(is_case), np.flatnonzero(is_control)
    controls = controls[np.argsort(risk[controls], kind="stable")]
    below = np.searchsorted(risk[controls], risk[cases], side="left")
    up_to = np.searchsorted(risk[controls], risk[cases], side="right")

    def area(counts: Floats) -> Floats:
        sums = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts[:, controls], axis=1)], axis=1)
        own = counts[:, cases] * weight[cases]
        return _ratio((own * (sums[:, below] + sums[:, up_to])).sum(axis=1) / 2, own.sum(axis=1) * sums[:, -1])

    return area


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))
