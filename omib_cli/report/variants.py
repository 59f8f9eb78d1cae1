"""Figures of a grid of runs: variants side by side, and a quantity that is swept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omib_cli.evaluation.comparison import Comparison, Outcome, Row
from omib_cli.evaluation.conventions import convention
from omib_cli.evaluation.metrics import Across
from omib_cli.report.drawing import GOOD, INK, MUTED, WIDE, colours, rows_grid, short

MOST_PANELS = 2
MOST_LINEAR = 20.0
"""Largest ratio of swept values that is drawn on a linear axis."""


def variants_figure(table: Comparison, outcomes: Sequence[Outcome]) -> Figure | None:
    """Mean and standard deviation of the first metrics of each variant, with every seed as a small dot."""
    rows = [row for row in table.rows if row.count]
    metrics = table.metrics[:MOST_PANELS]
    if not rows or not metrics:
        return None
    figure = Figure(figsize=(WIDE, 0.95 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        for place, row in enumerate(rows):
            seeds = [found.values[metric] for found in outcomes if found.variant == row.name and metric in found.values]
            _spread(axes, place, seeds, row.metrics[metric].mean, row.metrics[metric].sd, row.name == table.reference)
        _dress(axes, metric, len(rows))
    panels[0].set_yticks(range(len(rows)), [short(row.name, 42) for row in rows])
    return figure


def sweep_figure(table: Comparison) -> Figure | None:
    """The main metric against the value that is swept, its compression and what it proves of I(ξ; y) below.

    Of simulated data also how well its parts can be read from the embedding. Bands are standard deviations over seeds.
    Of beta, the interval [M_l, M_u] of the recipe as it is is shaded, its mean over seeds, with its ends' deviations.
    """
    rows = sorted((row for row in table.rows if row.at is not None and row.count), key=lambda row: row.at or 0.0)
    if not rows:
        return None
    parts = _extras(rows, "r2/")
    figure = Figure(figsize=(WIDE, 5.6 + (2.8 if parts else 0.0)), layout="constrained")
    panels = figure.subplots(3 if parts else 2, 1, sharex=True)
    known = convention(table.main_metric)
    _band(panels[0], rows, [row.metrics[table.main_metric] for row in rows], INK, known.label)
    panels[0].set_ylabel(f"{known.label} ({'higher' if known.higher_is_better else 'lower'} is better)")
    _extra_bands(panels[1], rows, {name: f"KL {name.removeprefix('kl/')}" for name in _extras(rows, "kl/")})
    _extra_bands(panels[1], rows, {"I(xi;y)": "I(ξ; y), at least"}, INK)
    panels[1].set_ylabel(_units(rows))
    panels[1].set_yscale("symlog", linthresh=0.1)
    if parts:
        _extra_bands(panels[2], rows, {name: _part(name.removeprefix("r2/")) for name in parts})
        panels[2].set_ylabel("R² of a linear probe of ξ")
    panels[1].yaxis.set_major_formatter(_number)
    for axes in panels[1:]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    bounds = next((row.extra for row in table.rows if row.at is None and "M_u" in row.extra), None)
    scale = _scale([row.at for row in rows if row.at is not None], panels)
    for axes in panels:
        if bounds is not None and rows[0].name.startswith("beta-"):
            axes.axvspan(bounds["M_l"].mean, bounds["M_u"].mean, color=GOOD, zorder=0)
            for end in (bounds["M_l"], bounds["M_u"]):
                axes.axvline(end.mean, color=MUTED, linewidth=0.8, zorder=1)
                if math.isfinite(end.sd):
                    axes.axvspan(end.mean - end.sd, end.mean + end.sd, color=MUTED, alpha=0.3, linewidth=0, zorder=1)
        rows_grid(axes)
    what = "β, shaded between M_l and M_u" if rows[0].name.startswith("beta-") else "value"
    panels[-1].set_xlabel(what + scale)
    return figure


def _units(rows: Sequence[Row]) -> str:
    """Of divergences and information in one panel: some methods average a KL over the dimensions of a bottleneck."""
    units = [unit for unit in dict.fromkeys(row.kl_unit for row in rows) if unit not in ("", "nats")]
    return "nats; KL: " + ", ".join(units) if units else "nats"


def _scale(values: Sequence[float], panels: Sequence[Axes]) -> str:
    """Make horizontal axes logarithmic where values are far apart; says where they are linear instead.

    A logarithmic axis has no place for 0 and what is below it: up to the least distance from 0 it is then linear.
    """
    sizes = [abs(value) for value in values if value]
    if not sizes or max(sizes) / min(sizes) <= MOST_LINEAR:
        return ""
    through_zero = min(values) <= 0.0
    for axes in panels:
        if through_zero:
            axes.set_xscale("symlog", linthresh=min(sizes))
        else:
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_number)
    return f" (linear up to {min(sizes):g} on either side of 0, logarithmic beyond)" if through_zero else ""


def _number(value: float, _place: float) -> str:
    """A tick's label: powers of ten that are far from 1 as such."""
    power = math.log10(value) if value > 0 else 0.0
    if abs(power) < 3 or power != round(power):
        return f"{value:g}"
    return "10" + str(round(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _extras(rows: Sequence[Row], kind: str) -> list[str]:
    """Names of the other figures of a kind that any row has."""
    return list(dict.fromkeys(name for row in rows for name in row.extra if name.startswith(kind)))


def _part(name: str) -> str:
    """A part of simulated data in words."""
    return "all that matters, along δ" if name == "score" else f"{name} along δ" if name.startswith("a") else name


def _extra_bands(axes: Axes, rows: Sequence[Row], labels: Mapping[str, str], colour: str | None = None) -> None:
    """A band for each of the other figures, over the rows that have it."""
    palette = colours(list(labels))
    for name, label in labels.items():
        having = [row for row in rows if name in row.extra]
        if having:
            _band(axes, having, [row.extra[name] for row in having], colour or palette[name], label)


def _band(axes: Axes, rows: Sequence[Row], values: Sequence[Across], colour: str, label: str) -> None:
    """Means over seeds as a line, standard deviations as a band."""
    x = [row.at or 0.0 for row in rows]
    means = [value.mean for value in values]
    spread = [value.sd if math.isfinite(value.sd) else 0.0 for value in values]
    axes.plot(x, means, color=colour, marker="o", markersize=4, label=label)
    low = [mean - sd for mean, sd in zip(means, spread, strict=True)]
    high = [mean + sd for mean, sd in zip(means, spread, strict=True)]
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _spread(axes: Axes, place: int, seeds: Sequence[float], mean: float, sd: float, reference: bool) -> None:
    colour = "#0072B2" if reference else INK
    if math.isfinite(sd):
        axes.plot([mean - sd, mean + sd], [place, place], color=colour, linewidth=2.4, alpha=0.5)
    axes.plot(seeds, [place] * len(seeds), linestyle="none", marker="o", markersize=3, color=MUTED, alpha=0.6)
    axes.plot([mean], [place], marker="D" if reference else "o", markersize=6, color=colour)


def _dress(axes: Axes, metric: str, rows: int) -> None:
    known = convention(metric)
    axes.set_title(f"{known.label} ({'higher' if known.higher_is_better else 'lower'} is better)")
    axes.set_ylim(rows - 0.45, -0.6)
    axes.margins(x=0.06)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
