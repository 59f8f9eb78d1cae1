"""What class probabilities are worth: reliability, and the curves of all thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omib_cli.evaluation.conventions import shown
from omib_cli.evaluation.metrics import share
from omib_cli.evaluation.runs import FUSED, Run
from omib_cli.report.drawing import HALF, INK, MUTED, WIDE, class_colours, colours, rows_grid, short
from omib_cli.tasks.calibration import Bins
from omib_cli.tasks.classification import log_odds

NAMED = 10
"""Most curves that are told apart by colour and name."""
MOST_CURVES = 40
"""Most classes whose curves are drawn."""
DRAWN = 400
"""Most points of a curve."""


@dataclass(frozen=True)
class Ranking:
    """Samples in order of how probable a class is: scores (n,) and whether they are of it (n,)."""

    label: str
    colour: str
    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]


def reliability_figure(bins: Bins, summary: str) -> Figure:
    """Accuracy against confidence of bins of equal numbers of samples, with exact 95 % intervals."""
    figure = Figure(figsize=(HALF, HALF * 0.92), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.0, 1.0], [0.0, 1.0], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    ranges = [share(value * bins.count, bins.count) for value in bins.accuracy]
    low = [max(0.0, each.value - each.low) for each in ranges]
    high = [max(0.0, each.high - each.value) for each in ranges]
    axes.errorbar(bins.confidence, bins.accuracy, yerr=[low, high], color=INK, marker="o", markersize=5, linewidth=1.2)
    left = min(0.5, float(bins.confidence.min()) - 0.03)
    axes.set(xlim=(left, 1.01), ylim=(0.0, 1.02), xlabel="probability of the predicted class", ylabel="share right")
    axes.text(0.97, 0.03, summary, transform=axes.transAxes, ha="right", va="bottom", fontsize=9, linespacing=1.5)
    rows_grid(axes)
    return figure


def rankings(run: Run) -> list[Ranking]:
    """Of two classes the second one's, head by head; of more each class's against the rest, by the fused head.

    Those without a sample on either side are left out: nothing can be told apart there.
    """
    rows = run.split == run.headline
    found = _by_head(run, rows) if len(run.classes) == 2 else _by_class(run, rows)
    return [each for each in found if each.positive.any() and not each.positive.all()]


def _by_head(run: Run, rows: NDArray[np.bool_]) -> list[Ranking]:
    palette = {FUSED: INK, **colours(run.modalities)}
    found = []
    for head in run.predictors:
        own = rows & head.present
        odds, label = log_odds(head.scores[own])[:, 1], short(run.head_label(head.name))
        found.append(Ranking(label, palette[head.name], odds, run.labels[own] == 1))
    return found


def _by_class(run: Run, rows: NDArray[np.bool_]) -> list[Ranking]:
    odds, palette = log_odds(run.predictors[0].scores[rows]), class_colours(len(run.classes))
    return [
        Ranking(short(name), palette[code], odds[:, code], run.labels[rows] == code)
        for code, name in enumerate(run.classes[:MOST_CURVES])
    ]


def threshold_figure(drawn: Sequence[Ranking]) -> Figure | None:
    """ROC curves (left) and precision-recall curves (right), each with its area in the legend."""
    if not drawn:
        return None
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    named = len(drawn) <= NAMED
    figure = Figure(figsize=(WIDE, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0.0, 1.0], [0.0, 1.0], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    for number, each in enumerate(drawn):
        wrong, found, _ = roc_curve(each.positive, each.scores)
        precision, recall, _ = precision_recall_curve(each.positive, each.scores)
        order = len(drawn) - number + 2  # the first one on top
        _step(left, wrong, found, each, roc_auc_score(each.positive, each.scores), named, order)
        _step(right, recall, precision, each, average_precision_score(each.positive, each.scores), named, order)
    if len({float(each.positive.mean()) for each in drawn}) == 1:
        right.axhline(drawn[0].positive.mean(), color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    left.set(xlabel="share of the others called so", ylabel="share of the class found", title="ROC")
    right.set(xlabel="share of the class found (recall)", ylabel="share right (precision)", title="Precision–recall")
    for axes in (left, right):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        rows_grid(axes)
        if named:
            axes.legend(loc="lower right" if axes is left else "lower left")
    return figure


def _step(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    of: Ranking,
    area: float,
    named: bool,
    order: int,
) -> None:
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), DRAWN)).astype(np.intp))
    label = f"{of.label}, area {shown(area)}" if named and math.isfinite(area) else None
    axes.plot(
        x[keep],
        y[keep],
        color=of.colour,
        linewidth=1.5 if named else 0.8,
        drawstyle="steps-post",
        label=label,
        zorder=order,
    )
