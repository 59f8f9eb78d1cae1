"""Runs of several variants of a recipe side by side: mean and spread over seeds, paired differences to one of them.

Notation: S seeds that two variants have in common, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.conventions import convention, shown, shown_alike
from omib_cli.evaluation.metrics import Across, Measurement, across, finite
from omib_cli.evaluation.pairing import Evidence, mean_over_seeds, shared_draws

Floats = NDArray[np.float64]
COLUMNS = (
    *("accuracy", "auc", "f1_macro", "ece", "brier", "log_loss"),
    *("mae", "pearson_r", "acc2_nonzero", "acc7"),
    *("f1", "average_precision"),
    *("concordance", "time_dependent_auc", "integrated_brier"),
)
"""Metrics that a table shows, where the task has them; files have all."""

VALIDATION = "validation/"
"""How the figures begin that a run had on its validation split, in the epoch that was kept."""
OWN_DATA = "Sub-vectors are not shown: not all runs have the same data. The report of each run has its own."


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes
    ----------
    state
        ``done``, ``failed``, ``stopped`` or ``new``.
    values
        Metrics of a run that is done, by name; none of another.
    evidence
        What they were measured on.
    dataset
        Content hash of the dataset that it was judged on.
    origin
        What that dataset was made from, by digest, whatever the seed; empty where not known.
    extra
        Other figures of the run, by name.
    kl_unit
        Unit of the divergences among them; empty where there are none.
    shared_seconds
        What the run spent beside ``seconds`` on what it shares with others; None where that was not told apart.
    subvectors
        Of simulated data: what its report says of each sub-vector (:mod:`omib_cli.evaluation.subvectors`).
    at
        The value that is swept; None for what is no number.
    fold
        Which fold it was tested on, in a cross-validation.
    sizes
        Samples that were not tested, and samples that were.
    """

    variant: str
    seed: int
    state: str
    reason: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    evidence: Evidence | None = None
    dataset: str = ""
    origin: str = ""
    main_metric: str = ""
    extra: dict[str, float] = field(default_factory=dict)
    kl_unit: str = ""
    shared_seconds: float | None = None
    subvectors: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None
    fold: int | None = None
    sizes: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Row:
    """A variant: its metrics over seeds, and how its main metric differs from the reference's on the same samples.

    The difference is over ``pairs`` seeds, those that both have.
    """

    name: str
    metrics: dict[str, Across]
    difference: Measurement | None
    pairs: int
    seconds: Across
    peak_mib: float
    count: int
    missing: list[str]
    extra: dict[str, Across] = field(default_factory=dict)
    kl_unit: str = ""
    at: float | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "variant": self.name,
            "at": self.at,
            "runs": self.count,
            "metrics": {name: value.plain() for name, value in self.metrics.items()},
            "difference": None if self.difference is None else self.difference.plain() | {"n": self.pairs},
            "seconds": self.seconds.plain(),
            "peak_mib": self.peak_mib,
            "missing": self.missing,
            "extra": {name: value.plain() for name, value in self.extra.items()},
            "kl_unit": self.kl_unit,
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
        Of simulated data, where it is the same for all variants.
    printed
        What a publication prints, by metric and row.
    notes
        What is to be known of that, and of the other columns.
    """

    recipe: str
    reference: str
    main_metric: str
    rows: list[Row]
    subvectors: list[SubvectorRow] = field(default_factory=list)
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def unit(self) -> str:
        """What a row is a mean over, as its column is called."""
        return "runs"

    @property
    def of(self) -> str:
        """What tells the runs of a row from each other."""
        return "seeds"

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
        if self._is_validated:
            head.append(f"{label}, validation")
        head += [f"{label}: difference to {self.reference} [95 %]", self.unit, "seconds", "MiB"]
        blocks = [markdown_table(head, [self._cells(row) for row in self.rows])]
        if problems := [f"- {row.name}: {reason}" for row in self.rows for reason in row.missing]:
            blocks.append("\n".join(["Not in the table:", *problems]))
        if self.subvectors:
            blocks.append(self._subvector_table())
        if self.notes:
            blocks.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(blocks)

    @property
    def _is_validated(self) -> bool:
        """Whether any run has its main metric on validation samples."""
        return any(f"{VALIDATION}{self.main_metric}" in row.extra for row in self.rows)

    def _subvector_table(self) -> str:
        printed = self.printed.get("accuracy", {})
        head = ["sub-vector", "columns", "accuracy at best", "linear classifier", *(["printed"] if printed else [])]
        lines = []
        for row in self.subvectors:
            cells = [row.name, f"{row.columns:,}", spread_in_words(row.bayes), spread_in_words(row.accuracy)]
            lines.append([*cells, *([_printed(printed, row.name)] if printed else [])])
        return markdown_table(head, lines)

    def _cells(self, row: Row) -> list[str]:
        cells = [row.name]
        for name in self.metrics:
            cells.append(spread_in_words(row.metrics.get(name)))
            if name in self.printed:
                cells.append(_printed(self.printed[name], row.name))
        if self._is_validated:
            cells.append(spread_in_words(row.extra.get(f"{VALIDATION}{self.main_metric}")))
        cells.append(gap_in_words(row, self.of))
        return [*cells, str(row.count), shown(row.seconds.mean), f"{row.peak_mib:,.0f}" if row.peak_mib else "–"]


def compare(
    recipe: str,
    outcomes: Sequence[Outcome],
    reference: str,
    printed: Mapping[str, Mapping[str, float]] | None = None,
    notes: Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Bring outcomes together, variants in the order in which they come.

    A difference is the mean over common seeds; its interval comes from resamples of the test samples (of their groups
    where there are any) that all runs share, and from how much seeds differ beyond that (``evaluation/pairing.py``).
    """
    main = main_metric_of(outcomes)
    draws = _draws(outcomes, main, bootstrap, seed)
    rows = variant_rows(outcomes, reference, main, lambda pairs: _difference(pairs, main, draws))
    known = [outcome for outcome in outcomes if outcome.subvectors]
    same = _are_of_the_same_data(known)
    notes = [*notes, *shared_time(outcomes), *([] if same else [OWN_DATA])]
    return Comparison(recipe, reference, main, rows, _subvectors(known) if same else [], printed or {}, notes)


