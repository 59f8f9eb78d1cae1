"""Metrics of every split and predictor, with bootstrap 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.artifacts.format import ALL_SPLITS
from omib_cli.evaluation.resampling import Reweighted, count_chunks, group_codes, resampler
from omib_cli.evaluation.runs import FUSED, Predictor, Run
from omib_cli.runtime.progress import Progress
from omib_cli.runtime.seeds import derive_seed
from omib_cli.tasks.base import Task

Floats = NDArray[np.float64]
Judged = tuple[dict[str, float], dict[str, Floats]]
"""Metrics by name, and the value of each in every resample (none where there are no resamples)."""

LEVEL = (2.5, 97.5)
"""Percentiles of the resampled metric that bound the interval."""
LEAST_SAMPLES = 10
"""Fewer samples are not resampled: they would show a part of what another ten might be."""
SHARES = ("accuracy", "acc7", "acc2_nonneg", "acc2_nonzero")
"""Metrics that are a share of samples; where these are drawn one by one, an exact interval replaces the bootstrap's."""


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
        What the bootstrap drew on each split: ``samples``, ``groups``, or ``samples within groups`` where each group
        is judged by itself.
    groups
        Number of groups on each split, where there are any.
    baseline
        The main metric, on the headline split, of the constant that suits the training split best; or None.
    references
        Scores of simple models on the headline split, by name (:mod:`omib_cli.evaluation.references`).
    no_references
        Why there are none, or not all that were wanted.
    """

    splits: dict[str, dict[str, Scores]]
    bootstrap: int
    resampled: dict[str, str]
    groups: dict[str, int] = field(default_factory=dict)
    baseline: float | None = None
    references: dict[str, Scores] = field(default_factory=dict)
    no_references: str = ""

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
    splits = [name for name in reversed(ALL_SPLITS) if name in run.sizes]
    progress.begin("evaluate", len(splits) * len(run.predictors), "tables")
    scores: dict[str, dict[str, Scores]] = {}
    drawn: dict[str, str] = {}
    groups: dict[str, int] = {}
    for split in splits:
        rows = run.split == split
        drawn[split] = _drawn(run, rows)
        if run.groups is not None:
            groups[split] = len(np.unique(run.groups[rows]))
        scores[split] = {}
        for predictor in run.predictors:
            scores[split][predictor.name] = score_predictor(run, predictor, rows & predictor.present, bootstrap, split)
            progress.advance(1)
    progress.end()
    return RunScores(scores, bootstrap, drawn, groups, constant_baseline(run))


def _drawn(run: Run, rows: NDArray[np.bool_]) -> str:
    """What the bootstrap draws of a split's rows, for every head alike."""
    if run.groups is None:
        return "samples"
    if run.task.by_group:
        return "samples within groups"
    return "samples" if group_codes(run.groups[rows]) is None else "groups"


def score_predictor(run: Run, predictor: Predictor, rows: NDArray[np.bool_], bootstrap: int, split: str) -> Scores:
    """Metrics of a predictor on rows (N,) of a split, in the resamples that all predictors of this split have."""
    count = int(rows.sum())
    if count == 0:
        return Scores(0, {})
    if not run.task.by_group:
        if not np.isfinite(run.labels[rows]).any():
            return Scores(count, {})
        found = _estimates(*_judge(run, predictor, rows, bootstrap, split))
        if bootstrap and split != "train" and _drawn(run, run.split == split) == "samples":
            found |= _exact(found, run.labels[rows])
        return Scores(count, found)
    judged = _judge_groups(run, predictor, rows, bootstrap, split)
    by_group = {name: _estimates(*found) for name, found in judged.items()}
    return Scores(count, _estimates(*_mean_of_groups(judged)), by_group)


def measured(task: Task, scores: Floats, labels: Floats, groups: NDArray[np.str_] | None) -> dict[str, float]:
    """Metrics of scores (N, C) against labels (N,), as the task is judged: whole, or as the mean over groups (N,)."""
    if not task.by_group:
        return task.metrics(scores, labels)
    return _mean([task.metrics(scores[own], labels[own]) for own in _members(labels, groups).values()])


def resampled_metric(
    task: Task, metric: str, scores: Floats, labels: Floats, groups: NDArray[np.str_] | None
) -> Reweighted:
    """One of :func:`measured` in each resample, (R,), as a function of how often it drew each sample (R, N)."""
    if not task.by_group:
        whole = resampler(task, scores, labels, [metric])
        return lambda counts: whole(counts)[metric]
    members = list(_members(labels, groups).values())
    values = [task.metrics(scores[own], labels[own])[metric] for own in members]
    parts = [(own, resampler(task, scores[own], labels[own], [metric])) for own in members]
    return lambda counts: _mean_draws(values, [part(counts[:, own])[metric] for own, part in parts])


