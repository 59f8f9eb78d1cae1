"""Metrics of every split and predictor, with bootstrap 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.resampling import count_chunks, group_codes, resampled
from omib_cli.evaluation.runs import FUSED, Predictor, Run
from omib_cli.runtime.progress import Progress
from omib_cli.runtime.seeds import derive_seed

Judged = tuple[dict[str, float], dict[str, NDArray[np.float64]]]
"""Metrics by name, and the value of each in every resample (none where there are no resamples)."""

LEVEL = (2.5, 97.5)
"""Percentiles of the resampled metric that bound the interval."""


@dataclass(frozen=True)
class Measurement:
    """A metric with its 95 % interval; NaN where undefined. ``skipped`` resamples had no value."""

    value: float
    low: float = math.nan
    high: float = math.nan
    skipped: int = 0

    def plain(self) -> dict[str, float | int | None]:
        """As JSON has it: None for NaN."""
        found: dict[str, float | int | None] = {
            name: finite(value) for name, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }
        return found | ({"skipped": self.skipped} if self.skipped else {})


@dataclass(frozen=True)
class Scores:
    """The metrics of one predictor on one split, over ``count`` samples.

    ``by_group`` holds those of each group, of which ``metrics`` are the means, for tasks that are judged so.
    """

    count: int
    metrics: dict[str, Measurement]
    by_group: dict[str, dict[str, Measurement]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON has it: the metrics, and ``by_group`` where there are groups."""
        own = {group: _plain(metrics) for group, metrics in self.by_group.items()}
        return _plain(self.metrics) | ({"by_group": own} if own else {})


@dataclass(frozen=True)
class RunScores:
    """All scores of a run.

    Attributes
    ----------
    splits
        Scores by split, test first, and predictor, the fused one first.
    resampled
        What the bootstrap drew on each split: ``samples`` or ``groups``.
    groups
        Number of groups on each split, where there are any.
    baseline
        The main metric of the best constant prediction on the headline split, or None.
    """

    splits: dict[str, dict[str, Scores]]
    bootstrap: int
    resampled: dict[str, str]
    groups: dict[str, int] = field(default_factory=dict)
    baseline: float | None = None

    def plain(self) -> dict[str, dict[str, dict[str, Any]]]:
        """``{split: {predictor: {metric: {value, low, high}}}}``, ready for JSON."""
        return {
            split: {name: scores.plain() for name, scores in predictors.items()}
            for split, predictors in self.splits.items()
        }


def _plain(metrics: dict[str, Measurement]) -> dict[str, Any]:
    return {metric: estimate.plain() for metric, estimate in metrics.items()}


def finite(value: float) -> float | None:
    """The value, or None for NaN and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def score_run(run: Run, bootstrap: int, progress: Progress) -> RunScores:
    """Metrics of each split and predictor of a run; the bootstrap's seed derives from the recipe's."""
    splits = [name for name in ("test", "validation", "train") if name in run.sizes]
    progress.begin("evaluate", len(splits) * len(run.predictors), "tables")
    scores: dict[str, dict[str, Scores]] = {}
    drawn: dict[str, str] = {}
    groups: dict[str, int] = {}
    for split in splits:
        rows = run.split == split
        drawn[split] = "groups" if _codes(run, rows) is not None else "samples"
        if run.groups is not None:
            groups[split] = len(np.unique(run.groups[rows]))
        scores[split] = {}
        for predictor in run.predictors:
            scores[split][predictor.name] = _scores(run, predictor, rows & predictor.present, bootstrap, split)
            progress.advance(1)
    progress.end()
    return RunScores(scores, bootstrap, drawn, groups, constant_baseline(run))


def _codes(run: Run, rows: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Which groups are resampled as wholes; none where each group is judged by itself."""
    return None if run.groups is None or run.task.by_group else group_codes(run.groups[rows])


def _scores(run: Run, predictor: Predictor, rows: NDArray[np.bool_], bootstrap: int, split: str) -> Scores:
    count = int(rows.sum())
    if count == 0:
        return Scores(0, {})
    if not run.task.by_group:
        return Scores(count, _estimates(*_judge(run, predictor, rows, bootstrap, split)))
    judged = _judge_groups(run, predictor, rows, bootstrap, split)
    by_group = {name: _estimates(*found) for name, found in judged.items()}
    return Scores(count, _estimates(*_mean_of_groups(judged)), by_group)


def headline_draws(run: Run, bootstrap: int) -> Judged:
    """Metrics of the fused prediction on the headline split, and in each resample; equal for runs of equal seed."""
    fused, split = run.predictors[0], run.headline
    rows = (run.split == split) & fused.present
    if run.task.by_group:
        return _mean_of_groups(_judge_groups(run, fused, rows, bootstrap, split))
    return _judge(run, fused, rows, bootstrap, split)


