"""How new samples differ from those that a model was trained on: novelty drawn, shifted features in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omib_cli.evaluation.conventions import shown
from omib_cli.evaluation.runs import Run
from omib_cli.report.drawing import MUTED, WIDE, colours, short
from omib_cli.report.html import block, esc, paragraph, table

BINS = 20


def novelty_figure(novelty: Mapping[str, NDArray[np.float64]]) -> Figure | None:
    """Histograms of novelty (n,), a panel for each modality; None where no modality has any."""
    known = {name: values for name, values in novelty.items() if len(values)}
    if not known:
        return None
    figure = Figure(figsize=(WIDE, 0.9 + 1.15 * len(known)), layout="constrained")
    panels = figure.subplots(len(known), 1, sharex=True, squeeze=False)[:, 0]
    palette = colours(list(novelty))
    for axes, (name, values) in zip(panels, known.items(), strict=True):
        axes.hist(values, bins=np.linspace(0.0, 1.0, BINS + 1), color=palette[name], alpha=0.75)
        axes.axhline(len(values) / BINS, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set(title=short(name, 40), xlim=(0.0, 1.0), ylabel="samples")
    panels[-1].set_xlabel("novelty (share of held-out training samples that are nearer to the training samples)")
    return figure


def likeness_block(run: Run) -> str:
    """How a prediction's samples differ from the training samples, by modality; nothing for a run's own data."""
    shift: Mapping[str, Mapping[str, Any]] = run.provenance.notes.get("shift") or {}
    parts = [_modality(name, one) for name, one in shift.items()]
    if not parts:
        return ""
    note = "Standardised difference: the mean of the new samples less that of training, in training deviations."
    clear = "" if run.provenance.notes.get("doubts") else paragraph("Nothing here speaks against the predictions.")
    return block("How the new samples differ from training", clear, *parts, paragraph(note, "foot"))


def _modality(name: str, shift: Mapping[str, Any]) -> str:
    words = (
        f"{name}: {100 * shift['outside']:.3g} % of the values of {shift['samples']:,} samples are outside the "
        f"training range; {shift['far']:,} of {shift['features']:,} features have a mean far from that of training."
    )
    rows = [[esc(feature), *map(shown, numbers)] for feature, *numbers in shift["most"]]
    titles = [f"{esc(name)}: shifted most", "Standardised difference", "Mean in training", "Mean here"]
    return paragraph(words) + table(titles, rows)
