"""Shares of the headline split's samples, with their 95 % intervals: recall of each class, coverage of sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.metrics import LEAST_SAMPLES, Measurement, finite, interval, share
from omib_cli.evaluation.resampling import count_chunks, group_codes
from omib_cli.evaluation.runs import Run
from omib_cli.runtime.seeds import derive_seed


@dataclass(frozen=True)
class ClassRecall:
    """Of ``count`` samples of a class, the share that is predicted so."""

    count: int
    recall: Measurement

    def plain(self) -> dict[str, float | int | None]:
        """As JSON has it."""
        return {"samples": self.count, **self.recall.plain()}


@dataclass(frozen=True)
class Coverage:
    """How often sets of classes or intervals of values that are to hold the truth with probability ``level`` do.

    Attributes
    ----------
    size
        Classes of a set, or width of an interval in the label's unit, on average.
    single
        Share of the sets that have one class; NaN of intervals.
    count
        Samples that were looked at.
    """

    level: float
    share: Measurement
    size: float
    single: float
    count: int

    def plain(self) -> dict[str, float | int | None]:
        """As JSON has it."""
        facts = {"level": self.level, "samples": self.count, "size": finite(self.size), "single": finite(self.single)}
        return {**facts, **self.share.plain()}


def recall_by_class(run: Run, bootstrap: int) -> dict[str, ClassRecall]:
    """Recall of each class that the headline split has, by the fused head; empty where there are no classes."""
    rows = _judged(run)
    if not run.task.has_logits:
        return {}
    truth = run.labels[rows].astype(np.intp)
    hit = run.task.prediction(run.predictors[0].scores[rows]) == truth
    return {
        run.classes[code]: ClassRecall(int((truth == code).sum()), _share(run, hit, truth == code, bootstrap))
        for code in np.unique(truth)
    }


def coverage(run: Run, bootstrap: int) -> Coverage | None:
    """Of the headline split's sets or intervals; None where there are none, or where they were made of that split."""
    rows, level = _judged(run), run.provenance.facts.get("level")
    if level is None or not run.is_held_out or not rows.any() or (found := run.within) is None:
        return None
    whole = np.ones(int(rows.sum()), dtype=bool)
    size = found.size[rows]
    single = float((size == 1).mean()) if run.classes else float("nan")
    return Coverage(level, _share(run, found.holds[rows], whole, bootstrap), float(size.mean()), single, len(size))


def _judged(run: Run) -> NDArray[np.bool_]:
    return np.asarray((run.split == run.headline) & np.isfinite(run.labels))


def _share(run: Run, hit: NDArray[np.bool_], own: NDArray[np.bool_], bootstrap: int) -> Measurement:
    """Share of hits among ``own`` of the judged samples (N,).

    The interval is exact (Clopper and Pearson) where samples are drawn one by one, the bootstrap's where groups are;
    there is none without resamples, on the training split, and of very few samples in groups.
    """
    hits, count = int(hit[own].sum()), int(own.sum())
    if not bootstrap or run.headline == "train":
        return Measurement(hits / count)
    codes = None if run.groups is None else group_codes(run.groups[_judged(run)])
    if codes is None:
        return share(hits, count)
    if len(own) < LEAST_SAMPLES:
        return Measurement(hits / count)
    draws = []
    for counts in count_chunks(bootstrap, len(own), codes, derive_seed(run.recipe.seed, "bootstrap", run.headline)):
        drawn = counts[:, own].sum(axis=1)
        draws.append(np.where(drawn > 0, counts[:, own & hit].sum(axis=1) / np.maximum(drawn, 1.0), np.nan))
    return interval(hits / count, np.concatenate(draws))
