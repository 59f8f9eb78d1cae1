"""The embedding in two dimensions, coloured by label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from omib_cli.report.drawing import HALF, INK, MARKERS, MUTED, PAPER, WIDE, class_colours, short
from omib_cli.report.predictions import RASTER_ABOVE, ROOMY

MOST_POINTS = 20_000
"""Samples that UMAP lays out at most; the rest are left out by the seed. As many are drawn in front at most."""
PIECE = 65_536
"""Samples that are centred at once, in double."""
BACKGROUND = 4000
"""Samples outside the headline split that are drawn at most."""
IN_LEGEND = 10
"""Most classes in the legend; more are named where they lie."""
NAMED = 40
"""Most classes that are named where they lie."""


@dataclass(frozen=True)
class Layout:
    """Positions (n, 2) of the samples ``rows``, and what the two axes are."""

    rows: NDArray[np.intp]
    positions: NDArray[np.float64]
    axes: tuple[str, str]


def lay_out(values: NDArray[np.float32], method: str, seed: int) -> Layout:
    """Project the embedding (N, k) by PCA or UMAP; the same seed gives the same map."""
    if method == "umap" and len(values) > 4:
        return _umap(values, seed)
    return _pca(values)


def _pca(values: NDArray[np.float32]) -> Layout:
    mean = values.mean(axis=0, dtype=np.float64)
    pieces = [slice(start, start + PIECE) for start in range(0, len(values), PIECE)]
    products = sum((centred := values[piece].astype(np.float64) - mean).T @ centred for piece in pieces)
    variances, directions = np.linalg.eigh(products)
    best = directions[:, ::-1][:, :2]
    best = best * np.sign(best[np.abs(best).argmax(axis=0), np.arange(best.shape[1])])  # eigh leaves the sign open
    positions = np.concatenate([(values[piece].astype(np.float64) - mean) @ best for piece in pieces])
    total = float(variances.sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in variances[::-1][:2]]
    if positions.shape[1] == 1:
        positions, shares = np.c_[positions, np.zeros(len(positions))], [*shares, 0.0]
    names = [f"component {i + 1} of ξ ({share:.0%} of variance)" for i, share in enumerate(shares)]
    return Layout(np.arange(len(values)), positions, (names[0], names[1]))


def _umap(values: NDArray[np.float32], seed: int) -> Layout:
    import anndata
    import scanpy

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(values))[:MOST_POINTS])
    data = anndata.AnnData(X=values[rows])
    state = int(rng.integers(2**31))
    scanpy.pp.neighbors(data, n_neighbors=min(15, len(rows) - 1), use_rep="X", random_state=state)
    scanpy.tl.umap(data, random_state=state)
    return Layout(rows, np.asarray(data.obsm["X_umap"], dtype=np.float64), ("UMAP 1 of ξ", "UMAP 2 of ξ"))


@dataclass(frozen=True)
class _Points:
    """Positions (n, 2) and labels (n,) of what is drawn in front, and of what lies faint behind it."""

    front: NDArray[np.float64]
    front_labels: NDArray[np.float64]
    back: NDArray[np.float64]
    back_labels: NDArray[np.float64]


def map_figure(
    layout: Layout, labels: NDArray[np.float64], emphasised: NDArray[np.bool_], classes: list[str]
) -> Figure:
    """The map: the emphasised samples in front, the others faint behind them; at most so many of each.

    Parameters
    ----------
    labels, emphasised
        Of all samples (N,).
    """
    size = (WIDE, WIDE * 0.6) if len(classes) > ROOMY else (HALF, HALF * 0.92)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    labels, is_front = labels[layout.rows], emphasised[layout.rows]
    front, back = thinned(np.flatnonzero(is_front), MOST_POINTS), thinned(np.flatnonzero(~is_front), BACKGROUND)
    points = _Points(layout.positions[front], labels[front], layout.positions[back], labels[back])
    if classes:
        _classes(figure, axes, points, classes)
    else:
        _values(figure, axes, points)
    axes.set(xticks=[], yticks=[], xlabel=layout.axes[0], ylabel=layout.axes[1])
    return figure


def thinned(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """All rows, or every second, third, … of them, so that there are at most so many."""
    return rows[:: max(1, -(-len(rows) // most))]


def _faint(count: int) -> dict[str, Any]:
    return {"s": 7, "alpha": 0.16, "linewidth": 0, "rasterized": count > RASTER_ABOVE // 3}


def _clear(count: int) -> dict[str, Any]:
    size = 20 if count < RASTER_ABOVE // 3 else 11
    return {"s": size, "alpha": 0.9, "edgecolor": PAPER, "linewidth": 0.3, "rasterized": count > RASTER_ABOVE}


def _classes(figure: Figure, axes: Axes, points: _Points, classes: list[str]) -> None:
    palette = class_colours(len(classes))
    x, y = points.back.T
    axes.scatter(x, y, c=[palette[int(code)] for code in points.back_labels], **_faint(len(x)))
    look = _clear(len(points.front))
    for code, name in enumerate(classes):
        if not (here := points.front_labels == code).any():
            continue
        x, y = points.front[here].T
        marker = MARKERS[code] if len(classes) <= len(MARKERS) else "o"
        axes.scatter(x, y, color=palette[code], marker=marker, label=short(name, 22), **look)
    if len(classes) <= IN_LEGEND:
        figure.legend(loc="outside upper left", ncols=_legend_columns(classes), markerscale=1.3)
    else:
        _names_on_map(axes, points, classes)


def _legend_columns(classes: list[str]) -> int:
    if max(len(short(name, 22)) for name in classes) > 14:
        return 1 if len(classes) <= ROOMY else 3
    return 2 if len(classes) <= 4 else 3 if len(classes) <= ROOMY else 5


def _names_on_map(axes: Axes, points: _Points, classes: list[str]) -> None:
    halo = [withStroke(linewidth=2.2, foreground=PAPER)]
    for code in np.unique(points.front_labels)[:NAMED].astype(int):
        x, y = np.median(points.front[points.front_labels == code], axis=0)
        axes.text(x, y, short(classes[code], 14), fontsize=7.5, ha="center", color=INK, path_effects=halo)


def _values(figure: Figure, axes: Axes, points: _Points) -> None:
    low, high = np.percentile(np.concatenate([points.front_labels, points.back_labels]), [1, 99])
    scale: dict[str, Any] = {"cmap": "viridis", "vmin": low, "vmax": high if high > low else low + 1.0}
    x, y = points.back.T
    axes.scatter(x, y, c=points.back_labels, **scale, **_faint(len(x)))
    x, y = points.front.T
    drawn = axes.scatter(x, y, c=points.front_labels, **scale, **_clear(len(x)))
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, extend="both")
    bar.set_label("true value (unit of the label)", color=INK)
    bar.outline.set_edgecolor(MUTED)
