"""Runs of several variants of a recipe side by side: mean and spread over seeds, paired differences to one of them.

Notation: S seeds that two variants have in common, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.conventions import convention, shown
from omib_cli.evaluation.metrics import Across, Judged, Measurement, across, finite, interval

COLUMNS = ("accuracy", "auc", "f1_macro", "mae", "pearson_r", "acc2_nonzero", "acc7", "f1", "average_precision")
"""Metrics that a table shows, where the task has them; files have all."""


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes
    ----------
    state
        ``done``, ``failed``, ``stopped`` or ``new``.
    judged
        Metrics and resamples of a run that is done.
    dataset
        Content hash of the dataset that it was judged on.
    extra
        Other figures of the run, by name.
    subvectors
        Of simulated data: what its report says of each sub-vector (:mod:`omib_cli.evaluation.subvectors`).
    at
        The value that is swept; None for what is no number.
    """

    variant: str
    seed: int
    state: str
    reason: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0
    judged: Judged | None = None
    dataset: str = ""
    main_metric: str = ""
    extra: dict[str, float] = field(default_factory=dict)
    subvectors: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None

    @property
    def values(self) -> dict[str, float]:
        """Metrics by name; none of a run that is not done."""
        return {} if self.judged is None else self.judged[0]


@dataclass(frozen=True)
class Row:
    """A variant: its metrics over seeds, and how its main metric differs from the reference's on the same samples."""

    name: str
    metrics: dict[str, Across]
    difference: Measurement | None
    seconds: Across
    peak_mib: float
    count: int
    missing: list[str]
    extra: dict[str, Across] = field(default_factory=dict)
    at: float | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "variant": self.name,
            "at": self.at,
            "runs": self.count,
            "metrics": {name: value.plain() for name, value in self.metrics.items()},
            "difference": None if self.difference is None else self.difference.plain(),
            "seconds": self.seconds.plain(),
            "peak_mib": self.peak_mib,
            "missing": self.missing,
            "extra": {name: value.plain() for name, value in self.extra.items()},
        }


@dataclass(frozen=True)
class SubvectorRow:
    """What one sub-vector of simulated data predicts, over seeds: at best, and by a linear classifier."""

    name: str
    columns: int
    bayes: Across
    accuracy: Across

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"columns": self.columns, "bayes": self.bayes.plain(), "accuracy": self.accuracy.plain()}


@dataclass(frozen=True)
class Comparison:
    """All variants of a recipe.

    Attributes
    ----------
    reference
        The variant that the others are compared with.
    subvectors
        Of simulated data.
    printed
        What a publication prints, by metric and row.
    notes
        What is to be known of that.
    """

    recipe: str
    reference: str
    main_metric: str
    rows: list[Row]
    subvectors: list[SubvectorRow] = field(default_factory=list)
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def metrics(self) -> list[str]:
        """The columns that there is something to show in, the main metric first, others that are printed last."""
        there = {name for row in self.rows for name in row.metrics}
        shown_ones = [name for name in dict.fromkeys((*COLUMNS, *self.printed)) if name in there]
        return sorted(shown_ones, key=lambda name: name != self.main_metric)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "recipe": self.recipe,
            "reference": self.reference,
            "main_metric": self.main_metric,
            "rows": [row.plain() for row in self.rows],
            "subvectors": {row.name: row.plain() for row in self.subvectors},
            "printed": {metric: dict(values) for metric, values in self.printed.items()},
            "notes": list(self.notes),
        }

    def markdown(self) -> str:
        """A table: mean ± sample standard deviation over seeds; below it failures, sub-vectors, notes."""
        label = convention(self.main_metric).label if self.main_metric else "metric"
        head = [""]
        for name in self.metrics:
            head += [convention(name).label, *(["printed"] if name in self.printed else [])]
        head += [f"{label}: difference to {self.reference} [95 %]", "runs", "seconds", "MiB"]
        blocks = [_table(head, [self._cells(row) for row in self.rows])]
        if problems := [f"- {row.name}: {reason}" for row in self.rows for reason in row.missing]:
            blocks.append("\n".join(["Not in the table:", *problems]))
        if self.subvectors:
            blocks.append(self._subvector_table())
        if self.notes:
            blocks.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(blocks)

    def _subvector_table(self) -> str:
        printed = self.printed.get("accuracy", {})
        head = ["sub-vector", "columns", "accuracy at best", "linear classifier", *(["printed"] if printed else [])]
        lines = []
        for row in self.subvectors:
            cells = [row.name, f"{row.columns:,}", _spread(row.bayes), _spread(row.accuracy)]
            lines.append([*cells, *([_printed(printed, row.name)] if printed else [])])
        return _table(head, lines)

    def _cells(self, row: Row) -> list[str]:
        cells = [row.name]
        for name in self.metrics:
            cells.append(_spread(row.metrics.get(name)))
            if name in self.printed:
                cells.append(_printed(self.printed[name], row.name))
        gap = row.difference
        cells.append("–" if gap is None else f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]".replace("-", "−"))
        return [*cells, str(row.count), shown(row.seconds.mean), f"{row.peak_mib:,.0f}"]


