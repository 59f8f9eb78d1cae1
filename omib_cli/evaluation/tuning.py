"""What a search of settings has found: its trials, the best of them, and whether it is better than the recipe as it is.

The best of many trials is best in part by luck: what chose it flatters it. So it is compared with the recipe as it is
on runs that chose nothing, with other seeds, which draw other networks and divide the samples anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omib_cli.evaluation.comparison import markdown_table, spread_in_words
from omib_cli.evaluation.conventions import convention, shown, shown_alike
from omib_cli.evaluation.cross_validation import Difference, corrected_difference
from omib_cli.evaluation.metrics import Across, across, finite

AS_IT_IS = 0
"""Number of the trial that is the recipe as it is."""
CHOSEN = (
    "The best trial is the one with the best mean; of equal ones that of the lower loss. Its own score is flattered by "
    "having been chosen: what is to be expected of it is on the line of the runs that chose nothing."
)
APART = (
    "The difference is over {count} pairs of runs that chose nothing, with {seeds} other seeds, which draw other "
    "networks{division}; its interval has the corrected standard error of Nadeau and Bengio (2003)."
)
NO_TEST = (
    "No trial has seen the test split, nor been judged by it: `omib run {file}` says what the best is worth there."
)
HALVES = "A pruned trial was worse, up to the epoch at which it ended, than half of the complete ones before it."


@dataclass(frozen=True)
class TrialRow:
    """A trial.

    Attributes
    ----------
    state
        ``done``, ``pruned``, ``failed``, or ``at work``.
    values
        What was tried, by key.
    score
        The main metric on the validation split, or its mean over the inner folds; None of one that is not done.
    scores
        Of each inner fold.
    loss
        The task's loss there.
    last
        The metric when a trial was pruned.
    """

    number: int
    state: str
    values: dict[str, Any]
    score: float | None = None
    scores: list[float] = field(default_factory=list)
    loss: float = math.nan
    seconds: float = 0.0
    reason: str = ""
    last: float | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "trial": self.number,
            "state": self.state,
            "reason": self.reason,
            "values": self.values,
            "score": self.score,
            "scores": self.scores,
            "loss": finite(self.loss),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Margin:
    """Best trial and recipe as it is, side by side, on runs that chose nothing: scores by seed and inner fold."""

    best: list[float]
    own: list[float]
    seeds: int
    ratio: float

    @property
    def difference(self) -> Difference:
        """Best less own; ``ratio`` is the number of samples that judge for each that is trained on."""
        return corrected_difference([one - other for one, other in zip(self.best, self.own, strict=True)], self.ratio)

    def is_better(self, higher_is_better: bool) -> bool:
        """Whether the interval lies wholly on the better side of 0."""
        found = self.difference
        if not found.error > 0.0:  # of a single run, or of gaps that are all alike, which says nothing of chance
            return False
        return found.low > 0.0 if higher_is_better else found.high < 0.0

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "best": across(self.best).plain(),
            "recipe": across(self.own).plain(),
            "difference": self.difference.plain() | {"n": len(self.best)},
            "seeds": self.seeds,
        }


@dataclass(frozen=True)
class Tuning:
    """A search.

    Attributes
    ----------
    metric
        What trials are judged by.
    folds
        Number of inner folds; None for the validation split.
    importance
        How much of the metric's variation each key explains; of too few trials nothing.
    margin
        None where it was not measured, or nothing is better than the recipe as it is.
    file
        The recipe of the best trial.
    """

    recipe: str
    metric: str
    rows: list[TrialRow]
    folds: int | None
    file: str
    importance: Mapping[str, float] = field(default_factory=dict)
    margin: Margin | None = None

    @property
    def higher_is_better(self) -> bool:
        """The direction of the metric."""
        return convention(self.metric).higher_is_better

    @property
    def keys(self) -> list[str]:
        """What is tried."""
        return list(self.rows[0].values) if self.rows else []

    @property
    def best(self) -> TrialRow | None:
        """The best of the trials that are done, if any is."""
        return best_of(self.rows, self.higher_is_better)

    @property
    def verdict(self) -> str:
        """Whether the best trial is better than the recipe as it is, in a sentence or two."""
        label, best = convention(self.metric).label, self.best
        if best is None:
            return "No trial is done."
        if best.number == AS_IT_IS:
            return "No trial was better than the recipe as it is: there is nothing to be changed."
        if self.margin is None:
            return (
                f"Trial {best.number} has the best {label}. Whether it is better than the recipe as it is was not "
                "measured: one of many is best in part by luck."
            )
        gap = self.margin.difference
        value, *ends = shown_alike(
            [each for each in (gap.value, gap.low, gap.high) if math.isfinite(each)], signed=True
        )
        measured = f"{label} {value}" + (f" [{', '.join(ends)}]" if ends else "")
        if self.margin.is_better(self.higher_is_better):
            return f"Trial {best.number} is better than the recipe as it is: {measured} on runs that chose nothing."
        return (
            f"Trial {best.number}, the best, is not distinguishable from the recipe as it is: {measured} on runs that "
            "chose nothing. The recipe as it is is the safer choice."
        )

    @property
    def notes(self) -> list[str]:
        """What is to be known of the figures."""
        found = [CHOSEN]
        if self.margin is not None:
            count, division = len(self.margin.best), " and divide the samples anew" if self.folds else ""
            found.append(APART.format(count=count, seeds=self.margin.seeds, division=division))
        if any(row.state == "pruned" for row in self.rows):
            found.append(HALVES)
        return [*found, NO_TEST.format(file=self.file)]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        best = self.best
        return {
            "recipe": self.recipe,
            "metric": self.metric,
            "folds": self.folds,
            "trials": [row.plain() for row in self.rows],
            "best": None if best is None else best.number,
            "best_recipe": self.file,
            "importance": dict(self.importance),
            "margin": None if self.margin is None else self.margin.plain(),
            "verdict": self.verdict,
            "notes": self.notes,
        }

    def markdown(self) -> str:
        """The verdict, the comparison behind it, what matters, and all trials, best first."""
        blocks = [self.verdict, *(markdown_table(*table) for table in (self.margin_table(),) if table[1])]
        head, lines = self.trial_table()
        blocks.append(markdown_table(head, lines))
        if problems := [f"- trial {row.number}: {row.state} ({row.reason})" for row in self.rows if row.reason]:
            blocks.append("\n".join(["Not done:", *problems]))
        if self.importance:
            shares = [[f"`{key}`", shown(share)] for key, share in self.importance.items()]
            blocks.append(markdown_table(["share of the variation", ""], shares))
        blocks.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(blocks)

    def margin_table(self) -> tuple[list[str], list[list[str]]]:
        """Titles and cells: the best and the recipe as it is, in the search and on runs that chose nothing."""
        best = self.best
        if best is None:
            return [], []
        label = convention(self.metric).label
        lines = []
        for name, row, apart in self._sides(best):
            lines.append([name, _in_search(row), spread_in_words(None if apart is None else across(apart))])
        return ["", f"{label} in the search", f"{label}, runs that chose nothing"], lines

    def _sides(self, best: TrialRow) -> list[tuple[str, TrialRow, list[float] | None]]:
        margin = self.margin
        own = [row for row in self.rows if row.number == AS_IT_IS]  # none, while another process is at work on it
        found = [("recipe as it is", row, None if margin is None else margin.own) for row in own]
        if best.number == AS_IT_IS:
            return found
        return [(f"trial {best.number}, the best", best, None if margin is None else margin.best), *found]

    def trial_table(self) -> tuple[list[str], list[list[str]]]:
        """Titles and cells: a line for each trial, best first, then those that are not done."""
        label = convention(self.metric).label
        head = ["trial", label, *(f"`{key}`" for key in self.keys), "state", "seconds"]
        lines = []
        for row in self.ranked():
            name = f"{row.number}, as it is" if row.number == AS_IT_IS else str(row.number)
            values = [_value(row.values.get(key)) for key in self.keys]
            lines.append([name, _in_search(row), *values, row.state, shown(row.seconds)])
        return head, lines

    def ranked(self) -> list[TrialRow]:
        """Trials by score, best first; those without one last."""
        sign = -1.0 if self.higher_is_better else 1.0

        def place(row: TrialRow) -> tuple[float, float, int]:
            score = math.inf if row.score is None else sign * row.score
            return score, row.loss if math.isfinite(row.loss) else math.inf, row.number

        return sorted(self.rows, key=place)


def best_of(rows: Sequence[TrialRow], higher_is_better: bool) -> TrialRow | None:
    """The trial of the best score; of equal ones the one of the lowest loss, then the first."""
    done = [row for row in rows if row.score is not None and math.isfinite(row.score)]
    sign = 1.0 if higher_is_better else -1.0

    def rank(row: TrialRow) -> tuple[float, float, int]:
        return sign * (row.score or 0.0), -row.loss if math.isfinite(row.loss) else -math.inf, -row.number

    return max(done, key=rank, default=None)


def _in_search(row: TrialRow) -> str:
    if row.score is None:
        return "–" if row.last is None else f"({shown(row.last)})"
    found: Across = across(row.scores or [row.score])
    return spread_in_words(found)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
