"""Beta and its bounds, on a strip; and the headline metrics with their intervals, as dots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from omib_cli.evaluation.conventions import convention, shown
from omib_cli.evaluation.metrics import Scores
from omib_cli.evaluation.runs import FUSED
from omib_cli.report.drawing import ALARM, GOOD, INK, MUTED, PAPER, RED, WARM, WIDE, colours, plain_log, short


def beta_figure(beta: Mapping[str, Any]) -> Figure | None:
    """A logarithmic strip with M_l, M_u, the objective's bound, and the beta that was used."""
    value, lower, upper, objective = (_positive(beta.get(key)) for key in ("value", "lower", "upper", "objective"))
    if value is None:
        return None
    marks = [mark for mark in (value, lower, upper, objective) if mark is not None]
    left, right = min(marks) / 2.2, max(max(marks) * 2.2, 1.0)
    figure = Figure(figsize=(WIDE, 1.65), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set(xlim=(left, right), ylim=(0.0, 1.0), yticks=[], xlabel="redundancy weight β (no unit, logarithmic)")
    axes.spines["left"].set_visible(False)
    known = [bound for bound in (upper, objective) if bound is not None] or [right]
    first, last = min(known), max(known)  # below one nat in all M_u is the larger of the two
    axes.axvspan(left, first, 0.2, 0.62, color=GOOD, linewidth=0)
    if lower is not None and upper is not None and lower < first:
        axes.axvspan(lower, first, 0.2, 0.62, color="#a9d5bb", linewidth=0)
    axes.axvspan(first, last, 0.2, 0.62, color=WARM, linewidth=0)
    axes.axvspan(last, right, 0.2, 0.62, color=RED, linewidth=0)
    if lower is not None and upper is not None and math.isclose(lower, upper):
        _bound(axes, upper, "Mₗ = Mᵤ =", "right")
    else:
        _bound(axes, lower, "Mₗ", "right")
        _bound(axes, upper, "Mᵤ", "left")
    _bound(axes, objective, "bound of the objective", "left")
    _chosen(axes, value, _exceeded(beta), math.log(value / left) / math.log(right / left))
    plain_log(axes.xaxis)
    return figure


def _exceeded(beta: Mapping[str, Any]) -> str:
    """The bounds that beta is above, in words; nothing where it is within both."""
    above = [
        name for key, name in (("above", "Mᵤ"), ("above_objective", "the bound of the objective")) if beta.get(key)
    ]
    return " and ".join(above)


def _positive(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) and value > 0 else None


def _bound(axes: Axes, value: float | None, name: str, side: str) -> None:
    if value is None:
        return
    axes.plot([value, value], [0.2, 0.62], color=INK, linewidth=1.1)
    axes.annotate(
        f"{name} {value:.3g}",
        (value, 0.2),
        xytext=(3 if side == "left" else -3, -3),
        textcoords="offset points",
        ha=side,
        va="top",
        fontsize=8.5,
        color=INK,
    )


def _chosen(axes: Axes, value: float, exceeded: str, place: float) -> None:
    colour = ALARM if exceeded else INK
    axes.plot([value, value], [0.2, 0.7], color=colour, linewidth=2.4, solid_capstyle="butt")
    axes.plot([value], [0.71], marker="v", markersize=9, color=colour, clip_on=False)
    axes.annotate(
        f"β = {value:.3g}" + (f", above {exceeded}" if exceeded else ""),
        (value, 0.71),
        xytext=(0, 7),
        textcoords="offset points",
        ha="left" if place < 0.12 else "right" if place > 0.88 else "center",
        va="bottom",
        fontsize=10,
        fontweight="bold",
        color=colour,
    )


def comparison_figure(
    scores: Mapping[str, Scores],
    metrics: Sequence[str],
    labels: Mapping[str, str],
    modalities: Sequence[str],
    baseline: float | None,
) -> Figure | None:
    """The first metrics of the fused prediction and of each modality alone, with intervals, one panel each.

    ``baseline`` belongs to the first metric: what a constant prediction reaches.
    """
    names = [name for name, each in scores.items() if each.metrics]
    if not names:
        return None
    figure = Figure(figsize=(WIDE, 0.95 + 0.42 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    palette = {FUSED: INK, **colours(modalities)}
    for place, (axes, metric) in enumerate(zip(panels, metrics, strict=True)):
        for row, name in enumerate(names):
            _dot(axes, row, scores[name], metric, palette.get(name, MUTED), name == FUSED)
        _dress(axes, metric, baseline if place == 0 else None, len(names))
    panels[0].set_yticks(range(len(names)), [short(labels[name], 42) for name in names])
    return figure


def _dot(axes: Axes, row: int, scores: Scores, metric: str, colour: str, fused: bool) -> None:
    estimate = scores.metrics.get(metric)
    if estimate is None or not math.isfinite(estimate.value):
        return
    if math.isfinite(estimate.low):
        axes.plot(
            [estimate.low, estimate.high], [row, row], color=colour, linewidth=2.6, solid_capstyle="round", alpha=0.55
        )
    axes.plot([estimate.value], [row], marker="D" if fused else "o", markersize=7, color=colour)
    axes.annotate(
        shown(estimate.value),
        (estimate.value, row),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8.5,
        fontweight="bold" if fused else "normal",
        color=INK,
        path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
    )


def _dress(axes: Axes, metric: str, baseline: float | None, rows: int) -> None:
    known = convention(metric)
    axes.set_title(f"{known.label} ({'higher' if known.higher_is_better else 'lower'} is better)")
    axes.set_ylim(rows - 0.45, -0.75)
    axes.margins(x=0.09)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if baseline is not None:
        axes.axvline(baseline, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "constant",
            (baseline, 0.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )
