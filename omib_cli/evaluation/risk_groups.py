"""Thirds of the samples by predicted risk: what became of each, and whether they differ (lifelines)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.metrics import finite
from omib_cli.evaluation.runs import Run

Floats = NDArray[np.float64]

NAMES = ("low", "middle", "high")
"""The thirds, from the smallest risk."""
LEAST = 12
"""Fewer samples are not divided: a third would be three at most."""
TICKS = 6
"""About how many times the numbers at risk are given at."""


@dataclass(frozen=True)
class Third:
    """Kaplan and Meier's curve of a third of the samples.

    Attributes
    ----------
    count, events
        Samples, and how many of them had the event.
    times, survival, low, high
        (T,) where the curve steps, from 0 on, its value from there on, and its pointwise 95 % interval.
    censored
        Times at which samples were censored.
    at_risk
        Samples still followed at each of :attr:`RiskGroups.ticks`.
    """

    count: int
    events: int
    times: Floats
    survival: Floats
    low: Floats
    high: Floats
    censored: Floats
    at_risk: list[int]


@dataclass(frozen=True)
class RiskGroups:
    """The thirds by name, the times of the numbers at risk, and the log-rank test of the three."""

    thirds: dict[str, Third]
    ticks: Floats
    statistic: float
    p: float

    def plain(self) -> dict[str, Any]:
        """As JSON has it: counts, events, numbers at risk and the test."""
        return {
            "log_rank": {"statistic": finite(self.statistic), "p": finite(self.p)},
            "times": self.ticks.tolist(),
            "thirds": {
                name: {"samples": third.count, "events": third.events, "at_risk": third.at_risk}
                for name, third in self.thirds.items()
            },
        }


def risk_groups(run: Run) -> RiskGroups | None:
    """The thirds of the headline split; None of other tasks, of few samples, and where nobody had the event."""
    rows = (run.split == run.headline) & np.isfinite(run.labels)
    if run.recipe.task.kind != "survival" or rows.sum() < LEAST or not (run.labels[rows] > 0).any():
        return None
    return divided(run.task.prediction(run.predictors[0].scores[rows]), run.labels[rows])


def divided(risk: Floats, labels: Floats) -> RiskGroups:
    """Thirds of equal size by risk (N,), of equal risks the earlier samples first; labels (N,) are signed times."""
    from lifelines.statistics import multivariate_logrank_test

    time, event = np.abs(labels), labels > 0
    order = np.argsort(risk, kind="stable")
    place = np.empty(len(risk), dtype=np.intp)
    place[order] = np.arange(len(risk)) * len(NAMES) // len(risk)
    test = multivariate_logrank_test(time, place, event)
    ticks = _ticks(float(time.max()))
    thirds = {name: _third(time[place == i], event[place == i], ticks) for i, name in enumerate(NAMES)}
    return RiskGroups(thirds, ticks, float(test.test_statistic), float(test.p_value))


def _third(time: Floats, event: NDArray[np.bool_], ticks: Floats) -> Third:
    from lifelines import KaplanMeierFitter

    fitted = KaplanMeierFitter().fit(time, event)
    curve, interval = fitted.survival_function_, fitted.confidence_interval_
    return Third(
        count=len(time),
        events=int(event.sum()),
        times=curve.index.to_numpy(dtype=np.float64),
        survival=curve.iloc[:, 0].to_numpy(dtype=np.float64),
        low=interval.iloc[:, 0].to_numpy(dtype=np.float64),
        high=interval.iloc[:, 1].to_numpy(dtype=np.float64),
        censored=np.sort(time[~event]),
        at_risk=[int((time >= tick).sum()) for tick in ticks],
    )


def _ticks(last: float) -> Floats:
    """Round times from 0 to about the last one."""
    size = 10.0 ** math.floor(math.log10(last / TICKS))
    step = next(size * many for many in _STEPS if size * many * TICKS >= last)
    return np.arange(0.0, last + 1e-9 * last, step)


_STEPS: Sequence[float] = (1.0, 2.0, 2.5, 5.0, 10.0)
