"""What a cross-validation has found: spread over folds, differences with a corrected error, pooled predictions.

The folds of a repeat share most of their training samples, so that their results are not independent: the variance
over J runs, divided by J, is too small. Nadeau and Bengio (2003, Machine Learning 52, Equation 10) put 1/J + n2/n1 in
place of 1/J, for n1 samples that are trained on and n2 that are tested.

Notation: K folds, R repeats, J = K R runs; N samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.comparison import (
    Comparison,
    Outcome,
    Row,
    main_metric_of,
    markdown_table,
    shared_time,
    spread_in_words,
    variant_rows,
)
from omib_cli.evaluation.conventions import convention, shown, shown_alike
from omib_cli.evaluation.metrics import LEVEL, Measurement, finite, interval, measured, resampled_metric
from omib_cli.evaluation.pairing import Evidence
from omib_cli.evaluation.resampling import count_chunks, group_codes

INNER, OPTIMISM = "inner score", "optimism"
"""Figures of a run whose settings were chosen inside its fold: the score that chose them, and how much was luck."""
SPREAD = (
    "± is the sample standard deviation over the folds of all repeats: how much one fold differs from another, not how "
    "well the mean is known."
)
CORRECTED = (
    "Differences are means over folds that both have, with the corrected resampled standard error of Nadeau and "
    "Bengio (2003): training sets overlap, so that folds are not independent."
)
MEMORY = "Folds share processes: MiB above is what a process had held by the end of its runs, and not each run's own."
POOLED = (
    "Pooled: all out-of-fold predictions of a repeat judged as one test set, with 95 % intervals of {resamples:,} "
    "bootstrap resamples of {drawn}. Each fold has a model of its own; where their scores are not on one scale, the "
    "pooled AUC suffers."
)


CHOSEN_INSIDE = (
    "{variant}: settings were chosen inside each fold, on the samples that it leaves. What chose them said {inner}, "
    "what they are worth on the fold is {outer}: an optimism of {optimism} in {metric}, claimed too much where "
    "the score of the best trial is reported."
)


@dataclass(frozen=True)
class Difference(Measurement):
    """A mean difference with its 95 % interval, and the standard error behind it; NaN of a single run."""

    error: float = math.nan

    def plain(self) -> dict[str, float | int | None]:
        """As JSON has it."""
        return super().plain() | {"standard_error": finite(self.error)}


@dataclass(frozen=True)
class Pooled:
    """The out-of-fold predictions of a repeat judged together: ``count`` samples, resampled as ``drawn`` says."""

    seed: int
    count: int
    drawn: str
    metrics: dict[str, Measurement]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        values = {name: value.plain() for name, value in self.metrics.items()}
        return {"seed": self.seed, "samples": self.count, "resampled": self.drawn, "metrics": values}


@dataclass(frozen=True)
class CrossValidation(Comparison):
    """All variants of a recipe over the same folds.

    Attributes
    ----------
    folds, repeats
        K and R.
    pooled
        By variant, its repeats that are complete.
    resamples
        Behind their intervals.
    """

    folds: int = 0
    repeats: int = 0
    pooled: dict[str, list[Pooled]] = field(default_factory=dict)
    resamples: int = 0

    @property
    def unit(self) -> str:
        """What a row is a mean over."""
        return "folds"

    @property
    def of(self) -> str:
        """What tells the runs of a row from each other."""
        return "folds"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        pooled = {name: [each.plain() for each in own] for name, own in self.pooled.items()}
        return super().plain() | {"folds": self.folds, "repeats": self.repeats, "pooled": pooled}

    def markdown(self) -> str:
        """The table over folds, that of the pooled predictions, and what is to be known of both."""
        head, lines = self.pooled_table()
        return super().markdown() + (f"\n\n{markdown_table(head, lines)}" if lines else "")

    def pooled_table(self) -> tuple[list[str], list[list[str]]]:
        """Titles and cells: a line for each variant and repeat that is complete."""
        head = ["pooled", "repeat", *(convention(name).label for name in self.metrics), "samples"]
        lines = []
        for variant, repeats in self.pooled.items():
            for number, each in enumerate(repeats, start=1):
                cells = [_with_interval(each.metrics.get(name)) for name in self.metrics]
                lines.append([variant, str(number), *cells, f"{each.count:,}"])
        return head, lines


def cross_validation(
    recipe: str,
    outcomes: Sequence[Outcome],
    reference: str,
    folds: int,
    repeats: int,
    bootstrap: int = 1000,
    notes: Sequence[str] = (),
) -> CrossValidation:
    """Bring the outcomes of all folds together, variants in the order in which they come."""
    main = main_metric_of(outcomes)
    rows = variant_rows(outcomes, reference, main, lambda pairs: _difference(pairs, main))
    pooled = {
        row.name: _pooled_repeats([each for each in outcomes if each.variant == row.name], folds, bootstrap)
        for row in rows
    }
    notes = [*notes, SPREAD, *([CORRECTED] if any(row.difference for row in rows) else [])]
    drawn = next((each.drawn for own in pooled.values() for each in own), "")
    notes += [POOLED.format(resamples=bootstrap, drawn=drawn)] if drawn else []
    notes += [_chosen_inside(row, main) for row in rows if OPTIMISM in row.extra]
    return CrossValidation(
        recipe,
        reference,
        main,
        rows,
        notes=[*notes, *shared_time(outcomes), MEMORY],
        folds=folds,
        repeats=repeats,
        pooled=pooled,
        resamples=bootstrap,
    )


def _chosen_inside(row: Row, main: str) -> str:
    """What choosing settings costs in apparent accuracy, in words."""
    words = {name: spread_in_words(row.extra[key]) for name, key in (("inner", INNER), ("optimism", OPTIMISM))}
    outer = spread_in_words(row.metrics.get(main))
    return CHOSEN_INSIDE.format(variant=row.name, outer=outer, metric=convention(main).label, **words)


def corrected_difference(gaps: Sequence[float], ratio: float) -> Difference:
    """The mean of J differences with Student's interval of J - 1 degrees of freedom.

    Parameters
    ----------
    ratio
        n2/n1, samples tested for each that was trained on.
    """
    values = np.asarray(gaps, dtype=np.float64)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Difference(mean)
    from scipy.special import stdtrit

    error = math.sqrt((1.0 / count + ratio) * float(values.var(ddof=1)))
    half = error * float(stdtrit(count - 1, LEVEL[1] / 100.0))
    return Difference(mean, mean - half, mean + half, error=error)


def _difference(pairs: Sequence[tuple[Outcome, Outcome]], metric: str) -> Difference | None:
    if not pairs:
        return None
    trained, tested = (sum(own.sizes[place] for own, _ in pairs) for place in (0, 1))
    gaps = [own.values[metric] - other.values[metric] for own, other in pairs]
    return corrected_difference(gaps, tested / max(trained, 1))


def _pooled_repeats(outcomes: Sequence[Outcome], folds: int, bootstrap: int) -> list[Pooled]:
    """Of one variant, the repeats of which every fold is done."""
    found = []
    for seed in dict.fromkeys(outcome.seed for outcome in outcomes):
        parts = [each.evidence for each in outcomes if each.seed == seed and each.evidence is not None]
        if len(parts) == folds:
            found.append(pooled_predictions(seed, together(parts), bootstrap))
    return found


def together(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several folds as one test set."""
    first = parts[0]
    groups = [each.groups for each in parts if each.groups is not None]
    return Evidence(
        first.task,
        first.split,
        np.concatenate([each.scores for each in parts]),
        np.concatenate([each.labels for each in parts]),
        np.concatenate([each.ids for each in parts]),
        np.concatenate(groups) if len(groups) == len(parts) else None,
    )


