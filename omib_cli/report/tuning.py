"""The page and the figure of a search of settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from omib_cli.evaluation.conventions import convention
from omib_cli.evaluation.tuning import AS_IT_IS, TrialRow, Tuning
from omib_cli.report.drawing import ALARM, INK, MUTED, RULE, WIDE, inline, rows_grid, short
from omib_cli.report.html import block, details, document, esc, paragraph, table, tag

MANY_DECADES = 10.0
"""Values of a key whose ratio is larger stand on a logarithmic axis."""
ABOVE_ZERO = 0.12
"""Where on it the least value above 0 stands, if 0 is there too."""


def tuning_page(found: Tuning, picture: str, recipe: str) -> str:
    """The whole page.

    Parameters
    ----------
    picture
        SVG of history, importance and parallel coordinates; may be empty.
    recipe
        The text of the best trial's recipe; may be empty.
    """
    judge = f"{found.folds} inner folds" if found.folds else "the validation split"
    lead = f"{len(found.rows)} trials, judged by {convention(found.metric).label} on {judge}."
    head = tag(
        "header", paragraph("omib", "eyebrow"), tag("h1", esc(f"{found.recipe}: tuning")), paragraph(lead, "lead")
    )
    shares = [[esc(key), f"{share:.3f}"] for key, share in found.importance.items()]
    body = [
        head,
        block("Is it better?", paragraph(found.verdict), _table(*found.margin_table())),
        block("What was tried", _picture(picture)),
        block("What matters", table(["", "share of the variation"], shares) if shares else ""),
        block("Trials", _table(*found.trial_table()), _reasons(found.rows)),
        block("The best trial's recipe", details(found.file, tag("pre", esc(recipe))) if recipe else ""),
        block("How to read this", "".join(paragraph(note) for note in found.notes)),
    ]
    return document(f"{found.recipe}: tuning", "\n".join(body))


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return table([_code(each) for each in head], [[esc(cell) for cell in line] for line in lines]) if lines else ""


def _code(text: str) -> str:
    """A column's title; the name of a key, in backquotes in Markdown, as code."""
    return tag("code", esc(text.strip("`"))) if text.startswith("`") else esc(text)


def _reasons(rows: Sequence[TrialRow]) -> str:
    items = [tag("li", esc(f"Trial {row.number}: {row.state} ({row.reason})")) for row in rows if row.reason]
    return tag("ul", *items) if items else ""


def _picture(svg: str) -> str:
    if not svg:
        return ""
    words = (
        "Above: each trial's score in the order in which they began, the best so far as a line; the trial that is the "
        "recipe as it is as a diamond, pruned trials as crosses at their last value. Beside it: the share of the "
        "variation of scores that each key explains. Below: a line for each trial through its values, the best in ink."
    )
    return tag("figure", tag("div", inline(svg, "trials"), cls="plot"), tag("figcaption", esc(words)), cls="wide")


def tuning_figure(found: Tuning) -> Figure | None:
    """History, importance and parallel coordinates; None where no trial has a score."""
    if found.best is None:
        return None
    figure = Figure(figsize=(WIDE, 6.0), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=[1.0, 1.1])
    if found.importance:
        _importance(figure.add_subplot(grid[0, 2]), found)
    _history(figure.add_subplot(grid[0, : 2 if found.importance else 3]), found)
    _coordinates(figure.add_subplot(grid[1, :]), found)
    return figure


def _history(axes: Axes, found: Tuning) -> None:
    done = [row for row in found.rows if row.score is not None]
    pruned = [row for row in found.rows if row.state == "pruned" and row.last is not None]
    scores = [row.score or 0.0 for row in done]
    best = np.maximum.accumulate(scores) if found.higher_is_better else np.minimum.accumulate(scores)
    axes.step([row.number for row in done], best, where="post", color=INK, linewidth=1.2)
    axes.plot([row.number for row in done], scores, "o", color=MUTED, markersize=4)
    axes.plot([row.number for row in pruned], [row.last or 0.0 for row in pruned], "x", color=RULE, markersize=4)
    own = [row for row in done if row.number == AS_IT_IS]
    axes.plot([row.number for row in own], [row.score or 0.0 for row in own], "D", color="#0072B2", markersize=6)
    if found.best is not None:
        axes.plot([found.best.number], [found.best.score or 0.0], "o", color=ALARM, markersize=6)
    known = convention(found.metric)
    axes.set_title(f"{known.label} ({'higher' if known.higher_is_better else 'lower'} is better)")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    rows_grid(axes)


def _importance(axes: Axes, found: Tuning) -> None:
    keys = sorted(found.importance, key=lambda key: found.importance[key])
    axes.barh(range(len(keys)), [found.importance[key] for key in keys], color=MUTED, height=0.6)
    axes.set_yticks(range(len(keys)), [_name(key) for key in keys])
    axes.set_title("Share of the variation")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _coordinates(axes: Axes, found: Tuning) -> None:
    """A line for each trial that has a score, through its place on the axis of each key and on that of the score."""
    rows = [row for row in reversed(found.ranked()) if row.score is not None]
    scales = [_places([row.values[key] for row in rows]) for key in found.keys]
    scales.append(_places([row.score for row in rows]))
    best = found.best
    shades = colormaps["viridis"](np.linspace(0.95, 0.1, len(rows)))
    for place, row in enumerate(rows):
        heights = [scale[0][place] for scale in scales]
        is_best = best is not None and row.number == best.number
        colour, width = (INK, 2.4) if is_best else (shades[place], 1.0)
        axes.plot(range(len(scales)), heights, color=colour, linewidth=width, alpha=1.0 if is_best else 0.6)
    for place, (_, ticks) in enumerate(scales):
        axes.axvline(place, color=MUTED, linewidth=0.8, zorder=0)
        for height, label in ticks:
            axes.annotate(
                label, (place, height), (3, 0), textcoords="offset points", fontsize=7.5, color=MUTED, va="center"
            )
    names = [*map(_name, found.keys), convention(found.metric).label]
    axes.set_xticks(range(len(scales)), names)
    axes.set_xlim(-0.15, len(scales) - 0.6)
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _places(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights from 0 to 1 of values on an axis of their own, and its ticks: numbers by size, others side by side."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        kinds = sorted({str(value) for value in values})
        heights = {kind: (place + 0.5) / len(kinds) for place, kind in enumerate(kinds)}
        return [heights[str(value)] for value in values], [(height, short(kind)) for kind, height in heights.items()]
    low, high = min(numbers), max(numbers)
    if low == high:
        return [0.5] * len(values), [(0.5, f"{low:.3g}")]
    least = min((value for value in numbers if value > 0.0), default=0.0)
    if low < 0.0 or high < MANY_DECADES * least:
        return [(value - low) / (high - low) for value in numbers], [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")]
    foot = 0.0 if low > 0.0 else ABOVE_ZERO  # a logarithmic axis has no place for 0, which stands below the others

    def height(value: float) -> float:
        return foot + (1.0 - foot) * math.log(value / least) / math.log(high / least) if value > 0.0 else 0.0

    ticks = [(height(value), f"{value:.3g}") for value in dict.fromkeys([low, least, high])]
    return [height(value) for value in numbers], ticks


def _name(key: str) -> str:
    """A key's last part, over two lines with the one above it."""
    return "\n".join(part for part in key.split(".")[-2:] if part != "*")
