"""Resamples that several runs share, and the interval of a mean difference that follows from them.

Seeds of a recipe may be judged on the same test samples, on some in common, or each on samples of its own. One scheme
serves all three: the units (samples, or groups of them) of all runs together are drawn with replacement, and of each
resample a run sees its own units. Noise that runs have in common through their samples they then have in common in
the draws: no more of it and no less.
Notation: S seeds, N samples of a run, U units of all runs, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.metrics import LEVEL, Measurement, interval, resampled_metric
from omib_cli.evaluation.resampling import count_chunks, group_codes
from omib_cli.evaluation.runs import Run
from omib_cli.tasks.base import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What a run is judged by: its fused scores (N, C) on the headline split, with labels, ids and groups (N,)."""

    task: Task
    split: str
    scores: Floats
    labels: Floats
    ids: NDArray[np.str_]
    groups: NDArray[np.str_] | None = None

    @property
    def known(self) -> list[tuple[float | None, str]]:
        """What is known of each sample: its label and its group."""
        labels = [None if math.isnan(label) else label for label in self.labels.tolist()]
        return list(zip(labels, [""] * len(labels) if self.groups is None else self.groups.tolist(), strict=True))

    @property
    def draws_groups(self) -> bool:
        """Whether groups are resampled as wholes: there are enough, and none is judged by itself."""
        return not self.task.by_group and group_codes(self.groups) is not None


def evidence_of(run: Run) -> Evidence:
    """What a run is judged by."""
    fused = run.predictors[0]
    rows = (run.split == run.headline) & fused.present
    groups = None if run.groups is None else run.groups[rows]
    return Evidence(run.task, run.headline, fused.scores[rows], run.labels[rows], run.ids[rows], groups)


def shared_units(runs: Sequence[Evidence]) -> tuple[list[NDArray[np.intp]], int]:
    """The unit of each sample, numbered over all runs, (N,) for each run; and U, how many units there are.

    Units are groups where every run has enough of them, samples otherwise. Samples are one where their ids are, not
    where their rows are. But a simulation numbers its samples from 0 whatever the seed: runs that know different
    things of a single id are of different data, and share nothing.
    """
    by_group = all(each.draws_groups for each in runs)
    worlds: list[dict[str, tuple[float | None, str]]] = []
    numbers: dict[tuple[int, str], int] = {}
    codes = []
    for each in runs:
        facts = dict(zip(each.ids.tolist(), each.known, strict=True))
        place = next((i for i, world in enumerate(worlds) if _agree(facts, world)), len(worlds))
        worlds += [{}] if place == len(worlds) else []
        worlds[place] |= facts
        names = each.groups if by_group and each.groups is not None else each.ids
        codes.append(np.array([numbers.setdefault((place, name), len(numbers)) for name in names.tolist()]))
    return codes, len(numbers)


def _agree(facts: Mapping[str, object], world: Mapping[str, object]) -> bool:
    return all(world.get(name, fact) == fact for name, fact in facts.items())


def shared_draws(runs: Sequence[Evidence], metric: str, bootstrap: int, seed: int) -> list[Floats]:
    """A metric of every run in each of the same resamples, (R,) for each run; NaN where it is undefined."""
    codes, units = shared_units(runs)
    widest = max([units, *map(len, codes)])  # the most cells that a row of counts has below
    metrics = [resampled_metric(each.task, metric, each.scores, each.labels, each.groups) for each in runs]
    found: list[list[Floats]] = [[] for _ in runs]
    for counts in count_chunks(bootstrap, widest, np.arange(units), seed):
        for value_of, own, draws in zip(metrics, codes, found, strict=True):
            draws.append(value_of(counts[:, own]))
    return [np.concatenate(draws) if draws else np.empty(0) for draws in found]


def mean_over_seeds(values: Floats, draws: Floats) -> Measurement:
    """The mean of a quantity over seeds (S,) with its interval, from its value in shared resamples (S, R).

    Two things vary: which samples were tested, and which seeds were drawn. The first is the variance of the mean over
    seeds from resample to resample; where all seeds have the same samples it does not become smaller with S. The
    second is what the seeds differ by beyond what their resamples differ by among themselves, over S. With test sets
    of their own the sum is the variance between seeds over S, as a t-test has it. Degrees of freedom after
    Satterthwaite (1946), for between seeds there are S - 1. A single seed has the percentiles of its resamples.
    """
    value, count = float(values.mean()), len(values)
    if count == 1:
        return interval(value, draws[0])
    whole = draws[:, np.isfinite(draws).all(axis=0)]
    skipped = draws.shape[1] - whole.shape[1]
    if not math.isfinite(value) or whole.shape[1] < 2:
        return Measurement(value, skipped=skipped)
    between = float(values.var(ddof=1))
    own_noise = float((whole - whole.mean(axis=1, keepdims=True)).var(axis=0, ddof=1).mean())
    variance = float(whole.mean(axis=0).var(ddof=1)) + max(0.0, between - own_noise) / count
    half = math.sqrt(variance) * _quantile(variance, between / count, count - 1)
    return Measurement(value, value - half, value + half, skipped)


def _quantile(variance: float, uncertain: float, freedom: int) -> float:
    """Student's t at the upper level, where of a variance a part is estimated with so many degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    level = LEVEL[1] / 100.0
    if uncertain == 0.0:
        return float(ndtri(level))
    return float(stdtrit(max(freedom, freedom * (variance / uncertain) ** 2), level))
