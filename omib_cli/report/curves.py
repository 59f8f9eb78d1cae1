"""Curves over epochs: the terms of the loss, and the relative weights r."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omib_cli.report.drawing import (
    INK,
    MUTED,
    RULE,
    WIDE,
    colours,
    legend_above,
    plain_log,
    rows_grid,
    short,
    whole_numbers,
)

Rows = Sequence[dict[str, Any]]
LOG_ABOVE = 30.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""


def loss_figure(history: Rows, modalities: Sequence[str], loss_unit: str, kl_unit: str) -> Figure | None:
    """Task losses (left) and compression terms (right) over the epochs of both phases."""
    if not history:
        return None
    has_kl = any(key.startswith("kl/") for row in history for key in row)
    figure = Figure(figsize=(WIDE, 3.3), layout="constrained")
    panels = figure.subplots(1, 2 if has_kl else 1, squeeze=False, width_ratios=[1.25, 1.0] if has_kl else None)[0]
    _task_losses(panels[0], history, modalities, loss_unit)
    if has_kl:
        _compression(panels[1], history, modalities, kl_unit)
    return figure


def weight_figure(history: Rows, modalities: Sequence[str]) -> Figure | None:
    """The relative weight r of each modality but the reference, over the main phase."""
    rows = [row for row in history if row.get("phase") == "train"]
    names = [name for name in modalities if any(f"r/{name}" in row for row in rows)]
    if not names:
        return None
    figure = Figure(figsize=(WIDE, 2.4), layout="constrained")
    axes = figure.subplots()
    for name in names:
        x, y = _series(rows, f"r/{name}")
        axes.plot([at + 1 for at in x], y, color=colours(modalities)[name], label=short(name), marker=_marker(x))
    axes.axhline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        f"{short(modalities[0])} (r = 1)",
        (1.0, 1.0),
        xycoords=axes.get_yaxis_transform(),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=MUTED,
        fontsize=8,
        annotation_clip=False,
    )
    _mark_kept(axes, rows)
    axes.set(ylim=(0.0, 2.0), xlabel="epoch of main training", ylabel="relative weight r", yticks=[0, 0.5, 1, 1.5, 2])
    rows_grid(axes)
    whole_numbers(axes.xaxis)
    legend_above(axes)
    return figure


def _task_losses(axes: Axes, history: Rows, modalities: Sequence[str], unit: str) -> None:
    for name in modalities:
        _draw(axes, history, f"trb/{name}", color=colours(modalities)[name], label=short(name))
    _draw(axes, history, "task", color=INK, label="fused")
    if any(row.get("validation/loss") is not None for row in history):
        rows = [{**row, "validation": _validation_loss(row, len(modalities))} for row in history]
        _draw(axes, rows, "validation", color=INK, label="validation", linestyle=(0, (3, 1.6)), linewidth=1.4)
    _finish(axes, history, unit)


def _validation_loss(row: dict[str, Any], modalities: int) -> float | None:
    """In warm-up the validation loss is the branches' sum; their mean is comparable with each of them."""
    loss = row.get("validation/loss")
    return loss / modalities if loss is not None and row.get("phase") == "warmup" else loss


def _compression(axes: Axes, history: Rows, modalities: Sequence[str], unit: str) -> None:
    for name in modalities:
        _draw(axes, history, f"kl/{name}", color=colours(modalities)[name], label=short(name))
    _finish(axes, history, f"KL to the prior ({unit})", boundary=False)


def _draw(axes: Axes, history: Rows, key: str, **look: Any) -> None:
    """Draw a quantity; the phases are separate strokes, because they are separate optimisations."""
    label = look.pop("label")
    strokes = [stroke for phase in ("warmup", "train") if (stroke := _series(history, key, phase))[0]]
    longest = max((len(x) for x, _ in strokes), default=0)
    for x, y in strokes:
        own, label = (label, "_") if len(x) == longest else ("_", label)
        axes.plot([at + 1 for at in x], y, label=own, marker=_marker(x), markersize=3.5, **look)


def _series(history: Rows, key: str, phase: str | None = None) -> tuple[list[int], list[float]]:
    points = [
        (at, float(row[key]))
        for at, row in enumerate(history)
        if row.get(key) is not None and (phase is None or row.get("phase") == phase)
    ]
    return [x for x, _ in points], [y for _, y in points]


def _marker(x: Sequence[int]) -> str | None:
    return "o" if len(x) <= 3 else None


def _finish(axes: Axes, history: Rows, ylabel: str, boundary: bool = True) -> None:
    values = [float(value) for line in axes.get_lines() for value in np.asarray(line.get_ydata(), dtype=float)]
    if values and min(values) > 0 and max(values) / min(values) > LOG_ABOVE:
        axes.set_yscale("log")
        plain_log(axes.yaxis)
    elif values:
        axes.set_ylim(bottom=min(0.0, min(values)))
    warm = sum(row.get("phase") == "warmup" for row in history)
    if boundary and 0 < warm < len(history):
        axes.axvspan(0.5, warm + 0.5, color=RULE, alpha=0.35, linewidth=0, zorder=0)
        axes.axvline(warm + 0.5, color=MUTED, linewidth=1.0, zorder=1)
    if boundary:
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.set_xlabel("epoch: warm-up (shaded), then main training" if warm else "epoch")
    else:
        axes.set_xlabel("epoch")
    _mark_kept(axes, history)
    axes.set_ylabel(ylabel)
    rows_grid(axes)
    whole_numbers(axes.xaxis)
    legend_above(axes, 5)


def _mark_kept(axes: Axes, history: Rows) -> None:
    """A dotted line at the epoch of the main phase whose weights were kept."""
    kept = [at for at, row in enumerate(history) if row.get("kept") and row.get("phase") == "train"]
    if not kept:
        return
    axes.axvline(kept[-1] + 1, color=INK, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    right = kept[-1] + 1 > len(history) * 0.5
    axes.annotate(
        "kept",
        (kept[-1] + 1, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-3 if right else 3, -2),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        fontsize=8,
        color=INK,
    )