def _judge_groups(
    run: Run, predictor: Predictor, rows: NDArray[np.bool_], bootstrap: int, split: str
) -> dict[str, Judged]:
    places = np.flatnonzero(rows)
    groups = None if run.groups is None else run.groups[rows]
    members = _members(run.labels[rows], groups)
    return {name: _judge(run, predictor, places[own], bootstrap, split) for name, own in members.items()}


def _mean_of_groups(judged: dict[str, Judged]) -> Judged:
    values, draws = [value for value, _ in judged.values()], [drawn for _, drawn in judged.values()]
    return _mean(values), {
        name: _mean_draws([each[name] for each in values], [each[name] for each in draws])
        for name in draws[0]
        if all(name in each for each in draws)
    }


def _members(labels: Floats, groups: NDArray[np.str_] | None) -> dict[str, NDArray[np.intp]]:
    """Which of the samples are in each group that has labels; all of them where there are no groups."""
    known = np.isfinite(labels)
    if groups is None or not known.any():
        return {"all": np.flatnonzero(known if known.any() else ~known)}
    return {str(name): np.flatnonzero(known & (groups == name)) for name in np.unique(groups[known])}


def _judge(run: Run, predictor: Predictor, rows: NDArray[Any], bootstrap: int, split: str) -> Judged:
    """Metrics over rows, and their values in each resample (none where there is no interval to be had)."""
    scores, labels = predictor.scores[rows], run.labels[rows]
    task = run.task if predictor.name == FUSED else run.task.of_branch()
    values = task.metrics(scores, labels)
    if bootstrap == 0 or split == "train":  # the training split is no sample of anything the model has not seen
        return values, {}
    if len(labels) < LEAST_SAMPLES:
        return values, {}
    codes = None
    if run.groups is not None and _drawn(run, run.split == split) == "groups":
        codes = group_codes(run.groups[rows])
        if codes is None:  # a branch that has seen few of the groups: by sample it would look sharper than the rest
            return values, {}
    seed = derive_seed(run.recipe.seed, "bootstrap", split)  # the same resamples for every predictor
    metrics = resampler(task, scores, labels, list(values))
    chunks = [metrics(counts) for counts in count_chunks(bootstrap, len(labels), codes, seed)]
    return values, {name: np.concatenate([chunk[name] for chunk in chunks]) for name in values}


def _estimates(values: dict[str, float], draws: dict[str, Floats]) -> dict[str, Measurement]:
    return {
        name: interval(value, draws[name]) if name in draws else Measurement(value) for name, value in values.items()
    }


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean over groups of each metric, over those in which it is defined."""
    return {name: across([each[name] for each in values]).mean for name in values[0]}


def _mean_draws(values: Sequence[float], draws: Sequence[Floats]) -> Floats:
    """Mean over the groups that have a value, resample by resample; NaN where one of them has lost it.

    The mean over the others would be that of other groups, and its spread that of which groups are left.
    """
    stacked = np.stack(draws)
    counted = stacked[np.isfinite(values)]
    return counted.mean(axis=0) if len(counted) else np.full(stacked.shape[1], np.nan)


def interval(value: float, draws: Floats) -> Measurement:
    """A metric with the percentile interval of its resamples; those without a value are left out and counted."""
    good = draws[np.isfinite(draws)]
    if not math.isfinite(value) or len(good) == 0:
        return Measurement(value, skipped=len(draws) - len(good))
    low, high = np.percentile(good, LEVEL)
    return Measurement(value, float(low), float(high), len(draws) - len(good))


def _exact(found: Mapping[str, Measurement], labels: Floats) -> dict[str, Measurement]:
    """Those of the metrics that are shares of samples, with their exact intervals."""
    counts = {name: int((labels != 0).sum()) if name.endswith("nonzero") else len(labels) for name in SHARES}
    known = [name for name in SHARES if name in found and math.isfinite(found[name].value)]
    return {name: share(round(found[name].value * counts[name]), counts[name]) for name in known}


def share(hits: float, count: float) -> Measurement:
    """A share of samples with the exact interval of Clopper and Pearson (1934): eight of eight may be .63 of all."""
    from scipy.special import betaincinv

    low, high = (level / 100.0 for level in LEVEL)
    return Measurement(
        hits / count,
        float(betaincinv(hits, count - hits + 1, low)) if hits else 0.0,
        float(betaincinv(hits + 1, count - hits, high)) if hits < count else 1.0,
    )


def constant_baseline(run: Run) -> float | None:
    """The main metric on the headline split when every sample is predicted alike, as the training labels suggest."""
    fitted, judged = run.labels[run.split == "train"], run.labels[run.split == run.headline]
    if len(fitted) == 0:
        return None
    if run.task.main_metric == "accuracy":
        return float((judged == np.bincount(fitted.astype(np.intp)).argmax()).mean())
    if run.task.main_metric == "mae":
        return float(np.abs(judged - np.median(fitted)).mean())
    return 0.5 if run.task.main_metric == "concordance" else None


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