def main_metric_of(outcomes: Sequence[Outcome]) -> str:
    """The metric that differences are taken of; nothing where no run is done."""
    return next((outcome.main_metric for outcome in outcomes if outcome.main_metric), "")


def variant_rows(
    outcomes: Sequence[Outcome],
    reference: str,
    main: str,
    difference: Callable[[Sequence[tuple[Outcome, Outcome]]], Measurement | None],
) -> list[Row]:
    """A row of each variant, in the order in which they come.

    Parameters
    ----------
    difference
        Of pairs of a variant's and the reference's runs on the same samples; none where there are none.
    """
    names = list(dict.fromkeys(outcome.variant for outcome in outcomes))
    by_name = {name: [outcome for outcome in outcomes if outcome.variant == name] for name in names}
    others = by_name.get(reference, [])
    rows = []
    for name, own in by_name.items():
        done = [outcome for outcome in own if outcome.state == "done"]
        pairs = [] if name == reference else _pairs(own, others, main)
        rows.append(
            Row(
                name=name,
                metrics=_over_seeds([outcome.values for outcome in done]),
                difference=difference(pairs),
                pairs=len(pairs),
                seconds=across([outcome.seconds for outcome in done]),
                peak_mib=max((outcome.peak_mib for outcome in done), default=0.0),
                count=len(done),
                missing=[_missing(outcome) for outcome in own if outcome.state != "done"],
                extra=_over_seeds([outcome.extra for outcome in done]),
                kl_unit=next((outcome.kl_unit for outcome in done if outcome.kl_unit), ""),
                at=own[0].at,
            )
        )
    return rows


def _are_of_the_same_data(outcomes: Sequence[Outcome]) -> bool:
    """Whether variants differ in no data, so that runs of one seed have one dataset."""
    datasets = {(outcome.seed, outcome.dataset) for outcome in outcomes}
    origins = {outcome.origin for outcome in outcomes}
    return len(datasets) == len({outcome.seed for outcome in outcomes}) and len(origins) <= 1


def shared_time(outcomes: Sequence[Outcome]) -> list[str]:
    """What seconds leave out, in words; nothing where runs did not tell it apart."""
    times = [outcome.shared_seconds for outcome in outcomes if outcome.state == "done"]
    if not times or any(time is None for time in times):
        return []
    total = sum(outcome.shared_seconds or 0.0 for outcome in outcomes)
    return [
        "Seconds are those of each run alone: making the datasets and estimates that runs share, or waiting for them, "
        f"took {shown(total)} s more in all, and no run is charged with it. MiB is the most that a run held at once, "
        "of one that made what is shared the making included."
    ]