def pooled_predictions(seed: int, evidence: Evidence, bootstrap: int) -> Pooled:
    """Metrics of all predictions of a repeat, with intervals by group where there are enough, by sample otherwise."""
    task, scores, labels, groups = evidence.task, evidence.scores, evidence.labels, evidence.groups
    values = measured(task, scores, labels, groups)
    codes = group_codes(groups) if evidence.draws_groups else None
    draws = {name: _draws(evidence, name, codes, bootstrap) for name in values} if bootstrap else {}
    metrics = {name: interval(value, draws[name]) if draws else Measurement(value) for name, value in values.items()}
    return Pooled(seed, len(labels), "samples" if codes is None else "groups", metrics)


def _draws(evidence: Evidence, metric: str, codes: NDArray[np.intp] | None, bootstrap: int) -> NDArray[np.float64]:
    value_of = resampled_metric(evidence.task, metric, evidence.scores, evidence.labels, evidence.groups)
    chunks = count_chunks(bootstrap, len(evidence.labels), codes, seed=0)  # the same for every variant
    return np.concatenate([value_of(counts) for counts in chunks])


def _with_interval(value: Measurement | None) -> str:
    if value is None or finite(value.value) is None:
        return "–"
    if finite(value.low) is None:
        return shown(value.value)
    middle, *ends = shown_alike([value.value, value.low, value.high])
    return f"{middle} [{', '.join(ends)}]"
