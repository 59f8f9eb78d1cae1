"""Anomaly scores: how those of normal and anomalous samples are spread, and where on the tissue they lie."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omib_cli.report.drawing import INK, MUTED, WIDE, class_colours, short

KINDS = ("normal", "anomalous", "no label")
MOST_SECTIONS = 8
"""Sections that a figure shows at most; the others are in the table."""
BINS = 40


def score_figure(scores: NDArray[np.float64], labels: NDArray[np.float64], groups: NDArray[np.str_] | None) -> Figure:
    """Histograms of scores (n,) by label (n,), one panel for each group (n,)."""
    names = _sections(groups if groups is not None else np.full(len(scores), ""))
    figure = Figure(figsize=(WIDE, 1.1 + 1.05 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    high = float(np.percentile(scores, 99.5))
    edges = np.linspace(0.0, high if high > 0 else 1.0, BINS + 1)
    for axes, name in zip(panels, names, strict=True):
        here = np.ones(len(scores), dtype=bool) if groups is None else groups == name
        for code, (kind, colour) in enumerate(zip(KINDS, _colours(), strict=True)):
            chosen = np.clip(scores[here & (_codes(labels) == code)], 0.0, edges[-1])
            if len(chosen):
                axes.hist(chosen, bins=edges, color=colour, alpha=0.6, label=kind, density=True)
        axes.set(yticks=[], title=short(name, 40))
        axes.spines["left"].set_visible(False)
    panels[-1].set_xlabel("score (squared distance from the centre; the last bin holds all larger ones)")
    _legend(figure, list(panels))
    return figure


def tissue_figure(
    coordinates: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    groups: NDArray[np.str_],
) -> Figure:
    """Scores (n,), ranked within their section, beside labels (n,) if any is known, at the spots' positions (n, 2)."""
    names, labelled = _sections(groups), bool(np.isfinite(labels).any())
    height = 3.1 if labelled else 5.0
    figure = Figure(figsize=(WIDE if labelled else 0.65 * WIDE, 0.6 + height * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1 + labelled, squeeze=False)
    drawn = None
    for row, name in zip(panels, names, strict=True):
        here = groups == name
        positions, codes = coordinates[here], _codes(labels[here])
        ranks = _ranks(scores[here])
        size = _spot_size(positions) * (1 if labelled else 2.5)
        left = row[0]
        drawn = left.scatter(*positions.T, c=ranks, cmap="magma", vmin=0, vmax=1, s=size, linewidth=0)
        left.set_title(f"{short(name, 30)}: score")
        for right in row[1:]:
            for code, (kind, colour) in enumerate(zip(KINDS, _colours(), strict=True)):
                if (codes == code).any():
                    right.scatter(*positions[codes == code].T, color=colour, s=size, linewidth=0, label=kind)
            right.set_title("label")
        for axes in row:
            _as_image(axes)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=panels[:, 0], shrink=0.5, pad=0.02, location="left")
        bar.set_label("rank of the score in its section", color=INK)
        bar.outline.set_edgecolor(MUTED)
    if labelled:
        _legend(figure, list(panels[:, 1]))
    return figure


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks (n,) from 0 to 1, equal scores at the middle of the ranks that they share."""
    ordered = np.sort(scores)
    below, up_to = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to - 1) / 2 / max(1, len(scores) - 1))


def left_out(groups: NDArray[np.str_] | None) -> str:
    """What a figure does not show, in words; nothing where it shows all sections."""
    count = 0 if groups is None else len(np.unique(groups))
    return f" The first {MOST_SECTIONS} of {count} sections, by name; the table has all." * (count > MOST_SECTIONS)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """One legend for all panels, each label once."""
    pairs = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in pairs}
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=3, markerscale=1.5)


def _sections(groups: NDArray[np.str_]) -> list[str]:
    return [str(name) for name in np.unique(groups)[:MOST_SECTIONS]]


def _codes(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(labels), labels, 2.0)


def _colours() -> list[str]:
    normal, anomalous = class_colours(2)
    return [normal, anomalous, MUTED]


def _spot_size(positions: NDArray[np.float64]) -> float:
    """Points² of a marker, so that the spots of a section about fill its panel."""
    return float(np.clip(14_000 / max(1, len(positions)), 1.5, 60.0))


def _as_image(axes: Axes) -> None:
    """Equal scales, y downwards, no ticks: as on the slide."""
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.invert_yaxis()
    for spine in axes.spines.values():
        spine.set_visible(False)