def _judge_groups(
    run: Run, predictor: Predictor, rows: NDArray[np.bool_], bootstrap: int, split: str
) -> dict[str, Judged]:
    return {name: _judge(run, predictor, own, bootstrap, split) for name, own in _groups(run, rows).items()}


def _mean_of_groups(judged: dict[str, Judged]) -> Judged:
    draws = [drawn for _, drawn in judged.values()]
    return _mean([value for value, _ in judged.values()]), {
        name: _mean_draws([each[name] for each in draws]) for name in draws[0]
    }


def _groups(run: Run, rows: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """The rows of each group that has labels; of all samples together where there are no groups."""
    known = rows & np.isfinite(run.labels)
    if run.groups is None or not known.any():
        return {"all": known if known.any() else rows}
    return {str(name): known & (run.groups == name) for name in np.unique(run.groups[known])}


def _judge(run: Run, predictor: Predictor, rows: NDArray[np.bool_], bootstrap: int, split: str) -> Judged:
    """Metrics over rows, and their values in each resample (none where there is no interval to be had)."""
    outputs, labels = predictor.outputs[rows], run.labels[rows]
    values = run.task.metrics(outputs, labels)
    if bootstrap == 0 or split == "train":  # the training split is no sample of anything the model has not seen
        return values, {}
    seed = derive_seed(run.recipe.seed, "bootstrap", split)  # the same resamples for every predictor
    chunks = [
        resampled(run.task, outputs, labels, list(values), counts)
        for counts in count_chunks(bootstrap, len(labels), _codes(run, rows), seed)
    ]
    return values, {name: np.concatenate([chunk[name] for chunk in chunks]) for name in values}


def _estimates(values: dict[str, float], draws: dict[str, NDArray[np.float64]]) -> dict[str, Measurement]:
    return {
        name: interval(value, draws[name]) if name in draws else Measurement(value) for name, value in values.items()
    }


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean over groups of each metric, over those in which it is defined."""
    return {name: across([each[name] for each in values]).mean for name in values[0]}


def _mean_draws(draws: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over groups, resample by resample; NaN where no group has a value."""
    stacked = np.stack(draws)
    there = np.isfinite(stacked)
    total = np.where(there, stacked, 0.0).sum(axis=0)
    return np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), np.nan)


def interval(value: float, draws: NDArray[np.float64]) -> Measurement:
    """A metric with the percentile interval of its resamples; those without a value are left out and counted."""
    good = draws[np.isfinite(draws)]
    if not math.isfinite(value) or len(good) == 0:
        return Measurement(value, skipped=len(draws) - len(good))
    low, high = np.percentile(good, LEVEL)
    return Measurement(value, float(low), float(high), len(draws) - len(good))


def constant_baseline(run: Run) -> float | None:
    """The main metric on the headline split when every sample is predicted alike, as the training labels suggest."""
    fitted, judged = run.labels[run.split == "train"], run.labels[run.split == run.headline]
    if len(fitted) == 0:
        return None
    if run.task.main_metric == "accuracy":
        return float((judged == np.bincount(fitted.astype(np.intp)).argmax()).mean())
    if run.task.main_metric == "mae":
        return float(np.abs(judged - np.median(fitted)).mean())
    return None


@dataclass(frozen=True)
class Across:
    """A metric over runs: mean and sample standard deviation (NaN of a single run) of ``count`` defined values."""

    mean: float
    sd: float
    count: int

    def plain(self) -> dict[str, float | int | None]:
        """As JSON has it."""
        return {"mean": finite(self.mean), "sd": finite(self.sd), "n": self.count}


def across_runs(tables: Sequence[RunScores], headlines: Sequence[str], predictor: str = FUSED) -> dict[str, Across]:
    """Mean and spread of each metric of a predictor on the runs' headline splits."""
    rows = [
        table.splits[split][predictor].metrics
        for table, split in zip(tables, headlines, strict=True)
        if predictor in table.splits[split]
    ]
    return {metric: across([row[metric].value for row in rows if metric in row]) for metric in _names(rows)}


def _names(rows: Sequence[dict[str, Measurement]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def across(values: Sequence[float]) -> Across:
    """Mean and sample standard deviation of the values that are defined."""
    good = [value for value in values if math.isfinite(value)]
    mean = fmean(good) if good else math.nan
    return Across(mean, stdev(good) if len(good) > 1 else math.nan, len(good))