def _subvectors(outcomes: Sequence[Outcome]) -> list[SubvectorRow]:
    """Over seeds, each counted once, of outcomes whose variants have the same data."""
    by_seed = {outcome.seed: outcome.subvectors for outcome in outcomes}
    found = []
    for name, first in next(iter(by_seed.values()), {}).items():
        own = [each[name] for each in by_seed.values() if name in each]
        bayes = across([each["bayes"] for each in own])
        accuracy = across([each["accuracy"]["value"] for each in own])
        found.append(SubvectorRow(name, first["columns"], bayes, accuracy))
    return found


def _draws(outcomes: Sequence[Outcome], metric: str, bootstrap: int, seed: int) -> dict[int, Floats]:
    """The metric of each outcome in the same resamples (R,), by the outcome's identity; of none that was not tested.

    The training split is no sample of anything that a model has not seen, and has no resamples.
    """
    able = [each for each in outcomes if each.evidence is not None and each.evidence.split != "train"]
    runs = [each.evidence for each in able if each.evidence is not None]
    if not runs or not bootstrap:
        return {}
    found = shared_draws(runs, metric, bootstrap, seed)
    return {id(outcome): draws for outcome, draws in zip(able, found, strict=True)}


def _pairs(own: Sequence[Outcome], others: Sequence[Outcome], metric: str) -> list[tuple[Outcome, Outcome]]:
    """A variant's outcomes with the reference's of equal seed on the same dataset, where both have the metric."""
    theirs = {(outcome.seed, outcome.fold): outcome for outcome in others}
    keys = [(outcome.seed, outcome.fold) for outcome in own]
    found = [(outcome, theirs[key]) for outcome, key in zip(own, keys, strict=True) if key in theirs]
    return [pair for pair in found if pair[0].dataset == pair[1].dataset and all(_has(each, metric) for each in pair)]


def _has(outcome: Outcome, metric: str) -> bool:
    return math.isfinite(outcome.values.get(metric, math.nan))


def _difference(
    pairs: Sequence[tuple[Outcome, Outcome]], metric: str, draws: Mapping[int, Floats]
) -> Measurement | None:
    """Mean difference of a metric over seeds; None where there are none."""
    if not pairs:
        return None
    gaps = np.array([one.values[metric] - other.values[metric] for one, other in pairs])
    if any(id(each) not in draws for pair in pairs for each in pair):
        return Measurement(float(gaps.mean()))
    return mean_over_seeds(gaps, np.stack([draws[id(one)] - draws[id(other)] for one, other in pairs]))


def gap_in_words(row: Row, of: str) -> str:
    """A difference with its interval, and how many seeds it is of where the means beside it are of more."""
    gap = row.difference
    if gap is None or finite(gap.value) is None:
        return "–"
    ends = [end for end in (gap.low, gap.high) if finite(end) is not None]
    value, *bounds = shown_alike([gap.value, *ends], signed=True)
    text = value + (f" [{', '.join(bounds)}]" if bounds else "")
    return text if row.pairs == row.count else f"{text} ({row.pairs} of {row.count} {of})"


def _over_seeds(values: Sequence[Mapping[str, float]]) -> dict[str, Across]:
    names = dict.fromkeys(name for each in values for name in each)
    return {name: across([each[name] for each in values if name in each]) for name in names}


def _missing(outcome: Outcome) -> str:
    state = {"new": "not run yet", "stopped": "stopped, to be continued"}.get(outcome.state, outcome.state)
    where = f"seed {outcome.seed}" + (f", fold {outcome.fold}" if outcome.fold is not None else "")
    return f"{where}: {state}" + (f" ({outcome.reason})" if outcome.reason else "")


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of finished text, as Markdown has it."""
    rows = [f"| {' | '.join(line)} |" for line in [head, *lines]]
    return "\n".join([rows[0], f"|{' --- |' * len(head)}", *rows[1:]])


def _printed(values: Mapping[str, float], name: str) -> str:
    return shown(values[name]) if name in values else "–"


def spread_in_words(value: Across | None) -> str:
    """Mean ± sample standard deviation, with as many decimals as tell them apart."""
    if value is None or not value.count:
        return "–"
    if finite(value.sd) is None:
        return shown(value.mean)
    return " ± ".join(shown_alike([value.mean, value.sd, 0.0])[:2])
