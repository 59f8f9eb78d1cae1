"""Recall of each class, with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.metrics import LEAST_SAMPLES, Measurement, interval, share
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


def recall_by_class(run: Run, bootstrap: int) -> dict[str, ClassRecall]:
    """Recall of each class that the headline split has, by the fused head; empty where there are no classes.

    Exact intervals (Clopper and Pearson) where samples are drawn one by one, the bootstrap's where groups are; none
    without resamples, on the training split, and of few samples of few groups.
    """
    rows = (run.split == run.headline) & np.isfinite(run.labels)
    if not run.task.has_logits or not rows.any():
        return {}
    truth = run.labels[rows].astype(np.intp)
    hit = run.task.prediction(run.predictors[0].scores[rows]) == truth
    codes = None if run.groups is None else group_codes(run.groups[rows])
    found = {}
    for code in np.unique(truth):
        own = truth == code
        count, hits = int(own.sum()), int(hit[own].sum())
        measured = Measurement(hits / count)
        if bootstrap and run.headline != "train":
            measured = share(hits, count) if codes is None else _by_group(run, hit, own, codes, bootstrap)
        found[run.classes[code]] = ClassRecall(count, measured)
    return found


def _by_group(
    run: Run, hit: NDArray[np.bool_], own: NDArray[np.bool_], codes: NDArray[np.intp], bootstrap: int
) -> Measurement:
    """Recall of the samples ``own`` (N,), groups resampled whole."""
    value = float(hit[own].mean())
    if len(own) < LEAST_SAMPLES:
        return Measurement(value)
    seed = derive_seed(run.recipe.seed, "bootstrap", run.headline)
    draws = []
    for counts in count_chunks(bootstrap, len(own), codes, seed):
        drawn = counts[:, own].sum(axis=1)
        draws.append(np.where(drawn > 0, counts[:, own & hit].sum(axis=1) / np.maximum(drawn, 1.0), np.nan))
    return interval(value, np.concatenate(draws))
