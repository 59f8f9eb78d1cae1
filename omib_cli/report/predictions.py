"""What was predicted against what is true: a confusion matrix, or a scatter with the identity line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omib_cli.report.drawing import HALF, INK, MUTED, PAPER, WIDE, rows_grid, short

ANNOTATED = 12
"""Most classes whose cells carry numbers."""
ROOMY = 7
"""Most classes whose matrix fits into half a line of the report."""
TICKS = 40
"""Most class names beside the matrix."""
RASTER_ABOVE = 1500
"""Points from which a scatter is stored as an image inside the SVG."""


def confusion(truth: NDArray[np.intp], guess: NDArray[np.intp], classes: int) -> NDArray[np.intp]:
    """Counts (C, C): true class in rows, predicted class in columns."""
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)


def confusion_figure(counts: NDArray[np.intp], names: Sequence[str]) -> Figure:
    """Counts and shares of each row; the colour is the share."""
    size = len(names)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = HALF if size <= ROOMY else WIDE
    figure = Figure(figsize=(side, side * (0.92 if size <= ROOMY else 0.72)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
    if size <= ANNOTATED:
        _numbers(axes, counts, shares, fontsize=10.0 if size <= 4 else 7.0 if size <= ROOMY else 8.0)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02, ticks=[0.0, 0.5, 1.0])
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    _class_ticks(axes, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def _numbers(axes: Axes, counts: NDArray[np.intp], shares: NDArray[np.float64], fontsize: float) -> None:
    for row, column in np.ndindex(*counts.shape):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{share:.0%}",
            ha="center",
            va="center",
            fontsize=fontsize,
            color=PAPER if share > 0.55 else INK if counts[row, column] else MUTED,
        )


def _class_ticks(axes: Axes, names: Sequence[str]) -> None:
    size = len(names)
    every = range(size) if size <= TICKS else range(0, size, -(-size // TICKS))
    labels = [short(names[i], 14) for i in every]
    fontsize = 9.0 if size <= 24 else 7.0
    upright = max(map(len, labels)) <= (8 if size <= 4 else 3)
    axes.set_xticks(
        list(every), labels, fontsize=fontsize, rotation=0 if upright else 40, ha="center" if upright else "right"
    )
    axes.set_yticks(list(every), labels, fontsize=fontsize)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if size <= ANNOTATED:
        axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(visible=True, which="minor", color=PAPER, linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        axes.set_axisbelow(False)


def scatter_figure(truth: NDArray[np.float64], guess: NDArray[np.float64], summary: str) -> Figure:
    """Predicted against true values, with the identity line."""
    figure = Figure(figsize=(HALF, HALF * 0.92), layout="constrained")
    axes = figure.subplots()
    low, high = float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))
    margin = 0.04 * (high - low or 1.0)
    ends: Any = (low - margin, high + margin)
    axes.plot(ends, ends, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.scatter(
        truth,
        guess,
        s=16 if len(truth) < 1000 else 8,
        color=INK,
        alpha=0.45 if len(truth) < 1000 else 0.25,
        linewidth=0,
        zorder=2,
        rasterized=len(truth) > RASTER_ABOVE,
    )
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="true value (unit of the label)", ylabel="predicted value")
    axes.text(0.03, 0.97, summary, transform=axes.transAxes, va="top", fontsize=9, linespacing=1.5)
    rows_grid(axes)
    return figure