def compare(
    recipe: str,
    outcomes: Sequence[Outcome],
    reference: str,
    printed: Mapping[str, Mapping[str, float]] | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Bring outcomes together, variants in the order in which they come.

    A difference is the mean over common seeds; its interval comes from resamples of the seeds and, within each, of the
    test samples (of their groups where there are any), the same for both sides.
    """
    names = list(dict.fromkeys(outcome.variant for outcome in outcomes))
    main = next((outcome.main_metric for outcome in outcomes if outcome.main_metric), "")
    by_name = {name: [outcome for outcome in outcomes if outcome.variant == name] for name in names}
    others = by_name.get(reference, [])
    rows = []
    for name, own in by_name.items():
        done = [outcome for outcome in own if outcome.judged is not None]
        rows.append(
            Row(
                name=name,
                metrics=_over_seeds([outcome.values for outcome in done]),
                difference=None if name == reference else paired_difference(own, others, main, seed),
                seconds=across([outcome.seconds for outcome in done]),
                peak_mib=max((outcome.peak_mib for outcome in done), default=0.0),
                count=len(done),
                missing=[_missing(outcome) for outcome in own if outcome.judged is None],
                extra=_over_seeds([outcome.extra for outcome in done]),
                at=own[0].at,
            )
        )
    return Comparison(recipe, reference, main, rows, _subvectors(outcomes), printed or {}, notes)


def _subvectors(outcomes: Sequence[Outcome]) -> list[SubvectorRow]:
    """Over seeds, each counted once: all variants of a seed have the same data."""
    by_seed = {outcome.seed: outcome.subvectors for outcome in outcomes if outcome.subvectors}
    found = []
    for name, first in next(iter(by_seed.values()), {}).items():
        own = [each[name] for each in by_seed.values() if name in each]
        bayes = across([each["bayes"] for each in own])
        accuracy = across([each["accuracy"]["value"] for each in own])
        found.append(SubvectorRow(name, first["columns"], bayes, accuracy))
    return found


def paired_difference(own: Sequence[Outcome], others: Sequence[Outcome], metric: str, seed: int) -> Measurement | None:
    """Mean difference of a metric over the seeds that both have on the same dataset; None where there are none."""
    theirs = {outcome.seed: outcome for outcome in others}
    pairs = [
        (outcome.judged, theirs[outcome.seed].judged)
        for outcome in own
        if outcome.seed in theirs and outcome.dataset == theirs[outcome.seed].dataset
    ]
    whole = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not whole:
        return None
    value = float(np.mean([a[0][metric] - b[0][metric] for a, b in whole]))
    if any(metric not in side[1] for pair in whole for side in pair):
        return Measurement(value)
    gaps = np.stack([a[1][metric] - b[1][metric] for a, b in whole])
    return interval(value, _resampled_mean(gaps, seed))


def _resampled_mean(gaps: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(S, R) differences to their mean over resampled seeds, (R,)."""
    seeds, draws = gaps.shape
    chosen = np.random.default_rng(seed).integers(0, seeds, size=(seeds, draws))
    return np.asarray(np.take_along_axis(gaps, chosen, axis=0).mean(axis=0))


def _over_seeds(values: Sequence[dict[str, float]]) -> dict[str, Across]:
    names = dict.fromkeys(name for each in values for name in each)
    return {name: across([each[name] for each in values if name in each]) for name in names}


def _missing(outcome: Outcome) -> str:
    state = {"new": "not run yet", "stopped": "stopped, to be continued"}.get(outcome.state, outcome.state)
    return f"seed {outcome.seed}: {state}" + (f" ({outcome.reason})" if outcome.reason else "")


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in [head, *lines]]
    return "\n".join([rows[0], f"|{' --- |' * len(head)}", *rows[1:]])


def _printed(values: Mapping[str, float], name: str) -> str:
    return shown(values[name]) if name in values else "–"


def _spread(value: Across | None) -> str:
    if value is None or not value.count:
        return "–"
    return shown(value.mean) + (f" ± {value.sd:.3f}" if finite(value.sd) is not None else "")
