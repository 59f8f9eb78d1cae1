"""The baseline hazard and the censoring of a training split: what makes survival of log-hazards, and metrics fair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

KEPT = 1000
"""Most times that are kept, evenly among those of the training split."""
HORIZONS = (0.25, 0.5, 0.75)
"""Which quantiles of the training events' times are horizons of time-dependent metrics."""

LARGEST = 300.0
"""Log-hazards are not taken to be larger: infinity times no hazard would be no number."""


@dataclass(frozen=True)
class Baseline:
    """Steps in time, fitted on a training split; each holds from its time on.

    Attributes
    ----------
    times
        (T,) increasing: when something happened, an event or the end of a follow-up. In the labels' unit.
    hazard
        (T,) cumulative baseline hazard (Breslow 1974), of log-hazard 0.
    followed
        (T,) the share that was not censored up to and at each time (Kaplan and Meier).
    horizons
        (3,) quartiles of the events' times.
    """

    times: Floats
    hazard: Floats
    followed: Floats
    horizons: Floats

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Baseline:
        """From arrays or lists by name."""
        return cls(**{one.name: np.asarray(arrays[one.name], dtype=np.float64) for one in fields(cls)})

    def arrays(self) -> dict[str, Floats]:
        """By name, as :meth:`of` takes them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def survival(self, risk: Floats, times: Floats) -> Floats:
        """The probability (N, T) that log-hazards (N,) have had no event by some times (T,).

        Nothing is known beyond the last of :attr:`times`: the curve stays where it was.
        """
        hazard = np.exp(np.minimum(risk, LARGEST))[:, None] * at(self.times, self.hazard, times, 0.0)
        return np.asarray(np.exp(-hazard))

    def uncensored(self, times: Floats, *, just_before: bool = False) -> Floats:
        """The probability (T,) of being followed beyond some times, or up to just before them."""
        return at(self.times, self.followed, times, 1.0, side="left" if just_before else "right")


def at(steps: Floats, values: Floats, times: Floats, start: float, side: Any = "right") -> Floats:
    """A step function (T,) at some times; ``left`` is the limit from below."""
    place = np.searchsorted(steps, times, side=side) - 1
    return np.where(place < 0, start, values[np.maximum(place, 0)])


def fit_baseline(risk: Floats, labels: Floats) -> Baseline:
    """The baseline of log-hazards (N,) and labels (N,), signed times: Breslow's hazard, Kaplan and Meier's censoring.

    Samples whose event and end of follow-up fall on one time count as followed at the event.
    """
    order = np.argsort(np.abs(labels), kind="stable")
    time, event, eta = np.abs(labels)[order], labels[order] > 0, risk[order]
    times, first = np.unique(time, return_index=True)
    events = np.add.reduceat(event.astype(np.float64), first)
    left = len(time) - first - events  # who is there when censoring comes, which is after events of the same time
    ended = np.add.reduceat((~event).astype(np.float64), first)
    at_risk = np.logaddexp.accumulate(eta[::-1])[::-1][first]  # ln of the sum of hazards
    hazard = np.cumsum(events * np.exp(-at_risk))
    followed = np.cumprod(1.0 - ended / np.maximum(left, 1.0))
    kept = np.unique(np.linspace(0, len(times) - 1, KEPT).round().astype(np.intp))
    horizons = np.quantile(time[event], HORIZONS, method="nearest")
    return Baseline(times[kept], hazard[kept], np.asarray(followed[kept], dtype=np.float64), horizons)
