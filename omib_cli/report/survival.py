"""Kaplan and Meier's curves of thirds by predicted risk, with the numbers at risk below them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omib_cli.evaluation.risk_groups import RiskGroups, Third
from omib_cli.report.drawing import INK, MUTED, WIDE, rows_grid

COLOURS = ("#0072B2", "#E69F00", "#D55E00")
"""From the third of the lowest risk to that of the highest."""


def survival_figure(groups: RiskGroups) -> Figure:
    """The three curves with pointwise intervals, censored samples as ticks; below, who is still followed when."""
    figure = Figure(figsize=(WIDE, 4.3), layout="constrained")
    curves, numbers = figure.subplots(2, 1, sharex=True, height_ratios=[4.0, 1.0])
    for colour, (name, third) in zip(COLOURS, groups.thirds.items(), strict=True):
        _curve(curves, third, f"{name} risk ({third.events} of {third.count} had the event)", colour)
    curves.set(ylim=(0.0, 1.02), ylabel="share without the event")
    curves.legend(loc="lower left")
    curves.text(0.99, 0.97, p_in_words(groups.p), transform=curves.transAxes, ha="right", va="top", fontsize=9)
    rows_grid(curves)
    _numbers(numbers, groups.thirds, groups)
    return figure


def p_in_words(p: float) -> str:
    """The log-rank test's p, as far as it can be meant."""
    return f"log-rank p {'< 0.0001' if p < 1e-4 else f'= {p:.2g}'}"


def _curve(axes: Axes, third: Third, label: str, colour: str) -> None:
    axes.step(third.times, third.survival, where="post", color=colour, label=label)
    axes.fill_between(third.times, third.low, third.high, step="post", color=colour, alpha=0.14, linewidth=0)
    place = np.searchsorted(third.times, third.censored, side="right") - 1
    axes.plot(third.censored, third.survival[place], linestyle="", marker="|", color=colour, markersize=5)


def _numbers(axes: Axes, thirds: Mapping[str, Third], groups: RiskGroups) -> None:
    """A row for each third: how many are at risk at each tick."""
    axes.set(ylim=(len(thirds) - 0.4, -0.9), yticks=range(len(thirds)), xlabel="time (unit of the label)")
    axes.set_yticks(range(len(thirds)), list(thirds))
    axes.set_xticks(groups.ticks)
    axes.tick_params(axis="y", length=0)
    axes.text(0.0, 1.0, "still followed", transform=axes.transAxes, fontsize=8, color=MUTED, va="bottom")
    for colour, (row, third) in zip(COLOURS, enumerate(thirds.values()), strict=True):
        axes.get_yticklabels()[row].set_color(colour)
        for tick, count in zip(groups.ticks, third.at_risk, strict=True):
            axes.text(tick, row, str(count), ha="center", va="center", fontsize=8, color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
